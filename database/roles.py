"""The two roles of the two programs, and exactly what each may do (law 8).

The indexer alone writes `network`, reads `plyr`, marks sync requests as taken and asks for jobs; the appview reads `network` and writes `plyr`. Where a managed
Postgres denies CREATE ROLE the programs go on as the role of the URL: `ensure_roles` returns a sentence that says so.
"""

from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

INDEXER = "plyr_indexer"
APPVIEW = "plyr_appview"

_GRANTS = (
    f"GRANT USAGE ON SCHEMA network, plyr TO {INDEXER}, {APPVIEW}",
    f"GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA network TO {INDEXER}",
    f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA network TO {INDEXER}",
    f"GRANT SELECT ON ALL TABLES IN SCHEMA plyr TO {INDEXER}",
    f"GRANT UPDATE (taken_at) ON plyr.sync_requests TO {INDEXER}",
    f"GRANT INSERT, UPDATE (wanted) ON plyr.media_jobs TO {INDEXER}",
    f"GRANT SELECT ON ALL TABLES IN SCHEMA network, plyr TO {APPVIEW}",
    f"GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA plyr TO {APPVIEW}",
    f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA plyr TO {APPVIEW}",
)


async def ensure_roles(connection: AsyncConnection) -> str | None:
    """Create the roles where they are missing and grant them what they need; run after the migrations.

    Returns None, or a sentence for the operator when the database denies it.
    """
    for role in (INDEXER, APPVIEW):
        exists = await connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role})
        try:
            async with connection.begin_nested():
                if not exists:
                    await connection.execute(text(f"CREATE ROLE {role} NOLOGIN"))
                await connection.execute(text(f"GRANT {role} TO CURRENT_USER"))
        except ProgrammingError as error:
            return f"this database denies CREATE ROLE ({error.orig}): both programs run as the role of the URL, without the fence between the schemas"
    for grant in _GRANTS:
        await connection.execute(text(grant))
    return None
