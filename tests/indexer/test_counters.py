"""Counts follow what is shown: one like a person, and none of whoever is hidden."""

from collections.abc import AsyncIterator

import pytest
import world
from harness import TRACK, Harness, comment, harness, like, publish, synchronized, track

COUNTS = "SELECT like_count, comment_count FROM network.track_counters"


@pytest.fixture
async def indexer(database_url: str) -> AsyncIterator[Harness]:
    async with harness(database_url, world.World(43)) as made:
        yield made


async def test_two_likes_of_one_person_count_once_after_the_account_came_back(indexer: Harness) -> None:
    account = await synchronized(indexer)
    fan = await synchronized(
        indexer,
        ("create", "fm.plyr.like/3mbd3542kzc2a", like(account, TRACK)),
        ("create", "fm.plyr.like/3mbd3542kzc2b", like(account, TRACK)),
    )
    assert await indexer.rows(COUNTS) == [(1, 0)]

    for active in (False, True):
        fan.active, fan.status = active, None if active else "deactivated"
        indexer.feed(indexer.world.account_frame(fan, active, fan.status))
        await indexer.settle()
        assert await indexer.rows(COUNTS) == ([(1, 0)] if active else [])


async def test_likes_and_comments_of_an_account_that_is_hidden_do_not_count(indexer: Harness) -> None:
    account = await synchronized(indexer)
    fan = await synchronized(indexer)
    frame = publish(
        indexer,
        fan,
        ("create", "fm.plyr.like/3mbd3542kzc2a", like(account, TRACK)),
        ("create", "fm.plyr.comment/3mbd3542kzc2a", comment(account, TRACK)),
    )
    # Hidden by us, not by its host: its commits are still applied.
    repo = indexer.repos.by_did[fan.did]
    repo.takendown = True
    indexer.journal.touch(repo)
    await indexer.write()
    indexer.feed(frame)
    await indexer.write()
    assert await indexer.value("SELECT count(*) FROM network.likes") == 1
    assert await indexer.rows(COUNTS) == []

    repo.takendown = False
    indexer.journal.touch(repo)
    await indexer.write()
    assert await indexer.rows(COUNTS) == [(1, 1)]


async def test_a_purge_takes_back_what_the_account_counted(indexer: Harness) -> None:
    account = await synchronized(indexer)
    fan = await synchronized(
        indexer,
        ("create", "fm.plyr.like/3mbd3542kzc2a", like(account, TRACK)),
        ("create", "fm.plyr.comment/3mbd3542kzc2a", comment(account, TRACK)),
    )
    assert await indexer.rows(COUNTS) == [(1, 1)]

    fan.active, fan.status = False, "deleted"
    indexer.feed(indexer.world.account_frame(fan, False, "deleted"))
    await indexer.settle()
    assert await indexer.value("SELECT count(*) FROM network.likes") == 0
    assert await indexer.rows(COUNTS) == []


async def test_a_track_that_was_shown_with_a_flag_is_taken_back_like_any_other(indexer: Harness) -> None:
    account = await synchronized(indexer, ("create", TRACK, track("x" * 5000)))
    assert await indexer.value("SELECT verdict FROM network.records") == "flagged"

    indexer.feed(publish(indexer, account, ("update", TRACK, track("short"))))
    await indexer.write()
    assert await indexer.titles() == ["short"]
    assert (await indexer.repo(account))["sync_status"] == "synchronized"

    indexer.feed(publish(indexer, account, ("update", TRACK, track("y" * 5000))))
    indexer.feed(publish(indexer, account, ("delete", TRACK, None)))
    await indexer.write()
    assert await indexer.titles() == []
