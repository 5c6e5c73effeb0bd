"""Several upstreams at once: what they bring is one history, whoever brings it first, twice or not at all."""

from collections.abc import AsyncIterator

import pytest
import world
from harness import OTHER, RELAY, TRACK, Harness, harness, publish, synchronized, track

from indexer.decisions import Cause, SyncStatus
from indexer.processor import Upstream

WITNESS = Upstream("witness.test", is_primary=False)


@pytest.fixture
async def indexer(database_url: str) -> AsyncIterator[Harness]:
    async with harness(database_url, world.World(31)) as made:
        yield made


def pds_of(indexer: Harness) -> Upstream:
    """The account's own host as an upstream."""
    upstream = Upstream(f"localhost:{indexer.server.port}", indexer.server.url)
    indexer.processor.follow(upstream)
    return upstream


async def test_what_two_bring_counts_once(indexer: Harness) -> None:
    account = await synchronized(indexer)
    frames = [publish(indexer, account, ("create", f"{OTHER[:-1]}{n}", track(f"T{n}"))) for n in "456"]
    for frame in frames:
        indexer.feed(frame)
        indexer.feed(frame, upstream=WITNESS)
    await indexer.write()

    assert await indexer.titles() == ["One", "T4", "T5", "T6"]
    assert indexer.metrics.ignored["replayed"] == 3
    assert indexer.server.requests.total() == 0


async def test_what_one_missed_the_other_brings_and_nothing_is_fetched(indexer: Harness) -> None:
    account = await synchronized(indexer)
    two, three, four = (publish(indexer, account, ("create", f"{OTHER[:-1]}{n}", track(f"T{n}"))) for n in "456")
    indexer.feed(three, four)  # the first of three was dropped here
    assert indexer.repos.by_did[account.did].cause is Cause.BROKEN_CHAIN
    indexer.feed(two, three, upstream=WITNESS)
    await indexer.settle()

    assert await indexer.titles() == ["One", "T4", "T5", "T6"]
    assert indexer.server.requests.total() == 0


async def test_of_two_copies_of_a_commit_the_one_that_is_whole_is_enough(indexer: Harness) -> None:
    account = await synchronized(indexer)
    commit = account.commit([("update", TRACK, track("Two"))])
    broken = indexer.world.commit_frame(account, commit, blocks=world.car(commit.cid, {commit.cid: commit.block}))
    indexer.feed(broken)
    assert indexer.repos.by_did[account.did].cause is Cause.PARTIAL_PROOF
    indexer.feed(indexer.world.commit_frame(account, commit), upstream=WITNESS)
    await indexer.settle()

    assert await indexer.titles() == ["Two"]
    assert indexer.server.requests.total() == 0


async def test_what_nobody_brings_is_fetched(indexer: Harness) -> None:
    account = await synchronized(indexer)
    publish(indexer, account, ("create", OTHER, track("missed by all")))
    last = publish(indexer, account, ("update", TRACK, track("Two")))
    indexer.feed(last)
    indexer.feed(last, upstream=WITNESS)
    await indexer.settle()

    assert await indexer.titles() == ["Two", "missed by all"]
    assert indexer.server.requests["getRepo"] == 1


async def test_a_witness_that_says_an_account_is_gone_has_its_host_asked(indexer: Harness) -> None:
    account = await synchronized(indexer)
    indexer.feed(indexer.world.account_frame(account, False, "deactivated"), upstream=WITNESS)
    assert (await indexer.repo(account))["visible"] is True
    await indexer.settle()
    assert (await indexer.repo(account))["sync_status"] == "synchronized", "its host says that it is active"
    assert indexer.server.requests["getRepo"] == 0

    account.active, account.status = False, "deactivated"
    indexer.clock_offset += 2 * (indexer.clock_offset.resolution * 300_000_000)
    indexer.feed(indexer.world.account_frame(account, False, "deactivated"), upstream=WITNESS)
    await indexer.settle()
    row = await indexer.repo(account)
    assert (row["visible"], row["upstream_status"]) == (False, "deactivated")


async def test_a_witness_that_agrees_costs_nothing(indexer: Harness) -> None:
    account = await synchronized(indexer)
    indexer.feed(indexer.world.account_frame(account, True), upstream=WITNESS)

    assert indexer.repos.by_did[account.did].sync_status is SyncStatus.SYNCHRONIZED
    assert indexer.woken == set()


async def test_a_witness_cannot_make_us_ask_without_end(indexer: Harness) -> None:
    account = await synchronized(indexer)
    for _ in range(10):
        indexer.feed(indexer.world.account_frame(account, False), upstream=WITNESS)
        await indexer.settle()

    assert indexer.server.requests["getRepoStatus"] == 1


async def test_an_accounts_own_host_decides_about_it_and_no_relay(indexer: Harness) -> None:
    account = await synchronized(indexer)
    host = pds_of(indexer)
    away, back = indexer.world.account_frame(account, False, "deactivated"), indexer.world.account_frame(account, True)
    indexer.feed(away, back, upstream=host)
    indexer.feed(away)  # the relay is late
    assert (await indexer.repo(account))["active"] is True
    await indexer.settle()
    assert (await indexer.repo(account))["visible"] is True


async def test_numbers_of_one_upstream_say_nothing_about_those_of_another(indexer: Harness) -> None:
    account = await synchronized(indexer)
    indexer.world.seq = 5_000_000
    indexer.feed(indexer.world.account_frame(account, True))
    indexer.world.seq = 7
    indexer.feed(indexer.world.account_frame(account, False, "deactivated"), upstream=pds_of(indexer))
    await indexer.write()

    assert (await indexer.repo(account))["visible"] is False


async def test_from_a_host_only_what_it_hosts_is_taken(indexer: Harness) -> None:
    account = await synchronized(indexer)
    elsewhere = Upstream("old.example.com", "https://old.example.com")
    indexer.feed(
        publish(indexer, account, ("update", TRACK, track("Two"))),
        indexer.world.account_frame(account, False, "deactivated"),
        upstream=elsewhere,
    )
    await indexer.settle()

    assert (await indexer.repo(account))["visible"] is True
    assert await indexer.titles() == ["One"]
    assert indexer.metrics.ignored["foreign-host"] == 2


async def test_a_commit_of_an_account_that_is_said_to_be_inactive_has_its_host_asked(indexer: Harness) -> None:
    """A relay that lost the account's return drops a part of the network for good; its commits tell."""
    account = await synchronized(indexer)
    indexer.feed(indexer.world.account_frame(account, False, "deactivated"))
    await indexer.settle()
    indexer.feed(publish(indexer, account, ("update", TRACK, track("Two"))))
    await indexer.settle()

    assert (await indexer.repo(account))["visible"] is True
    assert await indexer.titles() == ["Two"]


async def test_a_relays_takedown_is_not_undone_by_a_commit(indexer: Harness) -> None:
    account = await synchronized(indexer)
    indexer.feed(indexer.world.account_frame(account, False, "takendown"))
    indexer.feed(publish(indexer, account, ("update", TRACK, track("Two"))), upstream=RELAY)
    await indexer.settle()

    assert (await indexer.repo(account))["visible"] is False
    assert indexer.server.requests.total() == 0


async def test_what_a_new_host_says_before_the_document_names_it_is_not_lost(indexer: Harness) -> None:
    account = await synchronized(indexer)
    repo = indexer.repos.by_did[account.did]
    repo.pds = "https://old.example.com"
    indexer.feed(indexer.world.identity_frame(account))
    indexer.feed(publish(indexer, account, ("create", OTHER, track("Two"))), upstream=pds_of(indexer))
    assert indexer.metrics.ignored["foreign-host"] == 1
    await indexer.settle()

    assert repo.pds == indexer.server.url
    assert await indexer.titles() == ["One", "Two"]


async def test_an_account_that_is_away_at_its_old_host_and_speaks_at_a_new_one_is_asked_about(indexer: Harness) -> None:
    account = await synchronized(indexer)
    repo = indexer.repos.by_did[account.did]
    repo.pds = "https://old.example.com"
    indexer.feed(
        indexer.world.account_frame(account, False, "deactivated"),
        upstream=Upstream("old.example.com", "https://old.example.com"),
    )
    indexer.feed(indexer.world.account_frame(account, True), upstream=pds_of(indexer))
    indexer.feed(publish(indexer, account, ("create", OTHER, track("Two"))), upstream=pds_of(indexer))
    await indexer.settle()

    assert (await indexer.repo(account))["visible"] is True
    assert await indexer.titles() == ["One", "Two"]
