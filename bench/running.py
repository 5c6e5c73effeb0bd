"""The program as it is run, in a process of its own, on an embedded Postgres with many tracked repositories."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg

from database.embedded import EmbeddedPostgres
from database.migrate import migrate

ROOT = Path(__file__).resolve().parents[1]
GUARD_SECONDS = 1800

# As many repositories as a bench wants, each as one that was repaired lately and whose handle was verified.
_TRACK = """
    INSERT INTO network.actors (did)
    SELECT 'did:plc:' || substr(md5('bench' || n) || md5(n::text), 1, 24) FROM generate_series(1, $1::int) n
"""
_SYNCHRONIZE = """
    INSERT INTO network.repos (actor_id, sync_status, rev, seen_rev, data, commit_cid, handle, handle_verified_at,
                               handle_checked_at, signing_key, pds, identity_at, synchronized_at)
    SELECT actor_id, 'synchronized', '3mabcdefghijk', '3mabcdefghijk', decode('01711220' || md5(did) || md5(did), 'hex'),
           decode('01711220' || md5(did) || md5(did), 'hex'), 'artist' || actor_id || '.example.com', now(), now(),
           'did:key:zQ3shXjHeiBuRCKmM36cuYnm7YEMzhGnCmCyW92sRJ9prib' || substr(md5(did), 1, 3),
           'https://pds' || actor_id % 100 || '.example.com', now(), now()
    FROM network.actors
"""
_TRACK_ONE = """
    INSERT INTO network.repos (actor_id, sync_status, rev, data, signing_key, identity_at)
    VALUES ($1, 'synchronized', $2, $3, $4, now())
"""
_AUDITED = "INSERT INTO network.audits (requested_at, reason, finished_at) VALUES (now(), 'bench', now())"


@asynccontextmanager
async def database(repos: int) -> AsyncIterator[str]:
    """Give the URL of a migrated database with so many tracked repositories."""
    root = Path(tempfile.mkdtemp(prefix="plyr-bench-"))
    root.chmod(0o755)
    postgres = EmbeddedPostgres(root, binaries_cache=Path(tempfile.gettempdir()) / f"plyr-test-binaries-{os.geteuid()}")
    try:
        url = await asyncio.to_thread(postgres.start)
        await migrate(url, ROOT / "migrations")
        connection = await asyncpg.connect(url)
        await connection.execute(_TRACK, repos)
        await connection.execute(_SYNCHRONIZE)
        await connection.execute(_AUDITED)
        await connection.execute("ANALYZE")
        await connection.close()
        yield url
    finally:
        await asyncio.to_thread(postgres.stop)
        await asyncio.to_thread(shutil.rmtree, root, True)


async def track(connection: asyncpg.Connection, start: dict[str, tuple[str, bytes, str]]) -> None:
    """Track these accounts too: where each stands (rev, root, key), by DID."""
    for did, (rev, data, key) in start.items():
        actor = await connection.fetchval("INSERT INTO network.actors (did) VALUES ($1) RETURNING actor_id", did)
        await connection.execute(_TRACK_ONE, actor, rev, data, key)


@contextmanager
def running(
    command: list[str], database_url: str, relay: str, **environment: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run `plyr …` against a relay; whatever it says goes to a file that is shown when it ends by itself."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "plyr", *command],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env={
                **os.environ,
                "PLYR_DATABASE_URL": database_url,
                "PLYR_RELAY_URL": relay,
                "PLYR_PLC_URL": "http://127.0.0.1:1",
                "PLYR_LOG_LEVEL": "warning",
                **environment,
            },
        )
        try:
            yield process
            if process.poll() is not None:
                said.seek(0)
                raise RuntimeError(f"plyr ended with {process.returncode}: {said.read()[-2000:].decode()}")
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def memory_mb(pid: int, what: str = "VmRSS") -> float:
    """Return the resident memory of a process in megabytes; `VmHWM` is the most that it ever had."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) / 1000
    raise RuntimeError(f"no {what} of process {pid}")


async def cursor_reaches(connection: asyncpg.Connection, seq: int, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the stored cursor is there."""
    async with asyncio.timeout(GUARD_SECONDS):
        while (await connection.fetchval("SELECT max(seq) FROM network.cursors") or 0) < seq:
            if process.poll() is not None:
                raise RuntimeError(f"plyr ended with {process.returncode}")
            await asyncio.sleep(0.01)
