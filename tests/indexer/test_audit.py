"""Audits against real hosts: what differs is found and put right, and nothing else is touched."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import world
from harness import OTHER, TRACK, Harness, harness, publish, synchronized, track

from indexer.decisions import Cause, SyncStatus
from indexer.journal import Position

GUARD_SECONDS = 60


@pytest.fixture
async def indexer(database_url: str) -> AsyncIterator[Harness]:
    async with harness(database_url, world.World(11)) as made:
        yield made


async def test_a_commit_that_never_came_is_found_and_only_that_repository_is_fetched(indexer: Harness) -> None:
    missed, *_ = [await synchronized(indexer) for _ in range(4)]
    missed.commit([("create", OTHER, track("never announced"))])

    assert await indexer.audited() == {"same": 3, "behind": 1}
    row = await indexer.repo(missed)
    assert (row["cause"], row["cause_detail"][:8]) == ("audit", "here rev")
    await indexer.settle()
    assert indexer.server.requests["getRepo"] == 1
    assert "never announced" in await indexer.titles()
    assert await indexer.audited() == {"same": 4}
    assert indexer.metrics.share_of_same == 1.0


async def test_a_deactivation_that_never_came_hides_the_account(indexer: Harness) -> None:
    account = await synchronized(indexer)
    account.active, account.status = False, "deactivated"

    assert await indexer.audited() == {"status": 1}
    await indexer.settle()
    row = await indexer.repo(account)
    assert (row["visible"], row["upstream_status"]) == (False, "deactivated")
    assert await indexer.audited() == {"same": 1}


async def test_a_reactivation_that_never_came_shows_the_account_with_what_it_did_meanwhile(indexer: Harness) -> None:
    account = await synchronized(indexer)
    indexer.feed(indexer.world.account_frame(account, False, "deactivated"))
    await indexer.settle()
    account.commit([("create", OTHER, track("Two"))])

    assert await indexer.audited() == {"status": 1}
    await indexer.settle()
    assert (await indexer.repo(account))["visible"] is True
    assert await indexer.titles() == ["One", "Two"]


async def test_a_relays_takedown_stays_whatever_the_host_says(indexer: Harness) -> None:
    account = await synchronized(indexer)
    indexer.feed(indexer.world.account_frame(account, False, "takendown"))

    assert await indexer.audited() == {"withheld": 1}
    await indexer.settle()
    assert (await indexer.repo(account))["visible"] is False


async def test_a_deletion_that_never_came_is_confirmed_and_purged(indexer: Harness) -> None:
    account = await synchronized(indexer)
    account.active, account.status = False, "deleted"
    indexer.server.tombstoned.add(account.did)

    assert await indexer.audited() == {"status": 1}
    await indexer.settle()
    assert (await indexer.repo(account))["purged_at"] is not None
    assert await indexer.titles() == []


async def test_a_host_that_is_down_changes_nothing(indexer: Harness) -> None:
    accounts = [await synchronized(indexer) for _ in range(5)]
    accounts[0].commit([("update", TRACK, track("Two"))])
    indexer.server.down |= {"getLatestCommit", "getRepoStatus"}
    before = await indexer.rows("SELECT * FROM network.repos ORDER BY actor_id")
    identities = [(repo.did, repo.identity_at) for repo in indexer.repos.by_did.values()]

    assert await indexer.audited() == {"unreachable": 5}
    assert indexer.server.requests["getLatestCommit"] == 3, "after some failures in a row it is left alone"
    after = await indexer.rows("SELECT * FROM network.repos ORDER BY actor_id")
    assert len(before) == len(after)
    assert {repo.sync_status for repo in indexer.repos.by_did.values()} == {SyncStatus.SYNCHRONIZED}
    assert identities


async def test_a_directory_that_is_down_leaves_a_repository_uncompared(indexer: Harness) -> None:
    account = await synchronized(indexer)
    indexer.server.down.add("plc")
    indexer.world.now_us += 1000

    assert await indexer.audited() == {"unreachable": 1}
    assert (await indexer.repo(account))["sync_status"] == "synchronized"


async def test_a_host_that_does_not_tell_its_latest_commit_is_asked_for_the_status(indexer: Harness) -> None:
    behind, same = await synchronized(indexer), await synchronized(indexer)
    behind.commit([("update", TRACK, track("Two"))])
    indexer.server.down.add("getLatestCommit")

    assert await indexer.audited() == {"same": 1, "behind": 1}
    assert same.rev is not None


async def test_the_commit_counts_and_not_what_the_host_says_of_its_rev(indexer: Harness) -> None:
    """After a migration the new host tells a rev that is not that of the commit it serves, until the first write."""
    account = await synchronized(indexer)
    indexer.server.told_revs[account.did] = indexer.world.tid()

    assert await indexer.audited() == {"same": 1}


async def test_two_commits_with_one_rev_are_a_fork_and_the_hosts_is_taken(indexer: Harness) -> None:
    account = await synchronized(indexer)
    kept_rev = account.rev
    account.commit([("update", TRACK, track("other"))])
    account.head, account.head_block = account.sign_commit(account.tree.root, str(kept_rev))
    account.rev = kept_rev

    assert await indexer.audited() == {"forked": 1}
    await indexer.settle()
    assert await indexer.titles() == ["other"]
    assert indexer.metrics.events["indexer.fork"] == 1


async def test_a_host_that_was_set_back_is_believed_in_the_end(indexer: Harness) -> None:
    account = await synchronized(indexer)
    kept = (account.head, account.head_block, account.rev, account.tree, dict(account.records))
    indexer.feed(publish(indexer, account, ("update", TRACK, track("Two"))))
    await indexer.write()
    account.head, account.head_block, account.rev, account.tree, account.records = kept

    assert await indexer.audited() == {"ahead": 1}
    await indexer.settle(rounds=10)
    assert await indexer.titles() == ["One"]
    assert await indexer.audited() == {"same": 1}


async def test_a_commit_that_arrives_while_its_host_is_asked_is_no_difference(indexer: Harness) -> None:
    account = await synchronized(indexer)
    frame = publish(indexer, account, ("update", TRACK, track("Two")))
    look = indexer.audit._look

    async def slow(pds: str, did: object) -> object:
        if indexer.server.requests["getLatestCommit"] == 1:
            indexer.feed(frame)  # it was on its way when the host was asked first
        return await look(pds, did)  # type: ignore[arg-type]

    indexer.audit._look = slow  # type: ignore[assignment]
    assert await indexer.audited() == {"same": 1}
    assert indexer.server.requests["getLatestCommit"] == 2
    assert indexer.server.requests["getRepo"] == 0


async def test_what_is_under_repair_is_fetched_and_not_believed_for_what_waits(indexer: Harness) -> None:
    account = await synchronized(indexer)
    indexer.feed(indexer.world.identity_frame(account))
    account.commit([("update", TRACK, track("missed"))])

    assert await indexer.audited() == {"under-repair": 1}
    await indexer.settle()
    assert await indexer.titles() == ["missed"]


async def test_an_account_that_moved_unnoticed_is_compared_with_its_new_host(indexer: Harness) -> None:
    account = await synchronized(indexer)
    account.commit([("update", TRACK, track("moved"))])
    repo = indexer.repos.by_did[account.did]
    repo.pds = "https://old.example.com"
    indexer.world.now_us += 1000

    assert await indexer.audited() == {"behind": 1}
    assert repo.pds == indexer.server.url
    await indexer.settle()
    assert await indexer.titles() == ["moved"]


async def test_an_audit_that_was_asked_for_survives_the_process(indexer: Harness) -> None:
    account = await synchronized(indexer)
    account.commit([("update", TRACK, track("missed"))])
    indexer.audit.request("a gap")
    await indexer.write()
    await indexer.load()  # killed

    running = asyncio.create_task(indexer.audit.run())
    async with asyncio.timeout(GUARD_SECONDS):
        while indexer.repos.by_did[account.did].sync_status is SyncStatus.SYNCHRONIZED:
            await asyncio.sleep(0.01)
        while not indexer.audit.is_idle:
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await indexer.write()

    (reason, counts, finished_at) = (await indexer.rows("SELECT reason, counts, finished_at FROM network.audits"))[0]
    assert (reason, json.loads(counts)) == ("a gap", {"behind": 1})
    assert finished_at is not None


async def test_an_audit_that_was_asked_for_does_not_wait_for_the_daily_one(indexer: Harness) -> None:
    account = await synchronized(indexer)
    await indexer.audited()
    indexer.clock_offset += timedelta(minutes=1)
    indexer.audit.request("a gap")
    await indexer.write()
    await indexer.load()  # killed
    account.commit([("update", TRACK, track("missed"))])

    running = asyncio.create_task(indexer.audit.run())
    async with asyncio.timeout(GUARD_SECONDS):
        while indexer.repos.by_did[account.did].sync_status is SyncStatus.SYNCHRONIZED:
            assert not running.done()
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert indexer.repos.by_did[account.did].cause is Cause.AUDIT


async def test_the_end_of_an_audit_is_written_after_the_repairs_it_asked_for(indexer: Harness) -> None:
    account = await synchronized(indexer)
    account.commit([("update", TRACK, track("missed"))])
    indexer.audit.request("a gap")
    await indexer.write()
    await indexer.audit.audit()
    await indexer.load()  # killed before anything was written

    assert await indexer.value("SELECT finished_at FROM network.audits") is None
    assert (await indexer.repo(account))["sync_status"] == "synchronized"


async def test_without_a_reason_there_is_an_audit_a_day(indexer: Harness) -> None:
    await synchronized(indexer)
    running = asyncio.create_task(indexer.audit.run())
    async with asyncio.timeout(GUARD_SECONDS):
        while indexer.metrics.events["indexer.audited"] == 0:
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await indexer.write()

    assert await indexer.rows("SELECT reason FROM network.audits") == [("daily",)]


async def test_what_the_database_had_refused_is_tried_again(indexer: Harness) -> None:
    account = await synchronized(indexer)
    repo = indexer.repos.by_did[account.did]
    repo.sync_status = SyncStatus.ERROR
    repo.forget_commits()
    account.commit([("update", TRACK, track("better"))])

    assert await indexer.audited() == {"under-repair": 1}
    await indexer.settle()
    assert await indexer.titles() == ["better"]


async def test_no_audit_begins_before_every_stream_is_open_and_live(indexer: Harness) -> None:
    await synchronized(indexer)
    indexer.audit.expect(2)
    streams = [Position("one.test", "x", 7), Position("two.test", "x", 7)]
    assert not await indexer.audit._are_live(streams[:1])
    assert not await indexer.audit._are_live(streams), "they are being connected"

    streams[0].is_open = streams[1].is_open = True
    assert await indexer.audit._are_live(streams), "open and quiet"
