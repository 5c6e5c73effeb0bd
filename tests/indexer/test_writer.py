"""What the writer owes when it is interrupted, and when texts come that Postgres cannot hold."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
import world
from harness import OTHER, TRACK, Harness, harness, like, publish, synchronized, track

from indexer.journal import SnapshotUnit
from indexer.records import Reading

GUARD_SECONDS = 60


@pytest.fixture
async def indexer(database_url: str) -> AsyncIterator[Harness]:
    async with harness(database_url, world.World(5)) as made:
        yield made


async def waits_for_lock(admin: asyncpg.Connection) -> None:
    """Wait until somebody else's statement waits for a lock."""
    async with asyncio.timeout(GUARD_SECONDS):
        while not await admin.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ):
            await asyncio.sleep(0.005)


async def test_a_batch_that_is_interrupted_in_mid_transaction_is_written_before_the_end(
    indexer: Harness, database_url: str
) -> None:
    account = await synchronized(indexer)
    admin, watcher = await asyncpg.connect(database_url), await asyncpg.connect(database_url)
    writing = asyncio.create_task(indexer.writer.run())
    async with admin.transaction():
        await admin.execute("LOCK TABLE network.records IN ACCESS EXCLUSIVE MODE")
        indexer.feed(publish(indexer, account, ("create", OTHER, track("Two"))))
        await waits_for_lock(watcher)
        indexer.feed(indexer.world.identity_frame(indexer.world.account()))
        writing.cancel()
        # The interrupted transaction ends; what it held must still be written, before what came after it.
        await asyncio.sleep(0)
    async with asyncio.timeout(GUARD_SECONDS):
        await asyncio.gather(writing, return_exceptions=True)
    await admin.close()
    await watcher.close()

    assert await indexer.titles() == ["One", "Two"]
    assert (await indexer.repo(account))["rev"] == account.rev
    assert await indexer.value("SELECT seq FROM network.cursors") == indexer.world.seq


@pytest.mark.parametrize("status", ["odd\0status", "s" * 1_000_000])
async def test_a_status_that_postgres_cannot_hold_stops_nobody(indexer: Harness, status: str) -> None:
    account = await synchronized(indexer)
    indexer.feed(indexer.world.account_frame(account, False, status))
    await indexer.settle()

    row = await indexer.repo(account)
    assert (row["active"], len(row["upstream_status"]) <= 100) == (False, True)
    assert await indexer.value("SELECT seq FROM network.cursors") == indexer.world.seq


async def test_a_detail_that_postgres_cannot_hold_stops_nobody(indexer: Harness) -> None:
    account = await synchronized(indexer)
    indexer.repos.by_did[account.did].cause_detail = "a server that says \0 and \ud800"
    indexer.journal.touch(indexer.repos.by_did[account.did])
    await indexer.write()

    assert (await indexer.repo(account))["cause_detail"] == "a server that says \ufffd and ?"


async def test_long_texts_that_are_indexed_cost_no_repository(indexer: Harness) -> None:
    account = await synchronized(indexer)
    noise = "".join(chr(0x4E00 + (index * 7919) % 20_000) for index in range(20_000))
    one_grapheme = "a" + "".join(chr(0x300 + (index * 31) % 0x50) for index in range(20_000))
    album = {"$type": "fm.plyr.list", "items": [], "listType": noise, "createdAt": "2026-01-03T00:00:00.000Z"}
    indexer.feed(
        publish(
            indexer,
            account,
            ("create", OTHER, track("Tagged", tags=[one_grapheme, "plain"])),
            ("create", "fm.plyr.list/3mbd3542kzc2a", album),
        )
    )
    await indexer.write()

    assert (await indexer.repo(account))["sync_status"] == "synchronized"
    assert await indexer.titles() == ["One", "Tagged"]
    assert await indexer.value("SELECT tags[2] FROM network.tracks WHERE title = 'Tagged'") == "plain"
    assert await indexer.value("SELECT count(*) FROM network.lists") == 1


async def test_a_large_snapshot_is_written_in_slices_that_let_others_work(indexer: Harness) -> None:
    account = await synchronized(indexer)
    records = dict(account.records)
    for number in range(1200):
        records[f"fm.plyr.like/3mbd3542k{number:04d}".translate(str.maketrans("0189", "abcd"))] = like(account, TRACK)
    read = longest = 0

    class CountingReader:
        def read(self, path: str, raw: bytes) -> Reading:
            nonlocal read, longest
            read += 1
            longest = max(longest, read)
            return indexer.reader.read(path, raw)

    async def others() -> None:
        nonlocal read
        while True:
            read = 0
            await asyncio.sleep(0)

    indexer.writer._reader = CountingReader()  # type: ignore[assignment]

    encoded = {path: world.encode(record) for path, record in records.items()}
    assert len(encoded) == 1201
    snapshot = {path: (world.cid_of(raw), raw) for path, raw in encoded.items()}
    indexer.journal.enter(SnapshotUnit(account.did, indexer.world.tid(), snapshot))
    working = asyncio.create_task(others())
    await indexer.write()
    working.cancel()

    assert 0 < longest <= 500
    assert await indexer.value("SELECT count(*) FROM network.likes") == 1200
    assert await indexer.rows("SELECT like_count FROM network.track_counters") == [(1,)]

    indexer.journal.enter(SnapshotUnit(account.did, indexer.world.tid(), {TRACK: snapshot[TRACK]}))
    await indexer.write()
    assert await indexer.value("SELECT count(*) FROM network.likes") == 0
    assert await indexer.rows("SELECT like_count FROM network.track_counters") == []
    assert await indexer.titles() == ["One"]
