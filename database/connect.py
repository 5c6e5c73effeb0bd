"""Ways to a Postgres: an asyncpg pool for what is hot; `database.engine` has what is not.

A URL is Postgres' own (`postgresql://…`), TLS parameters and Neon's included. Behind a transaction-pooling proxy
no session state may be relied on: `is_pooled` tells, and pools then use no prepared statements and no SET ROLE.
"""

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

# Parameters that libpq knows and asyncpg takes for server settings, which a server then refuses.
_LIBPQ_ONLY = {"channel_binding", "options", "connect_timeout", "keepalives", "target_session_attrs", "gssencmode"}


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """A database URL, cleaned for asyncpg; `pooled` when it leads through a transaction-pooling proxy."""

    dsn: str
    pooled: bool

    def shown(self) -> str:
        """Return the URL without user and password, for logs and errors."""
        parts = urlsplit(self.dsn)
        host = parts.hostname or dict(parse_qsl(parts.query)).get("host", "")
        return f"postgresql://{host}{f':{parts.port}' if parts.port else ''}{parts.path}"


def parse_database_url(url: str) -> DatabaseUrl:
    """Return a usable URL from what an operator or a provider writes.

    Drops parameters that only libpq knows (`channel_binding`, `options`), keeps sslmode, and recognises poolers:
    a host with `-pooler` in its first label (Neon), port 6432, or `pgbouncer=true`.
    Raises ValueError when it is no Postgres URL.
    """
    parts = urlsplit(url)
    if parts.scheme.split("+")[0] not in ("postgresql", "postgres"):
        raise ValueError("not a Postgres URL: it must start with postgresql://")
    parameters = parse_qsl(parts.query, keep_blank_values=True)
    given = dict(parameters)
    first_label = (parts.hostname or "").split(".")[0]
    pooled = first_label.endswith("-pooler") or parts.port == 6432 or given.get("pgbouncer") == "true"
    kept = [(name, value) for name, value in parameters if name not in _LIBPQ_ONLY | {"pgbouncer"}]
    return DatabaseUrl(urlunsplit(("postgresql", parts.netloc, parts.path, urlencode(kept), "")), pooled)


async def create_pool(
    url: str,
    *,
    role: str | None = None,
    minimum: int = 1,
    maximum: int = 10,
    settings: dict[str, str] | None = None,
    resets_sessions: bool = True,
) -> asyncpg.Pool:
    """Return an asyncpg pool whose connections act as `role` where the server knows it.

    Behind a pooler neither the role nor other session settings are set, and statements are not prepared.
    Borrowers that leave nothing behind in a session (no SET, LISTEN, cursor or session lock) save a statement for
    each loan without `resets_sessions`; open transactions are ended in any case.
    """
    database = parse_database_url(url)
    reset = None if resets_sessions else _leave_as_it_is
    if database.pooled:
        return await asyncpg.create_pool(
            database.dsn, min_size=minimum, max_size=maximum, statement_cache_size=0, reset=reset
        )
    server_settings = dict(settings or {})
    if role is not None and await _may_act_as(database.dsn, role):
        server_settings["role"] = role
    return await asyncpg.create_pool(
        database.dsn, min_size=minimum, max_size=maximum, server_settings=server_settings, reset=reset
    )


async def _leave_as_it_is(_: asyncpg.Connection) -> None:
    """Do nothing to a connection that comes back."""


async def _may_act_as(dsn: str, role: str) -> bool:
    connection = await asyncpg.connect(dsn)
    try:
        return bool(
            await connection.fetchval("SELECT pg_has_role(oid, 'MEMBER') FROM pg_roles WHERE rolname = $1", role)
        )
    finally:
        await connection.close()
