from collections.abc import AsyncIterator

import pytest
import world
from harness import TRACK, Harness, comment, harness, like, playlist, publish, synchronized, track

from indexer.accounts import PURGE_AFTER


@pytest.fixture(params=["whole", "sparse"])
async def indexer(database_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Harness]:
    async with harness(database_url, world.World(3), sparse=request.param == "sparse") as made:
        yield made


def artist(indexer: Harness) -> world.Account:
    return indexer.world.account(pds=indexer.server.url)


async def test_a_strangers_first_track_is_fetched_with_its_repository_and_shown(indexer: Harness) -> None:
    account = artist(indexer)
    account.commit(
        [
            ("create", "app.bsky.feed.post/1", {"text": "hello"}),
            ("create", "app.bsky.actor.profile/self", {"$type": "app.bsky.actor.profile", "displayName": "Ann"}),
        ]
    )

    indexer.feed(publish(indexer, account, ("create", TRACK, track("One"))))
    await indexer.write()
    assert (await indexer.repo(account))["sync_status"] == "desynchronized"
    await indexer.settle()

    row = await indexer.repo(account)
    assert (row["sync_status"], row["rev"], row["data"]) == ("synchronized", account.rev, account.tree.root)
    assert await indexer.titles() == ["One"]
    assert await indexer.rows("SELECT source, display_name FROM network.profiles") == [("bluesky", "Ann")]
    assert await indexer.value("SELECT count(*) FROM network.records") == 2
    assert await indexer.value("SELECT seq FROM network.cursors") == indexer.world.seq


async def test_a_strangers_other_records_move_the_cursor_and_nothing_else(indexer: Harness) -> None:
    account = artist(indexer)

    indexer.feed(
        publish(indexer, account, ("create", "app.bsky.feed.post/1", {"text": "fm.plyr.track"})),
        indexer.world.identity_frame(account),
        indexer.world.account_frame(account, False, "deactivated"),
    )
    await indexer.settle()

    assert indexer.repos.by_did == {}
    assert await indexer.value("SELECT seq FROM network.cursors") == 3
    assert await indexer.value("SELECT count(*) FROM network.actors") == 0


async def test_later_commits_are_verified_and_applied_without_any_fetch(indexer: Harness) -> None:
    account = await synchronized(indexer)

    indexer.feed(publish(indexer, account, ("create", "fm.plyr.track/3mbd3542kzc2b", track("Two"))))
    indexer.feed(
        publish(indexer, account, ("update", TRACK, track("One, again")), ("create", "app.bsky.feed.like/x", {"a": 1}))
    )
    indexer.feed(publish(indexer, account, ("delete", "fm.plyr.track/3mbd3542kzc2b", None)))
    await indexer.write()

    assert await indexer.titles() == ["One, again"]
    assert (await indexer.repo(account))["data"] == account.tree.root
    assert await indexer.verdict(account, "fm.plyr.track/3mbd3542kzc2b") == ("deleted", [])
    assert indexer.server.requests.total() == 0
    assert indexer.metrics.commits_verified == 3


async def test_a_replayed_commit_is_ignored(indexer: Harness) -> None:
    account = await synchronized(indexer)
    old = publish(indexer, account, ("update", TRACK, track("Two")))
    new = publish(indexer, account, ("update", TRACK, track("Three")))

    indexer.feed(old, new, old, new, old)
    await indexer.settle()

    assert await indexer.titles() == ["Three"]
    assert indexer.metrics.ignored["replayed"] == 3
    assert indexer.server.requests.total() == 0


async def test_a_missed_commit_breaks_the_chain_and_the_repository_is_fetched_with_its_deletions(
    indexer: Harness,
) -> None:
    account = await synchronized(
        indexer, ("create", TRACK, track("One")), ("create", "fm.plyr.track/3mbd3542kzc2b", track("Two"))
    )

    publish(indexer, account, ("delete", "fm.plyr.track/3mbd3542kzc2b", None), ("update", TRACK, track("Changed")))
    indexer.feed(publish(indexer, account, ("create", "app.bsky.feed.post/x", {"a": 1})))
    await indexer.write()
    row = await indexer.repo(account)
    assert (row["sync_status"], row["cause"]) == ("desynchronized", "broken-chain")
    await indexer.settle()

    assert (await indexer.repo(account))["sync_status"] == "synchronized"
    assert await indexer.titles() == ["Changed"]
    assert await indexer.verdict(account, "fm.plyr.track/3mbd3542kzc2b") == ("deleted", [])


async def test_a_commit_that_comes_during_the_repair_is_applied_after_it(indexer: Harness) -> None:
    account = await synchronized(indexer)
    publish(indexer, account, ("update", TRACK, track("missed")))
    indexer.feed(publish(indexer, account, ("create", "fm.plyr.track/3mbd3542kzc2b", track("Two"))))
    stale = account.export()
    indexer.feed(publish(indexer, account, ("create", "fm.plyr.track/3mbd3542kzc2c", track("Three"))))
    indexer.server.snapshots[account.did] = stale
    await indexer.settle()

    assert (await indexer.repo(account))["rev"] == account.rev
    assert await indexer.titles() == ["Three", "Two", "missed"]


async def test_a_snapshot_older_than_what_was_heard_of_is_refused_and_tried_again(indexer: Harness) -> None:
    account = await synchronized(indexer)
    stale = account.export()
    publish(indexer, account, ("update", TRACK, track("missed")))
    indexer.feed(publish(indexer, account, ("create", "fm.plyr.track/3mbd3542kzc2b", track("Two"))))
    indexer.repos.by_did[account.did].forget_waiting()
    indexer.server.snapshots[account.did] = stale
    await indexer.mend()
    await indexer.write()
    row = await indexer.repo(account)
    assert (row["sync_status"], row["cause"], row["retry_count"]) == ("desynchronized", "stale-snapshot", 1)
    assert await indexer.titles() == ["One"]

    del indexer.server.snapshots[account.did]
    await indexer.settle()
    assert await indexer.titles() == ["Two", "missed"]


async def test_a_host_that_insists_on_an_older_state_is_believed_in_the_end(indexer: Harness) -> None:
    account = await synchronized(indexer)
    indexer.server.snapshots[account.did] = account.export()
    publish(indexer, account, ("update", TRACK, track("missed")))
    indexer.feed(publish(indexer, account, ("create", "fm.plyr.track/3mbd3542kzc2b", track("Two"))))
    indexer.repos.by_did[account.did].forget_waiting()
    await indexer.settle(rounds=3)
    assert (await indexer.repo(account))["sync_status"] == "desynchronized"
    await indexer.settle(rounds=5)

    assert (await indexer.repo(account))["sync_status"] == "synchronized"
    assert indexer.metrics.events["indexer.rollback"] == 1
    assert await indexer.titles() == ["One"]


async def test_a_rotated_key_costs_one_look_at_the_document_and_no_repository(indexer: Harness) -> None:
    account = await synchronized(indexer)
    account.key = indexer.world.key()
    indexer.feed(
        publish(indexer, account, ("create", "fm.plyr.track/3mbd3542kzc2b", track("Two"))),
        publish(indexer, account, ("create", "fm.plyr.track/3mbd3542kzc2c", track("Three"))),
    )
    await indexer.write()
    assert (await indexer.repo(account))["cause"] == "bad-signature"
    await indexer.settle()

    assert await indexer.titles() == ["One", "Three", "Two"]
    assert dict(indexer.server.requests) == {"plc": 1}


async def test_an_identity_event_refreshes_the_identity_while_commits_wait(indexer: Harness) -> None:
    account = await synchronized(indexer)
    account.handle = "renamed.world.test"
    indexer.feed(
        indexer.world.identity_frame(account),
        publish(indexer, account, ("create", "fm.plyr.track/3mbd3542kzc2b", track("Two"))),
    )
    assert await indexer.titles() == ["One"]
    await indexer.settle()
    await indexer.verify_handles()

    row = await indexer.repo(account)
    assert (row["handle"], row["sync_status"]) == ("renamed.world.test", "synchronized")
    assert row["handle_verified_at"] is not None
    assert await indexer.titles() == ["One", "Two"]
    assert indexer.server.requests["getRepo"] == 0


async def test_a_forged_commit_is_not_believed_and_its_effect_is_none(indexer: Harness) -> None:
    account = await synchronized(indexer)
    thief = world.Account(
        indexer.world,
        account.did,
        account.handle,
        indexer.world.key(),
        account.pds,
        dict(account.records),
        account.tree,
        account.rev,
    )
    indexer.feed(publish(indexer, thief, ("update", TRACK, track("stolen"))))
    await indexer.settle()

    assert await indexer.titles() == ["One"]
    row = await indexer.repo(account)
    assert row["rev"] == account.rev


async def test_a_deactivated_account_is_hidden_and_comes_back(indexer: Harness) -> None:
    account = await synchronized(indexer)
    listener = await synchronized(
        indexer,
        ("create", "fm.plyr.like/3mbd3542kzc2a", like(account, TRACK)),
        ("create", "fm.plyr.comment/3mbd3542kzc2a", comment(account, TRACK)),
    )
    counts = "SELECT like_count, comment_count FROM network.track_counters"
    assert await indexer.rows(counts) == [(1, 1)]

    listener.active, listener.status = False, "deactivated"
    indexer.feed(indexer.world.account_frame(listener, False, "deactivated"))
    await indexer.settle()
    assert (await indexer.repo(listener))["visible"] is False
    assert await indexer.rows(counts) == []

    listener.active, listener.status = True, None
    indexer.feed(indexer.world.account_frame(listener, True))
    await indexer.settle()
    row = await indexer.repo(listener)
    assert (row["visible"], row["sync_status"]) == (True, "synchronized")
    assert await indexer.rows(counts) == [(1, 1)]


async def test_a_deleted_account_is_purged_once_its_host_confirms(indexer: Harness) -> None:
    account = await synchronized(
        indexer, ("create", TRACK, track("One")), ("create", "fm.plyr.track/3mbd3542kzc2b", {"$type": "junk"})
    )
    indexer.feed(indexer.world.account_frame(account, False, "deleted"))
    await indexer.settle(rounds=1)
    assert await indexer.titles() == ["One"]
    assert (await indexer.repo(account))["visible"] is False

    account.status, account.active = "deleted", False
    indexer.woken.add(account.did)
    await indexer.settle()
    assert await indexer.value("SELECT count(*) FROM network.records") == 0
    assert await indexer.value("SELECT count(*) FROM network.tracks") == 0
    assert await indexer.rows("SELECT accepted, rejected FROM network.collection_totals") == [(0, 0)]
    assert (await indexer.repo(account))["purged_at"] is not None


async def test_silence_for_long_confirms_a_deletion_too(indexer: Harness) -> None:
    account = await synchronized(indexer)
    indexer.server.down |= {"plc"}
    indexer.feed(indexer.world.account_frame(account, False, "deleted"))
    await indexer.settle(rounds=2)
    assert await indexer.titles() == ["One"]

    indexer.clock_offset = PURGE_AFTER
    await indexer.settle()
    assert await indexer.titles() == []


async def test_a_replayed_account_event_changes_nothing(indexer: Harness) -> None:
    account = await synchronized(indexer)
    away, back = indexer.world.account_frame(account, False, "deactivated"), indexer.world.account_frame(account, True)
    indexer.feed(away, back)
    await indexer.settle()
    indexer.feed(away, back, away)
    await indexer.settle()

    assert (await indexer.repo(account))["visible"] is True
    assert indexer.metrics.ignored["replayed"] == 3


async def test_one_persons_two_likes_count_once_and_the_lowest_uri_counts(indexer: Harness) -> None:
    account = await synchronized(indexer)
    fan = await synchronized(indexer, ("create", "fm.plyr.like/3mbd3542kzc2b", like(account, TRACK)))
    counted = "SELECT path, counted FROM network.likes JOIN network.uris USING (uri_id) ORDER BY path"
    likes = "SELECT like_count FROM network.track_counters"
    indexer.feed(publish(indexer, fan, ("create", "fm.plyr.like/3mbd3542kzc2a", like(account, TRACK))))
    await indexer.write()
    assert await indexer.rows(counted) == [("fm.plyr.like/3mbd3542kzc2a", True), ("fm.plyr.like/3mbd3542kzc2b", False)]
    assert await indexer.rows(likes) == [(1,)]

    indexer.feed(publish(indexer, fan, ("delete", "fm.plyr.like/3mbd3542kzc2a", None)))
    await indexer.write()
    assert await indexer.rows(counted) == [("fm.plyr.like/3mbd3542kzc2b", True)]
    assert await indexer.rows(likes) == [(1,)]

    indexer.feed(publish(indexer, fan, ("delete", "fm.plyr.like/3mbd3542kzc2b", None)))
    await indexer.write()
    assert await indexer.rows(likes) == []


async def test_a_like_may_come_before_its_track_and_outlive_it(indexer: Harness) -> None:
    account = artist(indexer)
    await synchronized(indexer, ("create", "fm.plyr.like/3mbd3542kzc2a", like(account, TRACK)))
    indexer.feed(publish(indexer, account, ("create", TRACK, track("Late"))))
    await indexer.settle()
    shown = "SELECT t.title, c.like_count FROM network.track_counters c LEFT JOIN network.tracks t USING (uri_id)"
    assert await indexer.rows(shown) == [("Late", 1)]

    indexer.feed(publish(indexer, account, ("delete", TRACK, None)))
    await indexer.write()
    assert await indexer.rows(shown) == [(None, 1)]


async def test_a_list_keeps_a_row_for_every_position_dangling_or_not(indexer: Harness) -> None:
    account = await synchronized(indexer)
    owner = await synchronized(
        indexer,
        (
            "create",
            "fm.plyr.list/3mbd3542kzc2a",
            playlist([(account, TRACK), (account, "fm.plyr.track/3mbd3542kzc2g"), (account, TRACK)]),
        ),
    )
    assert await indexer.rows(
        "SELECT position, path FROM network.list_items i JOIN network.uris u ON u.uri_id = i.subject_uri_id ORDER BY position"
    ) == [
        (0, TRACK),
        (1, "fm.plyr.track/3mbd3542kzc2g"),
        (2, TRACK),
    ]
    indexer.feed(
        publish(
            indexer, owner, ("update", "fm.plyr.list/3mbd3542kzc2a", playlist([(account, TRACK)], listType="mixtape"))
        )
    )
    await indexer.write()
    assert await indexer.rows("SELECT item_count, purpose FROM network.lists") == [(1, "mixtape")]
    assert await indexer.value("SELECT count(*) FROM network.list_items") == 1


async def test_an_update_keeps_when_a_record_was_first_indexed(indexer: Harness) -> None:
    account = await synchronized(indexer)
    first = await indexer.rows("SELECT indexed_at, sort_at FROM network.records")
    indexer.world.now_us += 3_600_000_000
    indexer.feed(publish(indexer, account, ("update", TRACK, track("One", createdAt="2020-01-01T00:00:00Z"))))
    indexer.feed(
        publish(indexer, account, ("delete", TRACK, None)), publish(indexer, account, ("create", TRACK, track("Again")))
    )
    await indexer.write()

    assert await indexer.rows("SELECT indexed_at, sort_at FROM network.records") == first
    assert await indexer.rows("SELECT sort_at FROM network.tracks") == [first[0][1:]]


async def test_an_oversized_repository_is_given_up_visibly(database_url: str) -> None:
    from harness import Limits

    async with harness(database_url, world.World(3), Limits(max_repo_bytes=1000)) as indexer:
        account = artist(indexer)
        indexer.feed(publish(indexer, account, ("create", TRACK, track("One" * 500))))
        await indexer.settle()

        row = await indexer.repo(account)
        assert (row["sync_status"], row["cause"]) == ("too-large", "repo-too-large")


async def test_growth_by_strangers_is_capped(database_url: str) -> None:
    from harness import Limits

    async with harness(database_url, world.World(3), Limits(per_minute=0, burst=2)) as indexer:
        accounts = [artist(indexer) for _ in range(4)]
        for account in accounts:
            indexer.feed(publish(indexer, account, ("create", TRACK, track("One"))))
        await indexer.settle()

        assert await indexer.value("SELECT count(*) FROM network.repos") == 2
        assert indexer.metrics.events["indexer.growth_refused"] == 2


async def test_data_that_the_database_refuses_cost_their_own_repository_and_no_other(
    indexer: Harness, database_url: str
) -> None:
    import asyncpg

    good, bad = await synchronized(indexer), await synchronized(indexer)
    admin = await asyncpg.connect(database_url)
    await admin.execute("ALTER TABLE network.tracks ADD CONSTRAINT no_poison CHECK (title <> 'poison')")
    await admin.close()
    indexer.feed(
        publish(indexer, good, ("create", "fm.plyr.track/3mbd3542kzc2a", track("before"))),
        publish(indexer, bad, ("create", "fm.plyr.track/3mbd3542kzc2a", track("poison"))),
    )
    indexer.feed(
        publish(indexer, bad, ("create", "fm.plyr.track/3mbd3542kzc2b", track("after the poison"))),
        publish(indexer, good, ("create", "fm.plyr.track/3mbd3542kzc2b", track("after"))),
    )
    await indexer.write()

    assert await indexer.titles() == ["One", "One", "after", "before"]
    row = await indexer.repo(bad)
    assert (row["sync_status"], row["cause"]) == ("error", "refused-by-database")
    assert "no_poison" in row["cause_detail"]
    assert (await indexer.repo(good))["rev"] == good.rev
    assert await indexer.value("SELECT seq FROM network.cursors") == indexer.world.seq
    indexer.feed(publish(indexer, bad, ("create", "fm.plyr.track/3mbd3542kzc2c", track("ignored"))))
    await indexer.settle()
    assert (await indexer.repo(bad))["sync_status"] == "error"


async def test_a_restart_goes_on_from_what_was_written(indexer: Harness) -> None:
    account = await synchronized(indexer)
    lost = publish(indexer, account, ("create", "fm.plyr.track/3mbd3542kzc2b", track("Two")))
    indexer.feed(lost)
    await indexer.load()
    assert indexer.repos.by_did[account.did].sync_status == "synchronized"
    indexer.feed(lost)
    await indexer.write()

    assert await indexer.titles() == ["One", "Two"]
    assert indexer.server.requests.total() == 0
