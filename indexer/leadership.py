"""One indexer at a time: a lock in the database, and a number that tells who took the lead last.

The lock is held by a connection of its own for as long as the indexer runs; another one waits for it. A leader that lost
it unknowingly is stopped by the number, which every batch checks. Behind a transaction-pooling proxy no session lock
holds: there the newest indexer leads and the older one ends, which the caller is told.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from database.connect import parse_database_url

# The letters "plyrindx".
LOCK = 0x706C7972_696E6478
POLL_SECONDS = 1.0
# So that the server notices within half a minute that the machine of the leader is gone.
_KEEPALIVE = {"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3"}
_LEAD = """
    INSERT INTO network.leadership (epoch) VALUES (1)
    ON CONFLICT (single) DO UPDATE SET epoch = leadership.epoch + 1 RETURNING epoch, batch
"""


@dataclass(frozen=True, slots=True)
class Lead:
    """A leadership: how many there were, and how many batches all of them have written."""

    epoch: int
    batch: int


class Superseded(Exception):
    """Another indexer leads, or the database is not as this one left it: it must not write any more."""


async def take_lead(connection: asyncpg.Connection) -> Lead:
    """Return the leadership under which to write from now on; under any older one writing is refused."""
    async with connection.transaction():
        await connection.execute("SET LOCAL synchronous_commit = on")
        row = await connection.fetchrow(_LEAD)
    assert row is not None
    return Lead(row["epoch"], row["batch"])


@asynccontextmanager
async def leadership(url: str, on_wait: Callable[[], None]) -> AsyncIterator[bool]:
    """Hold the lock within the block, waiting for it as long as it takes; `on_wait` is called once if it must wait.

    Yields False, at once, behind a pooler. Raises asyncpg's errors when the database cannot be reached, and when the
    connection that holds the lock is lost, which ends the block: another indexer may hold it by then.
    """
    database = parse_database_url(url)
    if database.pooled:
        yield False
        return
    connection = await asyncpg.connect(database.dsn, server_settings=_KEEPALIVE)
    try:
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK):
            on_wait()
            while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK):
                await asyncio.sleep(POLL_SECONDS)
        async with _ended_with(connection):
            yield True
    finally:
        await connection.close()


@asynccontextmanager
async def _ended_with(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """Cancel the block when the connection ends, and say so."""
    owner = asyncio.current_task()
    assert owner is not None
    is_lost = False

    def end(_: object) -> None:
        nonlocal is_lost
        is_lost = True
        owner.cancel()

    connection.add_termination_listener(end)
    try:
        yield
    except asyncio.CancelledError:
        if is_lost and owner.uncancel() == 0:
            raise asyncpg.ConnectionDoesNotExistError("the connection that holds the indexer's lock is lost") from None
        raise
    finally:
        connection.remove_termination_listener(end)


async def is_led(url: str) -> bool:
    """Tell whether an indexer holds the lock."""
    database = parse_database_url(url)
    connection = await asyncpg.connect(database.dsn)
    try:
        return bool(
            await connection.fetchval(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
                "AND classid = $1::bigint::oid AND objid = $2::bigint::oid AND granted",
                LOCK >> 32,
                LOCK & 0xFFFFFFFF,
            )
        )
    finally:
        await connection.close()
