"""`plyr index` in processes of its own, one after the other, on one database of a Postgres that can be crashed.

A process here only ever ends by a signal that we sent, or by itself: both are told apart by its exit code.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

import asyncpg

from database.embedded import EmbeddedPostgres
from database.migrate import migrate
from indexer.consumer import ENDPOINT

ROOT = Path(__file__).resolve().parents[2]
GUARD_SECONDS = 60
_BACKENDS = """
    SELECT pid, state, wait_event_type, backend_xid::text AS xid, query FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'plyr-indexer'
"""


class CrashablePostgres:
    """A server of our own, with every write durable but those that the program itself lets go."""

    def __init__(self, root: Path, binaries_cache: Path) -> None:
        """Name its folder. Commits that nobody waits for reach the disk late, so that a crash loses some."""
        settings = {"shared_buffers": "64MB", "wal_writer_delay": "3s"}
        self._server = EmbeddedPostgres(root, settings, binaries_cache=binaries_cache)

    async def start(self) -> None:
        """Start the server."""
        await asyncio.to_thread(self._server.start)

    async def stop(self) -> None:
        """Stop the server."""
        await asyncio.to_thread(self._server.stop)

    async def create_database(self, name: str, template: str = "template0") -> str:
        """Make a database and return its URL."""
        await asyncio.to_thread(self._server.execute, f"create database {name} template {template}")
        return self._server.database_url(name)

    async def crash(self) -> int:
        """Have the server end at once, as if its machine did, and start it again; return how long it was away in ms."""
        pid = int((self._server.data / "postmaster.pid").read_text().split()[0])
        began = time.monotonic()
        os.kill(pid, signal.SIGQUIT)
        async with asyncio.timeout(GUARD_SECONDS):
            while _is_alive(pid):
                await asyncio.sleep(0.01)
        await self.start()
        return round(1000 * (time.monotonic() - began))


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class RunningIndexer:
    """The indexer of one database; at most one process at a time."""

    def __init__(self, database_url: str, upstream_url: str, log: Path) -> None:
        """Name what it follows and where it keeps its data; what it says goes to the log."""
        self.url = database_url
        self.log = log
        self.starts = 0
        self._process: asyncio.subprocess.Process | None = None
        self._output: IO[bytes] | None = None
        self._host = upstream_url.removeprefix("http://")
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PLYR_DATABASE_URL": database_url,
            "PLYR_RELAY_URL": upstream_url,
            "PLYR_PLC_URL": upstream_url,
            "PLYR_HANDLE_RESOLVER_URL": upstream_url,
            "PLYR_ALLOWED_HOSTS": self._host,
            "PLYR_MIRROR": "always",
        }

    @property
    def exit_code(self) -> int | None:
        """Return how the last process ended, None while it runs; a signal's number is negative."""
        return None if self._process is None else self._process.returncode

    @property
    def is_running(self) -> bool:
        """Tell whether a process runs."""
        return self._process is not None and self._process.returncode is None

    async def prepare(self) -> None:
        """Have the first process begin with the first frame: without a cursor it would begin with the next."""
        async with self.looking() as connection:
            await connection.execute(
                "INSERT INTO network.cursors (host, endpoint, seq) VALUES ($1, $2, 0)", self._host, ENDPOINT
            )

    async def start(self) -> None:
        """Start a process; nothing is waited for."""
        assert not self.is_running
        self.starts += 1
        if self._output is None:
            self._output = self.log.open("ab")
        self._output.write(f"--- start {self.starts}\n".encode())
        self._output.flush()
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "plyr",
            "index",
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
        )

    async def stop(self, sign: signal.Signals) -> int:
        """Send a signal and return the exit code."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(sign)
        return await self.ended()

    async def ended(self, seconds: float = GUARD_SECONDS) -> int:
        """Wait until the process has ended, and return its exit code. Raises TimeoutError."""
        assert self._process is not None
        async with asyncio.timeout(seconds):
            return await self._process.wait()

    async def close(self) -> None:
        """End whatever still runs."""
        if self.is_running:
            await self.stop(signal.SIGKILL)
        if self._output is not None:
            self._output.close()

    def last_words(self, lines: int = 15) -> str:
        """Return the end of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    # --- what the database says of it --------------------------------------------------------------------------------

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[asyncpg.Connection]:
        """Give a connection of our own."""
        connection = await asyncpg.connect(self.url)
        try:
            yield connection
        finally:
            await connection.close(timeout=5)

    async def cursor(self) -> int:
        """Return the stored cursor."""
        async with self.looking() as connection:
            return int(await connection.fetchval("SELECT max(seq) FROM network.cursors"))

    async def backends(self) -> list[asyncpg.Record]:
        """Return the server's processes that work for the indexer's pool."""
        async with self.looking() as connection:
            return list(await connection.fetch(_BACKENDS))

    async def backends_gone(self) -> None:
        """Wait until the server has noticed that the process is dead: what it had sent may still be carried out."""
        async with asyncio.timeout(GUARD_SECONDS), self.looking() as connection:
            while await connection.fetch(_BACKENDS):
                await asyncio.sleep(0.01)


async def migrated(postgres: CrashablePostgres, name: str) -> str:
    """Return the URL of a new database with the newest schema."""
    url = await postgres.create_database(name)
    await migrate(url, ROOT / "migrations")
    return url
