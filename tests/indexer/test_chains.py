"""What the repair goes on from, and whose snapshots it believes."""

from collections.abc import AsyncIterator

import pytest
import world
from harness import OTHER, TRACK, Harness, harness, publish, synchronized, track


@pytest.fixture(params=["whole", "sparse"])
async def indexer(database_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Harness]:
    async with harness(database_url, world.World(42), sparse=request.param == "sparse") as made:
        yield made


async def test_what_was_dropped_while_it_waited_has_the_repository_fetched(indexer: Harness) -> None:
    account = await synchronized(indexer)
    indexer.feed(indexer.world.identity_frame(account), publish(indexer, account, ("create", OTHER, track("Two"))))
    indexer.repos.by_did[account.did].forget_waiting()
    await indexer.settle()

    assert await indexer.titles() == ["One", "Two"]
    assert indexer.server.requests["getRepo"] + indexer.server.requests["getRecord"] > 0


async def test_commits_that_waited_when_the_process_ended_are_fetched(indexer: Harness) -> None:
    account = await synchronized(indexer)
    indexer.feed(indexer.world.identity_frame(account), publish(indexer, account, ("create", OTHER, track("Two"))))
    await indexer.write()
    await indexer.load()
    await indexer.settle()

    assert await indexer.titles() == ["One", "Two"]
    assert (await indexer.repo(account))["rev"] == account.rev


async def test_a_host_that_serves_another_accounts_repository_is_not_believed(indexer: Harness) -> None:
    account = await synchronized(indexer)
    # The very same key, so that nothing but the name tells them apart.
    twin = indexer.world.account(pds=indexer.server.url)
    twin.key = account.key
    twin.commit([("create", TRACK, track("of the twin"))])
    publish(indexer, account, ("update", TRACK, track("missed")))
    indexer.feed(publish(indexer, account, ("create", OTHER, track("Two"))))
    twin.commit([])
    indexer.server.snapshots[account.did] = twin.export()
    await indexer.mend()
    await indexer.write()

    row = await indexer.repo(account)
    assert (row["sync_status"], row["cause"]) == ("desynchronized", "bad-repo")
    assert await indexer.titles() == ["One"]


async def test_a_first_repository_under_another_key_is_not_believed(indexer: Harness) -> None:
    account = indexer.world.account(pds=indexer.server.url)
    frame = publish(indexer, account, ("create", TRACK, track("One")))
    thief = world.Account(indexer.world, account.did, account.handle, indexer.world.key(), account.pds)
    thief.commit([("create", TRACK, track("stolen"))])
    indexer.server.snapshots[account.did] = thief.export()
    indexer.feed(frame)
    await indexer.mend()
    await indexer.write()

    row = await indexer.repo(account)
    assert (row["sync_status"], row["cause"]) == ("desynchronized", "bad-repo")
    assert await indexer.titles() == []


async def test_what_was_to_be_fetched_when_the_process_ended_is_fetched_by_the_next(indexer: Harness) -> None:
    account = await synchronized(indexer)
    account.commit([("update", TRACK, track("Two"))])
    indexer.feed(indexer.world.sync_frame(account))
    await indexer.write()
    await indexer.load()
    await indexer.settle()

    assert await indexer.titles() == ["Two"]
