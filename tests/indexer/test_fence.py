"""Two indexers on one database: only the one that took the lead last writes, whatever the other believes."""

from collections.abc import AsyncIterator

import pytest
import world
from harness import OTHER, TRACK, Harness, harness, publish, synchronized, track
from indexer_pair import Pair, pair

from indexer.leadership import Superseded


@pytest.fixture
async def indexer(database_url: str) -> AsyncIterator[Harness]:
    async with harness(database_url, world.World(21)) as made:
        yield made


@pytest.fixture
async def both(database_url: str) -> AsyncIterator[Pair]:
    async with pair(database_url, world.World(22)) as made:
        yield made


async def everything(indexer: Harness) -> list[list[tuple[object, ...]]]:
    tables = ("repos", "records", "tracks", "cursors", "collection_totals", "leadership")
    return [await indexer.rows(f"SELECT * FROM network.{name} ORDER BY 1, 2") for name in tables]


async def test_who_was_overtaken_writes_nothing(both: Pair) -> None:
    account = await synchronized(both.first)
    await both.second.load()  # it takes the lead
    before = await everything(both.second)
    both.first.feed(publish(both.first, account, ("create", OTHER, track("too late"))))

    with pytest.raises(Superseded):
        await both.first.write()
    assert await everything(both.second) == before


async def test_a_batch_without_a_cursor_is_fenced_too(both: Pair) -> None:
    account = await synchronized(both.first)
    await both.second.load()
    both.first.repos.by_did[account.did].handle = "changed.world.test"
    both.first.journal.touch(both.first.repos.by_did[account.did])

    with pytest.raises(Superseded):
        await both.first.write()
    assert (await both.second.repo(account))["handle"] == account.handle


async def test_who_leads_goes_on_from_what_the_other_had_written(both: Pair) -> None:
    account = await synchronized(both.first)
    both.first.feed(publish(both.first, account, ("create", OTHER, track("Two"))))
    await both.first.write()
    await both.second.load()
    both.second.feed(publish(both.second, account, ("update", TRACK, track("Three"))))
    await both.second.write()

    assert await both.second.titles() == ["Three", "Two"]
    assert both.second.repos.by_did[account.did].rev == account.rev


async def test_a_cursor_that_somebody_moved_is_not_moved_on(indexer: Harness) -> None:
    account = await synchronized(indexer)
    await indexer.pool.execute("UPDATE network.cursors SET seq = seq + 1000")
    indexer.feed(publish(indexer, account, ("create", OTHER, track("Two"))))

    with pytest.raises(Superseded, match=r"relay\.test"):
        await indexer.write()
    assert await indexer.titles() == ["One"]


async def test_a_commit_whose_outcome_was_not_heard_is_done_again_and_counts_once(indexer: Harness) -> None:
    account = await synchronized(indexer)
    indexer.feed(publish(indexer, account, ("create", OTHER, track("Two"))))
    taken = indexer.writer._capture(indexer.journal.take_now())
    await indexer.writer._write_once(taken)  # committed, but the connection broke before that was heard
    indexer.writer._in_hand = taken
    await indexer.write()
    indexer.feed(publish(indexer, account, ("update", TRACK, track("Three"))))
    await indexer.write()

    assert await indexer.titles() == ["Three", "Two"]
    assert await indexer.value("SELECT accepted FROM network.collection_totals WHERE collection = 'fm.plyr.track'") == 2
