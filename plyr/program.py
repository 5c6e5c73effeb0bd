"""The boundary of every command: an event loop, signals, and errors told as sentences with an exit code.

Runs on uvloop. The first Ctrl-C or SIGTERM asks for an orderly end, one that comes later than a second after it ends
the process at once. An error that is somebody's fault is one sentence; our own bugs keep their traceback.
"""

import asyncio
import logging
import signal
import sys
import time
from collections.abc import Coroutine, Iterator
from typing import Any

import asyncpg
import uvloop

from appview.media.storage import StorageError
from atprotocol.errors import NetworkError, ProtocolError
from database.postgres_binaries import EmbeddedPostgresError
from indexer.leadership import Superseded
from plyr import telemetry
from plyr.outcome import CommandError, ExitCode
from plyr.settings import Settings

SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Whoever wraps us (a shell, a task runner) may pass on the signal that the terminal sent already.
REPEATED_WITHIN_SECONDS = 1.0

logger = logging.getLogger("plyr")


class _Stopped(Exception):
    """A signal ended the program in order."""


def run(main: Coroutine[Any, Any, ExitCode | None], settings: Settings, *, stopped: ExitCode = ExitCode.OK) -> ExitCode:
    """Run a command to its end and return its exit code; `stopped` is the code when a signal ended it."""
    try:
        telemetry.configure(settings)
        return uvloop.run(_until_signalled(main)) or ExitCode.OK
    except _Stopped:
        return stopped
    except Exception as error:  # noqa: BLE001  (the boundary of the program)
        return _tell(error, settings)
    finally:
        main.close()


def complain(message: str) -> None:
    """Write a sentence for the user to standard error."""
    print(f"plyr: {message}", file=sys.stderr, flush=True)


async def _until_signalled(main: Coroutine[Any, Any, ExitCode | None]) -> ExitCode | None:
    loop = asyncio.get_running_loop()
    task = loop.create_task(main)
    signalled_at: float | None = None

    def stop(number: signal.Signals) -> None:
        nonlocal signalled_at
        now = time.monotonic()
        if signalled_at is None:
            signalled_at = now
            task.cancel()
        elif now - signalled_at > REPEATED_WITHIN_SECONDS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    for number in SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        return await task
    except asyncio.CancelledError:
        if signalled_at is not None:
            raise _Stopped from None
        raise
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)


def _tell(error: Exception, settings: Settings) -> ExitCode:
    code = ExitCode.FAILED
    for leaf in dict.fromkeys(_leaves(error)):
        sentence = _sentence(leaf)
        if sentence is None:
            logger.error("this is a bug of ours", exc_info=leaf)
        else:
            complain(settings.scrub(sentence))
        if isinstance(leaf, CommandError):
            code = leaf.code
    return code


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _sentence(error: BaseException) -> str | None:
    """Return what to tell the user, None for what nobody foresaw."""
    match error:
        case CommandError() | EmbeddedPostgresError():
            return str(error)
        case asyncpg.UndefinedTableError() | asyncpg.InvalidSchemaNameError():
            return "the database lacks our tables: run `plyr migrate` first"
        case asyncpg.InsufficientPrivilegeError():
            return f"the database refuses: {error}. Give the user of PLYR_DATABASE_URL the rights that it lacks."
        case asyncpg.PostgresConnectionError() | asyncpg.CannotConnectNowError() | asyncpg.AdminShutdownError():
            return f"the database went away: {error}"
        case Superseded():
            return f"{error}: this one ends"
        case StorageError():
            return f"the storage of audio and pictures: {error}"
        case NetworkError() | ProtocolError():
            return f"{type(error).__name__}: {error}"
        case _:
            return None
