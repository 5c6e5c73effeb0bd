"""#sync, #identity and #account in odd orders, upstreams that are hosts, requests, other environments, a database that goes away."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
import world
from harness import CATALOG, OTHER, TRACK, Harness, comment, harness, like, publish, synchronized, track

from indexer.processor import Upstream


@pytest.fixture
async def indexer(database_url: str) -> AsyncIterator[Harness]:
    async with harness(database_url, world.World(4)) as made:
        yield made


async def test_a_sync_of_the_same_tree_moves_the_rev_and_fetches_nothing(indexer: Harness) -> None:
    account = await synchronized(indexer)
    account.commit([])
    indexer.feed(indexer.world.sync_frame(account))
    await indexer.settle()

    assert (await indexer.repo(account))["rev"] == account.rev
    assert indexer.server.requests.total() == 0


async def test_a_sync_of_another_tree_has_the_repository_fetched(indexer: Harness) -> None:
    account = await synchronized(indexer)
    publish(indexer, account, ("update", TRACK, track("Two")))
    indexer.feed(indexer.world.sync_frame(account))
    await indexer.settle()

    assert await indexer.titles() == ["Two"]
    assert indexer.server.requests["getRepo"] == 1


async def test_a_replayed_sync_is_ignored(indexer: Harness) -> None:
    account = await synchronized(indexer)
    old = indexer.world.sync_frame(account)
    indexer.feed(publish(indexer, account, ("update", TRACK, track("Two"))), old)
    await indexer.settle()

    assert indexer.metrics.ignored["replayed"] == 1
    assert await indexer.titles() == ["Two"]
    assert indexer.server.requests.total() == 0


async def test_a_sync_of_another_accounts_commit_does_not_touch_the_repository(indexer: Harness) -> None:
    account, other = await synchronized(indexer), await synchronized(indexer)
    indexer.feed(indexer.world.sync_frame(other, did=account.did))
    await indexer.settle()

    row = await indexer.repo(account)
    assert (row["sync_status"], row["rev"]) == ("synchronized", account.rev)


async def test_right_after_a_migration_the_old_commit_under_the_old_key_is_accepted(indexer: Harness) -> None:
    account = await synchronized(indexer)
    account.key = indexer.world.key()  # the document names the new key; the head is still signed with the old one
    indexer.feed(indexer.world.identity_frame(account), indexer.world.sync_frame(account, rev=indexer.world.tid()))
    await indexer.settle()
    row = await indexer.repo(account)
    assert (row["sync_status"], row["rev"], row["cause_detail"]) == ("synchronized", account.rev, None)

    indexer.feed(publish(indexer, account, ("create", OTHER, track("Two"))))
    await indexer.settle()
    assert await indexer.titles() == ["One", "Two"]


async def test_a_since_that_names_another_rev_is_counted_and_no_reason_to_refuse(indexer: Harness) -> None:
    account = await synchronized(indexer)
    commit = account.commit([("create", OTHER, track("Two"))])
    indexer.feed(indexer.world.commit_frame(account, commit, since=indexer.world.tid()))
    await indexer.settle()

    assert await indexer.titles() == ["One", "Two"]
    assert indexer.metrics.events["indexer.since_mismatch"] == 1
    assert indexer.server.requests.total() == 0


async def test_commits_of_an_inactive_account_are_ignored(indexer: Harness) -> None:
    account = await synchronized(indexer)
    indexer.feed(
        indexer.world.account_frame(account, False, "takendown"),
        publish(indexer, account, ("update", TRACK, track("Two"))),
    )
    await indexer.settle()

    assert await indexer.titles() == ["One"]
    row = await indexer.repo(account)
    assert (row["active"], row["upstream_status"]) == (False, "takendown")


async def test_an_unknown_status_hides_as_any_other_does(indexer: Harness) -> None:
    account = await synchronized(indexer)
    indexer.feed(indexer.world.account_frame(account, False, "gone-fishing"))
    await indexer.settle()

    assert (await indexer.repo(account))["visible"] is False


async def test_a_host_that_does_not_serve_the_repository_any_more_is_believed(indexer: Harness) -> None:
    account = await synchronized(indexer)
    account.active, account.status = False, "suspended"
    publish(indexer, account, ("update", TRACK, track("Two")))
    indexer.feed(publish(indexer, account, ("update", TRACK, track("Three"))))
    await indexer.settle()

    row = await indexer.repo(account)
    assert (row["active"], row["upstream_status"]) == (False, "suspended")


async def test_an_unreachable_directory_is_asked_again_and_nothing_is_lost(indexer: Harness) -> None:
    indexer.server.down.add("plc")
    account = indexer.world.account(pds=indexer.server.url)
    indexer.feed(publish(indexer, account, ("create", TRACK, track("One"))))
    await indexer.settle(rounds=2)
    row = await indexer.repo(account)
    assert (row["sync_status"], row["cause"], row["retry_count"]) == ("desynchronized", "identity-unresolvable", 2)
    assert row["retry_at"] is not None

    indexer.server.down.clear()
    await indexer.settle()
    assert await indexer.titles() == ["One"]


async def test_an_unreachable_host_is_asked_again_and_changes_no_status(indexer: Harness) -> None:
    account = await synchronized(indexer)
    indexer.server.down |= {"getRepo", "getRepoStatus"}
    publish(indexer, account, ("update", TRACK, track("missed")))
    indexer.feed(publish(indexer, account, ("create", OTHER, track("Two"))))
    await indexer.settle(rounds=2)
    row = await indexer.repo(account)
    assert (row["active"], row["sync_status"], row["cause"]) == (True, "desynchronized", "pds-unreachable")

    indexer.server.down.clear()
    await indexer.settle()
    assert await indexer.titles() == ["Two", "missed"]


async def test_a_tombstoned_did_counts_as_deleted(indexer: Harness) -> None:
    account = await synchronized(indexer)
    indexer.server.tombstoned.add(account.did)
    indexer.feed(indexer.world.identity_frame(account))
    await indexer.settle()

    row = await indexer.repo(account)
    assert (row["active"], row["upstream_status"]) == (False, "deleted")
    assert await indexer.value("SELECT count(*) FROM network.records") == 0


async def test_an_upstream_that_is_a_host_is_believed_about_its_own_accounts_only(indexer: Harness) -> None:
    here, elsewhere = Upstream("here", indexer.server.url), Upstream("elsewhere", "https://elsewhere.example.com")
    account = indexer.world.account(pds=indexer.server.url)
    indexer.feed(publish(indexer, account, ("create", TRACK, track("One"))), upstream=here)
    await indexer.settle()
    assert await indexer.titles() == ["One"]

    indexer.feed(
        indexer.world.account_frame(account, False, "deactivated"),
        indexer.world.sync_frame(account),
        upstream=elsewhere,
    )
    await indexer.settle()
    assert (await indexer.repo(account))["visible"] is True
    assert indexer.metrics.ignored["foreign-host"] == 2

    indexer.feed(publish(indexer, account, ("update", TRACK, track("Two"))), upstream=here)
    await indexer.settle()
    assert await indexer.titles() == ["Two"]


async def test_a_request_brings_in_an_account_that_no_relay_told_of(indexer: Harness, database_url: str) -> None:
    account = indexer.world.account(pds=indexer.server.url)
    publish(indexer, account, ("create", TRACK, track("Remote")))
    async with asyncpg.create_pool(database_url, min_size=1, max_size=1) as admin:
        await admin.execute("INSERT INTO plyr.sync_requests (did) VALUES ($1)", account.did)

    assert await indexer.requests.take() == 1
    await indexer.settle()
    assert await indexer.titles() == ["Remote"]
    assert await indexer.requests.take() == 0


async def test_a_request_for_an_inactive_account_asks_its_host_and_shows_nothing_before(
    indexer: Harness, database_url: str
) -> None:
    account = await synchronized(indexer)
    account.active, account.status = False, "deactivated"
    indexer.feed(indexer.world.account_frame(account, False, "deactivated"))
    await indexer.settle()
    async with asyncpg.create_pool(database_url, min_size=1, max_size=1) as admin:
        request = "INSERT INTO plyr.sync_requests (did) VALUES ($1) ON CONFLICT (did) DO UPDATE SET taken_at = NULL"
        await admin.execute(request, account.did)
        await indexer.requests.take()
        await indexer.settle()
        assert (await indexer.repo(account))["visible"] is False

        account.active, account.status = True, None
        await admin.execute(request, account.did)
        await indexer.requests.take()
        await indexer.settle()
    assert (await indexer.repo(account))["visible"] is True


@pytest.mark.parametrize("status", ["takendown", "suspended"])
async def test_a_request_undoes_no_moderation_of_the_upstream(indexer: Harness, database_url: str, status: str) -> None:
    account = await synchronized(indexer)
    indexer.feed(indexer.world.account_frame(account, False, status))
    await indexer.settle()
    async with asyncpg.create_pool(database_url, min_size=1, max_size=1) as admin:
        await admin.execute("INSERT INTO plyr.sync_requests (did) VALUES ($1)", account.did)
    await indexer.requests.take()
    await indexer.settle()
    assert (await indexer.repo(account))["visible"] is False

    indexer.feed(indexer.world.account_frame(account, True))
    await indexer.settle()
    assert (await indexer.repo(account))["visible"] is True


async def test_a_takedown_leaves_the_counters_and_its_end_brings_them_back(indexer: Harness, database_url: str) -> None:
    account = await synchronized(indexer)
    fan = await synchronized(
        indexer,
        ("create", "fm.plyr.like/3mbd3542kzc22", like(account, TRACK)),
        ("create", "fm.plyr.comment/3mbd3542kzc22", comment(account, TRACK)),
    )
    counts = "SELECT like_count, comment_count FROM network.track_counters"
    async with asyncpg.create_pool(database_url, min_size=1, max_size=1) as admin:
        await admin.execute("INSERT INTO plyr.takedowns (subject, reason) VALUES ($1, 'test')", fan.did)
        await indexer.requests.take()
        await indexer.write()
        assert await indexer.rows(counts) == []
        assert (await indexer.repo(fan))["visible"] is False

        await admin.execute("DELETE FROM plyr.takedowns")
        await indexer.requests.take()
        await indexer.write()
    assert await indexer.rows(counts) == [(1, 1)]


async def test_another_environments_records_are_never_indexed(indexer: Harness) -> None:
    account = indexer.world.account(pds=indexer.server.url)
    staging = track("Staging") | {"$type": "fm.plyr.stg.track"}
    indexer.feed(publish(indexer, account, ("create", "fm.plyr.stg.track/3mbd3542kzc22", staging)))
    await indexer.settle()
    assert indexer.repos.by_did == {}

    indexer.feed(publish(indexer, account, ("create", TRACK, track("Production"))))
    await indexer.settle()
    assert await indexer.titles() == ["Production"]
    assert await indexer.value("SELECT count(*) FROM network.records") == 1


async def test_the_staging_environment_indexes_its_own_and_nothing_else(database_url: str) -> None:
    catalog = CATALOG.with_namespace("fm.plyr", "fm.plyr.stg")
    async with harness(database_url, world.World(4), catalog=catalog, namespace="fm.plyr.stg") as indexer:
        account = indexer.world.account(pds=indexer.server.url)
        indexer.feed(publish(indexer, account, ("create", TRACK, track("Production"))))
        assert indexer.repos.by_did == {}

        staging = track("Staging") | {"$type": "fm.plyr.stg.track"}
        indexer.feed(publish(indexer, account, ("create", "fm.plyr.stg.track/3mbd3542kzc22", staging)))
        await indexer.settle()
        assert await indexer.titles() == ["Staging"]
        assert await indexer.value("SELECT count(*) FROM network.records") == 1


async def test_a_database_that_cuts_its_connections_costs_time_and_nothing_else(
    indexer: Harness, database_url: str
) -> None:
    account = await synchronized(indexer)
    indexer.feed(publish(indexer, account, ("create", OTHER, track("Two"))))
    admin = await asyncpg.connect(database_url)
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await admin.close()
    async with asyncio.timeout(60):
        await indexer.write()

    assert await indexer.titles() == ["One", "Two"]
    assert await indexer.value("SELECT seq FROM network.cursors") == indexer.world.seq
