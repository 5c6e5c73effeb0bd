"""Bring a database to the newest schema: all pending migrations, under one lock, in one transaction.

Safe to run from several programs at once: the second waits and finds nothing to do. Migrations are read from
the folder that is passed in.
"""

from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from database.engine import create_engine
from database.roles import ensure_roles

# Any constant will do, as long as nobody else takes it: the letters "plyr".
_LOCK = 0x706C7972


@dataclass(frozen=True, slots=True)
class Migrated:
    """Where the schema was, where it is, and a sentence when roles could not be made."""

    before: str | None
    after: str | None
    role_notice: str | None


def alembic_config(migrations: Path, connection: Connection) -> Config:
    """Return Alembic's configuration for this folder and connection."""
    config = Config()
    config.set_main_option("script_location", str(migrations))
    config.attributes["connection"] = connection
    return config


def current_revision(connection: Connection) -> str | None:
    """Return the revision that the database is at, None for an empty one."""
    return MigrationContext.configure(
        connection, opts={"version_table": "migrations", "version_table_schema": "public"}
    ).get_current_revision()


async def migrate(url: str, migrations: Path) -> Migrated:
    """Apply every pending migration and return what changed."""
    engine = create_engine(url)
    try:
        async with engine.begin() as connection:
            # A transaction's lock also works behind a transaction-pooling proxy.
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            before = await connection.run_sync(current_revision)
            await connection.run_sync(lambda sync: command.upgrade(alembic_config(migrations, sync), "head"))
            after = await connection.run_sync(current_revision)
            role_notice = await ensure_roles(connection)
        return Migrated(before, after, role_notice)
    finally:
        await engine.dispose()
