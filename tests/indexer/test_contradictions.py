"""What a second upstream contradicts is asked, and what was to be fetched before is fetched all the same."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import world
from harness import OTHER, Harness, Limits, harness, publish, synchronized, track

from indexer.decisions import SyncStatus
from indexer.processor import Upstream

WITNESS = Upstream("witness.test", is_primary=False)


@pytest.fixture
async def indexer(database_url: str) -> AsyncIterator[Harness]:
    async with harness(database_url, world.World(41)) as made:
        yield made


async def test_a_contradiction_does_not_make_up_for_a_fetch_that_is_due(indexer: Harness) -> None:
    account = await synchronized(indexer)
    account.commit([("create", OTHER, track("Two"))])
    indexer.server.down.add("getRepo")
    indexer.feed(indexer.world.sync_frame(account))
    await indexer.settle(rounds=2)
    indexer.feed(indexer.world.account_frame(account, False, "deactivated"), upstream=WITNESS)
    indexer.server.down.clear()
    await indexer.settle()

    assert (await indexer.repo(account))["sync_status"] == "synchronized"
    assert await indexer.titles() == ["One", "Two"]


async def test_a_contradiction_does_not_make_up_for_what_was_not_listened_to(indexer: Harness) -> None:
    account = await synchronized(indexer)
    indexer.feed(indexer.world.account_frame(account, False, "deactivated"))
    indexer.feed(publish(indexer, account, ("create", OTHER, track("Two"))))
    indexer.clock_offset += timedelta(hours=1)
    indexer.feed(indexer.world.account_frame(account, True))
    indexer.feed(indexer.world.account_frame(account, False, "deactivated"), upstream=WITNESS)
    await indexer.write()
    await indexer.load()
    await indexer.settle()

    assert (await indexer.repo(account))["sync_status"] == "synchronized"
    assert await indexer.titles() == ["One", "Two"]


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_a_contradiction_does_not_make_up_for_a_repository_that_was_too_large(
    database_url: str, *, is_restarted: bool
) -> None:
    async with harness(database_url, world.World(42), Limits(max_repo_bytes=3000)) as indexer:
        account = await synchronized(indexer)
        account.commit([("create", f"{OTHER[:-1]}{letter}", track(letter * 200)) for letter in "abcdefghij"])
        indexer.feed(indexer.world.sync_frame(account))
        await indexer.settle()
        assert indexer.repos.by_did[account.did].sync_status is SyncStatus.TOO_LARGE
        if is_restarted:
            await indexer.load()
        indexer.feed(indexer.world.account_frame(account, False, "deactivated"), upstream=WITNESS)
        await indexer.settle()

        assert (await indexer.repo(account))["sync_status"] == "too-large", "it is still behind its host"


async def test_a_host_that_has_the_repository_again_is_fetched_from_although_it_was_contradicted(
    indexer: Harness,
) -> None:
    account = await synchronized(indexer)
    account.commit([("create", OTHER, track("Two"))])
    indexer.feed(indexer.world.sync_frame(account))

    def contradict(name: str) -> None:
        if name == "getRepo" and not account.active:
            indexer.feed(indexer.world.account_frame(account, False, "deactivated"), upstream=WITNESS)
            account.active = True

    indexer.server.answered = contradict
    account.active = False
    await indexer.settle()

    assert (await indexer.repo(account))["sync_status"] == "synchronized"
    assert await indexer.titles() == ["One", "Two"]


async def test_the_second_of_two_contradictions_is_asked_about_a_little_later(indexer: Harness) -> None:
    account = await synchronized(indexer)
    account.active, account.status = False, "deactivated"
    indexer.feed(indexer.world.account_frame(account, False, "deactivated"), upstream=WITNESS)
    await indexer.settle()
    assert (await indexer.repo(account))["visible"] is False

    account.active, account.status = True, None
    indexer.feed(indexer.world.account_frame(account, True), upstream=WITNESS)
    asked_at = indexer.repos.by_did[account.did].retry_at
    assert asked_at is not None
    assert indexer.now() < asked_at <= indexer.now() + timedelta(minutes=5)
    await indexer.settle()
    assert (await indexer.repo(account))["visible"] is True
    assert await indexer.titles() == ["One"]
