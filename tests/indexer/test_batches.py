"""What one transaction of the writer holds: all of a batch in its order, or nothing of it."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
import world
from harness import OTHER, TRACK, Harness, harness, publish, synchronized, track

from indexer.journal import CommitUnit, RecordChange, SnapshotUnit

GUARD_SECONDS = 60
BAD = "fm.plyr.track/3mbd3542kzc2z"


@pytest.fixture
async def indexer(database_url: str) -> AsyncIterator[Harness]:
    async with harness(database_url, world.World(44)) as made:
        yield made


def encoded(record: world.Record) -> tuple[bytes, bytes]:
    raw = world.encode(record)
    return world.cid_of(raw), raw


async def test_a_transaction_that_fails_takes_the_cursor_back(indexer: Harness, database_url: str) -> None:
    account = await synchronized(indexer)
    before = await indexer.value("SELECT seq FROM network.cursors")
    indexer.feed(publish(indexer, account, ("create", OTHER, track("Two"))))
    admin = await asyncpg.connect(database_url)
    await admin.execute("ALTER TABLE network.tracks RENAME TO hidden")
    with pytest.raises(asyncpg.UndefinedTableError):
        await indexer.write()
    assert await indexer.value("SELECT seq FROM network.cursors") == before

    await admin.execute("ALTER TABLE network.hidden RENAME TO tracks")
    await admin.close()
    await indexer.write()
    assert await indexer.titles() == ["One", "Two"]
    assert await indexer.value("SELECT seq FROM network.cursors") == indexer.world.seq


async def test_a_batch_is_written_in_the_order_of_its_units(indexer: Harness) -> None:
    account = await synchronized(indexer)
    for older, newer in (("first", "second"), ("third", "fourth")):
        rev = indexer.world.tid()
        indexer.journal.enter(CommitUnit(account.did, rev, (RecordChange(TRACK, *encoded(track(older))),)))
        rev = indexer.world.tid()
        indexer.journal.enter(SnapshotUnit(account.did, rev, {TRACK: encoded(track(newer))}))
    await indexer.write()

    assert await indexer.titles() == ["fourth"]


async def test_what_one_batch_makes_and_deletes_leaves_what_two_would(indexer: Harness) -> None:
    account = await synchronized(indexer)
    for path, is_written_between in ((OTHER, False), (BAD, True)):
        indexer.feed(publish(indexer, account, ("create", path, track("Two"))))
        if is_written_between:
            await indexer.write()
        indexer.feed(publish(indexer, account, ("delete", path, None)))
        await indexer.write()

    assert await indexer.verdict(account, OTHER) == await indexer.verdict(account, BAD) == ("deleted", [])


async def test_nothing_is_built_upon_what_the_database_refused(indexer: Harness, database_url: str) -> None:
    account = await synchronized(indexer)
    admin = await asyncpg.connect(database_url)
    await admin.execute("ALTER TABLE network.tracks ADD CONSTRAINT test_refuses CHECK (title <> 'refused')")
    await admin.close()
    indexer.feed(
        publish(indexer, account, ("create", OTHER, track("refused"))),
        publish(indexer, account, ("update", TRACK, track("later"))),
    )
    await indexer.write()

    row = await indexer.repo(account)
    assert (row["sync_status"], row["rev"]) == ("error", None)
    assert await indexer.titles() == ["One"]


async def test_a_connection_that_is_cut_in_mid_transaction_costs_time_and_nothing_else(
    indexer: Harness, database_url: str
) -> None:
    account = await synchronized(indexer)
    admin, watcher = await asyncpg.connect(database_url), await asyncpg.connect(database_url)
    waiting = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(GUARD_SECONDS):
        async with admin.transaction():
            await admin.execute("LOCK TABLE network.records IN ACCESS EXCLUSIVE MODE")
            indexer.feed(publish(indexer, account, ("create", OTHER, track("Two"))))
            writing = asyncio.create_task(indexer.write())
            while not await watcher.fetchval(f"SELECT count(*) {waiting}"):
                await asyncio.sleep(0.005)
            assert (
                await watcher.fetchval(f"SELECT count(*) FILTER (WHERE pg_terminate_backend(pid, 30000)) {waiting}")
                == 1
            )
        await writing
    await admin.close()
    await watcher.close()

    assert await indexer.titles() == ["One", "Two"]
    assert await indexer.value("SELECT seq FROM network.cursors") == indexer.world.seq
