"""Which Postgres a command works on: the operator's, or the one in our own data folder.

A command that only looks never starts a server, and none makes a cluster but those that need one. An embedded
server that a command uses is left when the command ends; the last to leave stops it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from database.connect import parse_database_url
from database.data_dir import choose_data_dir
from database.embedded import EmbeddedPostgres
from plyr.outcome import CommandError, ExitCode
from plyr.program import complain
from plyr.settings import Settings

CONNECT_TIMEOUT_SECONDS = 15.0


@asynccontextmanager
async def own_database(settings: Settings) -> AsyncIterator[str]:
    """Give the URL of a database that answers, within the block; make and start the embedded one where none is named.

    Raises CommandError or EmbeddedPostgresError.
    """
    if settings.database_url is not None:
        yield await _answering(settings.database_url)
        return
    async with _started(_embedded(settings)) as url:
        yield url


@asynccontextmanager
async def existing_database(settings: Settings) -> AsyncIterator[str]:
    """Give the URL of a database that was made before; start the embedded one if it sleeps.

    Raises CommandError when there is none.
    """
    if settings.database_url is not None:
        yield await _answering(settings.database_url)
        return
    embedded = _embedded(settings)
    if not embedded.data.exists():
        raise _none_there(embedded)
    async with _started(embedded) as url:
        yield url


async def running_database(settings: Settings) -> str:
    """Return the URL of a database that runs already; nothing is started.

    Raises CommandError when none does.
    """
    if settings.database_url is not None:
        return await _answering(settings.database_url)
    embedded = _embedded(settings)
    if not embedded.data.exists():
        raise _none_there(embedded)
    if not await asyncio.to_thread(embedded.running):
        raise CommandError(
            f"the database in {embedded.root} is not running: start it with `plyr up`", ExitCode.NO_DATABASE
        )
    return embedded.url


@asynccontextmanager
async def temporary_database(root: Path) -> AsyncIterator[str]:
    """Give the URL of an empty database that is gone after the block, in a folder of the caller's."""
    # Nothing of it is to survive a crash.
    async with _started(EmbeddedPostgres(root, {"fsync": "off", "synchronous_commit": "off"})) as url:
        yield url


def _embedded(settings: Settings) -> EmbeddedPostgres:
    environment = {} if settings.data_home is None else {"XDG_DATA_HOME": settings.data_home}
    folder, notice = choose_data_dir(settings.data_dir, settings.home, environment)
    if notice is not None:
        complain(notice)
    return EmbeddedPostgres(folder / "postgres")


@asynccontextmanager
async def _started(embedded: EmbeddedPostgres) -> AsyncIterator[str]:
    starting = asyncio.create_task(asyncio.to_thread(embedded.start))
    try:
        # A start that is cut short would leave a server that nobody stops, so it is waited for in any case.
        yield await asyncio.shield(starting)
    finally:
        await asyncio.wait([starting])
        await asyncio.to_thread(embedded.stop)


def _none_there(embedded: EmbeddedPostgres) -> CommandError:
    return CommandError(
        f"there is no database in {embedded.root}: start one with `plyr up`, or name one in PLYR_DATABASE_URL",
        ExitCode.NO_DATABASE,
    )


async def _answering(url: str) -> str:
    """Return the URL of a server that lets us in. Raises CommandError."""
    database = parse_database_url(url)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
            connection = await asyncpg.connect(database.dsn, statement_cache_size=0)
            await connection.close()
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        reason = str(error) or type(error).__name__
        raise CommandError(
            f"the database {database.shown()} cannot be reached: {reason}. Check PLYR_DATABASE_URL.",
            ExitCode.NO_DATABASE,
        ) from error
    return url
