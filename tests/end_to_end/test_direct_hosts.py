"""Following reference PDSes directly, without a relay: each is believed about its own accounts, through a migration too."""

import asyncio
import itertools
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from local_network import Network, network

pytestmark = pytest.mark.xdist_group("local-network")
ROOT = Path(__file__).resolve().parents[2]
GUARD_SECONDS = 60
TRACK = "fm.plyr.track"
TRACKED = "SELECT count(*) FROM network.repos JOIN network.actors USING (actor_id) WHERE did = $1"


@pytest.fixture(scope="module")
async def net() -> AsyncIterator[Network]:
    async with network(pds=2) as running:
        yield running


@pytest.fixture
async def indexed(net: Network, database_url: str) -> AsyncIterator[str]:
    """Run `plyr index` with both hosts as its upstreams, and give its database."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "plyr", "index"),
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PLYR_DATABASE_URL": database_url,
            "PLYR_RELAY_URL": " ".join(pds.url for pds in net.pds),
            "PLYR_PLC_URL": net.plc_url,
            "PLYR_HANDLE_RESOLVER_URL": net.control_url,
            "PLYR_ALLOWED_HOSTS": " ".join(f"{host}:{port}" for host, port in sorted(net.allowed)),
        },
        stdin=asyncio.subprocess.DEVNULL,
    )
    try:
        yield database_url
        assert process.returncode is None, "plyr index ended by itself"
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()


def track(title: str) -> dict[str, Any]:
    fields = {"title": title, "artist": "A", "fileType": "mp3", "createdAt": "2026-01-01T00:00:00Z"}
    return {"$type": TRACK} | fields


async def until_rows(database_url: str, query: str, *rows: tuple[object, ...]) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        async with asyncio.timeout(GUARD_SECONDS):
            while (found := [tuple(row) for row in await connection.fetch(query)]) != list(rows):
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(f"{found} instead of {list(rows)}")
    finally:
        await connection.close()


async def test_an_account_that_moves_between_them_converges_to_its_new_hosts_truth(net: Network, indexed: str) -> None:
    stays, moves = await net.create_account("stays.pds2.test"), await net.create_account("moves.pds1.test")
    titles = "SELECT title FROM network.tracks ORDER BY title"
    # Both hosts are followed once something of each is there; before, their streams began live at some moment.
    for account, title in ((stays, "0 stays"), (moves, "1 before")):
        connection = await asyncpg.connect(indexed)
        async with asyncio.timeout(GUARD_SECONDS):
            for attempt in itertools.count():
                if await connection.fetchval(TRACKED, account.did):
                    break
                await account.put_record(TRACK, "3mbd3542kzc2a", track(title) | {"attempt": attempt})
                await asyncio.sleep(0.5)
        await connection.close()
    await until_rows(indexed, titles, ("0 stays",), ("1 before",))

    await moves.migrate_to(net.pds[1])  # the old host speaks last: it deactivates what it had
    await moves.create_record(TRACK, track("2 after"))
    await stays.create_record(TRACK, track("3 beside"))

    await until_rows(indexed, titles, ("0 stays",), ("1 before",), ("2 after",), ("3 beside",))
    state = "SELECT pds, sync_status, active FROM network.repos ORDER BY actor_id"
    settled = (net.pds[1].url, "synchronized", True)
    await until_rows(indexed, state, settled, settled)
