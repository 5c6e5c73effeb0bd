"""A Postgres that went down forgets the commits that nobody waited for: what was built upon them must not outlive them."""

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import world
from harness import TRACK, Harness, harness, publish, synchronized, track
from postgres import BINARIES_CACHE

from database.embedded import EmbeddedPostgres
from database.migrate import migrate

REPOSITORY = Path(__file__).resolve().parents[2]
CURSOR = "SELECT coalesce(max(seq), 0) FROM network.cursors"
GUARD_SECONDS = 60


class CrashingServer:
    """A server that keeps its word about what it flushed, and flushes as late as it may."""

    def __init__(self) -> None:
        self._root = Path(tempfile.mkdtemp(prefix="plyr-test-"))
        self._root.chmod(0o755)  # The server's user must enter it when the tests run as root.
        self._server = EmbeddedPostgres(self._root, {"wal_writer_delay": "10s"}, binaries_cache=BINARIES_CACHE)
        self.url = self._server.start()

    def flush(self) -> None:
        """Have everything kept that was committed until now."""
        self._server.execute("CHECKPOINT")

    def crash(self) -> None:
        """End at once, as if the machine did, and start again."""
        pid = int((self._server.data / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGQUIT)
        deadline = time.monotonic() + GUARD_SECONDS
        while _is_alive(pid):
            assert time.monotonic() < deadline, "the server does not end"
            time.sleep(0.01)
        self._server.start()

    def stop(self) -> None:
        self._server.stop()
        shutil.rmtree(self._root, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
async def server() -> AsyncIterator[CrashingServer]:
    crashing = await asyncio.to_thread(CrashingServer)
    try:
        await migrate(crashing.url, REPOSITORY / "migrations")
        connection = await asyncpg.connect(crashing.url)
        # As the program sets it for the connections of its pool.
        await connection.execute("ALTER DATABASE plyr SET synchronous_commit = off")
        await connection.close()
        yield crashing
    finally:
        await asyncio.to_thread(crashing.stop)


async def lose_a_batch(server: CrashingServer, indexer: Harness, account: world.Account, sent: list[bytes]) -> None:
    """Let a batch be committed and forgotten; Postgres may flush it after all, then another one."""
    for number in range(20):
        before = await indexer.value(CURSOR)
        path = f"fm.plyr.track/{world.tid(indexer.world.now_us)}"
        sent.append(publish(indexer, account, ("create", path, track(f"Lost {number}"))))
        indexer.feed(sent[-1])
        await indexer.write()
        assert await indexer.value(CURSOR) > before
        await asyncio.to_thread(server.crash)
        connection = await asyncpg.connect(server.url)
        after = await connection.fetchval(CURSOR)
        await connection.close()
        if after == before:
            return
    pytest.fail("Postgres never lost a commit")


async def test_what_postgres_forgot_in_a_crash_is_not_built_upon(server: CrashingServer) -> None:
    async with harness(server.url, world.World()) as indexer:
        silent, other = await synchronized(indexer), await synchronized(indexer)
        await asyncio.to_thread(server.flush)
        sent: list[bytes] = []
        await lose_a_batch(server, indexer, silent, sent)

        # The process, which took the batch for committed, goes on or ends in order: it writes what has gathered since.
        sent.append(publish(indexer, other, ("create", f"{TRACK[:-1]}4", track("Later"))))
        indexer.feed(sent[-1])
        async with asyncio.timeout(GUARD_SECONDS):
            with contextlib.suppress(Exception):  # It may refuse to.
                await indexer.write()

        # The next process goes on from what is stored, and hears again what comes after it.
        await indexer.load()
        cursor = await indexer.value(CURSOR)
        first = indexer.world.seq - len(sent) + 1
        indexer.feed(*(raw for seq, raw in enumerate(sent, first) if seq > cursor))
        await indexer.settle()
        expected = {record["title"] for account in (silent, other) for record in account.records.values()}
        assert set(await indexer.titles()) == expected
