"""What the indexer makes of single frames, beyond the paths that test_pipeline and test_events walk."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import world
from harness import OTHER, TRACK, Harness, harness, publish, synchronized, track


@pytest.fixture
async def indexer(database_url: str) -> AsyncIterator[Harness]:
    async with harness(database_url, world.World(41)) as made:
        yield made


async def test_a_commit_of_nothing_that_is_ours_moves_the_chain(indexer: Harness) -> None:
    account = await synchronized(indexer)
    indexer.feed(publish(indexer, account, ("create", "app.bsky.feed.post/x", {"text": "hello"})))
    await indexer.write()
    row = await indexer.repo(account)
    assert (row["rev"], row["data"], row["commit_cid"]) == (account.rev, account.tree.root, account.head)

    indexer.feed(publish(indexer, account, ("create", OTHER, track("Two"))))
    await indexer.settle()
    assert await indexer.titles() == ["One", "Two"]
    assert indexer.server.requests.total() == 0


async def test_a_commit_of_an_account_without_a_key_waits_for_one(indexer: Harness) -> None:
    account = await synchronized(indexer)
    indexer.repos.by_did[account.did].signing_key = None
    indexer.feed(publish(indexer, account, ("create", OTHER, track("Two"))))
    await indexer.write()
    row = await indexer.repo(account)
    assert (row["sync_status"], row["cause"], row["seen_rev"]) == ("desynchronized", "no-key", account.rev)

    await indexer.settle()
    assert await indexer.titles() == ["One", "Two"]


async def test_what_an_account_did_while_it_was_away_is_fetched(indexer: Harness) -> None:
    account = await synchronized(indexer)
    indexer.feed(indexer.world.account_frame(account, False, "deactivated"))
    publish(indexer, account, ("update", TRACK, track("Two")))
    indexer.feed(indexer.world.account_frame(account, True))
    await indexer.settle()

    assert await indexer.titles() == ["Two"]
    assert (await indexer.repo(account))["rev"] == account.rev


async def test_a_sync_from_the_future_is_not_believed(indexer: Harness) -> None:
    account = await synchronized(indexer)
    rev = account.rev
    account.head, account.head_block = account.sign_commit(
        account.tree.root, world.tid(indexer.world.now_us + 3_600_000_000)
    )
    indexer.feed(indexer.world.sync_frame(account))
    await indexer.write()

    row = await indexer.repo(account)
    assert (row["sync_status"], row["cause"], row["rev"]) == ("desynchronized", "sync", rev)


async def test_a_rev_from_the_future_is_not_waited_for(indexer: Harness) -> None:
    account = await synchronized(indexer)
    indexer.feed(indexer.world.identity_frame(account))
    future = world.tid(indexer.world.now_us + int(timedelta(days=400).total_seconds()) * 1_000_000)
    before = await indexer.value("SELECT seen_rev FROM network.repos")
    indexer.feed(indexer.world.commit_frame(account, account.commit([]), rev=future))

    repo = indexer.repos.by_did[account.did]
    assert (repo.seen_rev, repo.waiting) == (before, [])
    assert indexer.metrics.events["indexer.bad_rev"] == 1


async def test_a_new_handle_is_not_verified_by_the_old_one(indexer: Harness) -> None:
    account = await synchronized(indexer)
    await indexer.verify_handles()
    assert (await indexer.repo(account))["handle_verified_at"] is not None

    account.handle = "renamed.world.test"
    indexer.feed(indexer.world.identity_frame(account))
    await indexer.settle()
    row = await indexer.repo(account)
    assert (row["handle"], row["handle_verified_at"], row["handle_checked_at"]) == ("renamed.world.test", None, None)
