"""What an artist and a listener do on a real network, and what XRPC then shows: exactly that."""

import asyncio
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
from account import Account
from local_network import Network, network
from postgres import PostgresForTests
from relay import Relay, relay
from running_plyr import RunningPlyr, plyr_up

pytestmark = pytest.mark.xdist_group("local-network")
CREATED_AT = "2026-01-01T00:00:00Z"
TRACK, LIKE, COMMENT, LIST, PROFILE = (
    "fm.plyr.track",
    "fm.plyr.like",
    "fm.plyr.comment",
    "fm.plyr.list",
    "fm.plyr.actor.profile",
)


@dataclass
class Stage:
    """The network, our programs on it, and the people."""

    net: Network
    hub: Relay
    plyr: RunningPlyr
    artist: Account
    listener: Account
    database_url: str

    async def seen(self, account: Account) -> None:
        """Wait until the relay has an account's latest commit, then until we do."""
        latest = await account.query("com.atproto.sync.getLatestCommit", did=account.did)
        await self.hub.wait_for(
            lambda events: any(event.did == account.did and event.body.get("rev") == latest["rev"] for event in events)
        )
        await self.plyr.caught_up()

    async def tracks(self) -> list[str]:
        """Return the titles of the latest feed."""
        return [view["title"] for view in (await self.plyr.xrpc.answer("feed.getLatest", limit=100))["tracks"]]


@pytest.fixture(scope="module")
async def stage(postgres: PostgresForTests, migrated: str) -> AsyncIterator[Stage]:
    url = postgres.create_database(template=migrated)
    # The relay crawls two of the three hosts.
    async with (
        network(pds=3) as net,
        relay(net.plc_url, [pds.url for pds in net.pds[:2]]) as hub,
        plyr_up(net, hub, url) as plyr,
    ):
        artist, listener = await net.create_account("artist.pds1.test"), await net.create_account("listener.pds2.test")
        yield Stage(net, hub, plyr, artist, listener, url)


def track(title: str, **fields: Any) -> dict[str, Any]:
    return {
        "$type": TRACK,
        "title": title,
        "artist": "The Artist",
        "fileType": "mp3",
        "createdAt": CREATED_AT,
        **fields,
    }


async def test_a_published_track_is_served_with_its_artist(stage: Stage) -> None:
    blob = await stage.artist.upload_blob(b"not really music", "audio/mpeg")
    await stage.artist.create_record(
        "app.bsky.actor.profile", {"$type": "app.bsky.actor.profile", "displayName": "The Artist"}, "self"
    )
    written = await stage.artist.create_record(TRACK, track("First", audioBlob=blob, tags=["quiet"]))
    await stage.seen(stage.artist)

    view = await stage.plyr.xrpc.answer("feed.getTrack", uri=written.uri)
    assert (view["title"], view["cid"], view["likeCount"], view["commentCount"]) == ("First", written.cid, 0, 0)
    assert (view["author"]["did"], view["author"]["handle"], view["author"]["displayName"]) == (
        stage.artist.did,
        "artist.pds1.test",
        "The Artist",
    )
    assert view["record"]["audioBlob"] == blob
    assert view["audio"]["cid"] == blob["ref"]["$link"]
    assert stage.artist.did in view["audio"]["url"]
    assert (await stage.plyr.xrpc.answer("index.getRecordStatus", uri=written.uri))["state"] == "indexed"


async def test_likes_and_comments_of_another_host_are_counted_and_listed(stage: Stage) -> None:
    written = await stage.artist.create_record(TRACK, track("Liked"))
    like = await stage.listener.create_record(
        LIKE, {"$type": LIKE, "subject": written.strong_ref, "createdAt": CREATED_AT}
    )
    await stage.listener.create_record(
        COMMENT,
        {
            "$type": COMMENT,
            "subject": written.strong_ref,
            "text": "this part",
            "timestampMs": 9000,
            "createdAt": CREATED_AT,
        },
    )
    await stage.seen(stage.artist)
    await stage.seen(stage.listener)

    view = await stage.plyr.xrpc.answer("feed.getTrack", uri=written.uri)
    assert (view["likeCount"], view["commentCount"]) == (1, 1)
    likes = (await stage.plyr.xrpc.answer("feed.getLikes", uri=written.uri))["likes"]
    assert [(each["uri"], each["actor"]["handle"]) for each in likes] == [(like.uri, "listener.pds2.test")]
    comments = (await stage.plyr.xrpc.answer("feed.getComments", uri=written.uri))["comments"]
    assert [(each["text"], each["timestampMs"]) for each in comments] == [("this part", 9000)]

    await stage.listener.delete_record(LIKE, like.record_key)
    await stage.seen(stage.listener)
    assert (await stage.plyr.xrpc.answer("feed.getTrack", uri=written.uri))["likeCount"] == 0


async def test_edits_batches_and_deletions_are_followed(stage: Stage) -> None:
    key = (await stage.artist.create_record(TRACK, track("Draft"))).record_key
    edited = await stage.artist.put_record(TRACK, key, track("Final"))
    await stage.artist.apply_writes(
        [
            {
                "action": "create",
                "collection": TRACK,
                "rkey": "3mbd3542kzc22",
                "value": track("Batch one"),
            },
            {
                "action": "create",
                "collection": TRACK,
                "rkey": "3mbd3542kzc23",
                "value": track("Batch two"),
            },
        ]
    )
    await stage.artist.apply_writes(
        [
            {"action": "delete", "collection": TRACK, "rkey": "3mbd3542kzc22"},
            {
                "action": "create",
                "collection": TRACK,
                "rkey": "3mbd3542kzc22",
                "value": track("Batch one, anew"),
            },
        ]
    )
    await stage.artist.delete_record(TRACK, "3mbd3542kzc23")
    await stage.seen(stage.artist)

    titles = await stage.tracks()
    assert {"Final", "Batch one, anew"} <= set(titles)
    assert not {"Draft", "Batch one", "Batch two"} & set(titles)
    assert (await stage.plyr.xrpc.answer("feed.getTrack", uri=edited.uri))["cid"] == edited.cid
    deleted = f"at://{stage.artist.did}/{TRACK}/3mbd3542kzc23"
    assert await stage.plyr.xrpc.error("feed.getTrack", uri=deleted) == (400, "TrackNotFound")
    repo = await stage.plyr.xrpc.answer("index.getRepoStatus", did=stage.artist.did)
    assert repo["state"] == "synchronized"
    assert (await stage.plyr.status())["repos"]["desynchronized"] == 0


async def test_a_list_keeps_every_position(stage: Stage) -> None:
    one = await stage.artist.create_record(TRACK, track("Position one"))
    gone = await stage.artist.create_record(TRACK, track("Position two"))
    written = await stage.listener.create_record(
        LIST,
        {
            "$type": LIST,
            "name": "Mine",
            "listType": "playlist",
            "items": [{"subject": one.strong_ref}, {"subject": gone.strong_ref}, {"subject": one.strong_ref}],
            "createdAt": CREATED_AT,
        },
    )
    await stage.artist.delete_record(TRACK, gone.record_key)
    await stage.seen(stage.artist)
    await stage.seen(stage.listener)

    answer = await stage.plyr.xrpc.answer("library.getList", uri=written.uri)
    assert answer["list"]["itemCount"] == 3
    assert [(item.get("track") or {}).get("title") for item in answer["items"]] == [
        "Position one",
        None,
        "Position one",
    ]


async def test_junk_that_the_pds_lets_through_is_rejected_with_reasons_and_disturbs_nobody(stage: Stage) -> None:
    junk = [
        ({"$type": TRACK, "title": 42, "artist": None}, None, "type"),
        (track("Dated", createdAt="yesterday"), None, "format"),
        (track("Keyed"), "not-a-tid", "recordKey"),
        ({"$type": LIKE, "subject": {"uri": "at://x", "cid": "nonsense"}, "createdAt": CREATED_AT}, None, "format"),
    ]
    written = [await stage.artist.create_record(record["$type"], record, key) for record, key, _ in junk]
    long = await stage.artist.create_record(TRACK, track("é" * 200))
    nul = await stage.artist.create_record(TRACK, track("nul \0 inside"))
    await stage.seen(stage.artist)

    for each, (_, _, rule) in zip(written, junk, strict=True):
        status = await stage.plyr.xrpc.answer("index.getRecordStatus", uri=each.uri)
        assert status["state"] == "rejected"
        assert any(reason["rule"].startswith(rule) or rule == "recordKey" for reason in status["reasons"]), status
    titles = await stage.tracks()
    assert {"é" * 200, "nul \ufffd inside"} <= set(titles)
    assert (await stage.plyr.xrpc.answer("index.getRecordStatus", uri=long.uri))["state"] == "indexed"
    assert (await stage.plyr.xrpc.answer("feed.getTrack", uri=nul.uri))["record"]["title"] == "nul \0 inside"
    status = await stage.plyr.status()
    assert sum(each["rejected"] for each in status["records"].values()) >= 4


async def test_a_deactivated_account_is_gone_and_comes_back(stage: Stage) -> None:
    account = await stage.net.create_account("shy.pds2.test")
    written = await account.create_record(TRACK, track("Shy"))
    await stage.seen(account)
    assert "Shy" in await stage.tracks()

    await account.deactivate()
    await stage.hub.wait_for(
        lambda events: any(event.did == account.did and event.body.get("active") is False for event in events)
    )
    await stage.plyr.caught_up()
    assert "Shy" not in await stage.tracks()
    assert await stage.plyr.xrpc.error("feed.getTrack", uri=written.uri) == (400, "TrackNotFound")
    assert await stage.plyr.xrpc.error("actor.getProfile", actor=account.did) == (400, "ActorNotFound")

    await account.activate()
    await account.create_record(TRACK, track("Less shy"))
    await stage.seen(account)
    assert {"Shy", "Less shy"} <= set(await stage.tracks())


async def test_an_account_moves_to_another_host_and_stays_itself(stage: Stage) -> None:
    account = await stage.net.create_account("mover.pds1.test")
    await account.create_record(TRACK, track("Before the move"))
    await stage.seen(account)

    await account.migrate_to(stage.net.pds[1])
    await account.create_record(TRACK, track("After the move"))
    await stage.seen(account)

    assert {"Before the move", "After the move"} <= set(await stage.tracks())
    connection = await asyncpg.connect(stage.database_url)
    row = await connection.fetchrow(
        "SELECT r.pds, r.sync_status, r.active FROM network.repos r JOIN network.actors USING (actor_id) WHERE did = $1",
        account.did,
    )
    await connection.close()
    assert tuple(row) == (stage.net.pds[1].url, "synchronized", True)


async def test_a_renamed_account_is_found_by_its_new_handle(stage: Stage) -> None:
    account = await stage.net.create_account("oldname.pds1.test")
    await account.create_record(TRACK, track("Named"))
    await stage.seen(account)
    assert (await stage.plyr.xrpc.answer("actor.getProfile", actor="oldname.pds1.test"))["did"] == account.did

    await account.update_handle("newname.pds1.test")
    await stage.hub.wait_for(
        lambda events: any(
            event.kind == "#identity" and event.body.get("handle") == "newname.pds1.test" for event in events
        )
    )
    await stage.plyr.caught_up()
    assert (await stage.plyr.xrpc.answer("actor.getProfile", actor="newname.pds1.test"))["did"] == account.did
    assert await stage.plyr.xrpc.error("actor.getProfile", actor="oldname.pds1.test") == (400, "ActorNotFound")


async def test_a_deleted_account_leaves_nothing_behind(stage: Stage) -> None:
    account = await stage.net.create_account("brief.pds2.test")
    await account.create_record(TRACK, track("Brief"))
    await stage.seen(account)
    assert "Brief" in await stage.tracks()

    await account.delete_account()
    await stage.hub.wait_for(
        lambda events: any(event.did == account.did and event.body.get("status") == "deleted" for event in events)
    )
    await stage.plyr.caught_up()
    assert "Brief" not in await stage.tracks()
    connection = await asyncpg.connect(stage.database_url)
    left = await connection.fetchval(
        "SELECT count(*) FROM network.records JOIN network.uris USING (uri_id) JOIN network.actors USING (actor_id) WHERE did = $1",
        account.did,
    )
    await connection.close()
    assert left == 0


async def test_what_is_hidden_by_the_operator_is_missing_to_everybody(stage: Stage) -> None:
    written = await stage.artist.create_record(TRACK, track("Unwanted"))
    await stage.seen(stage.artist)
    assert "Unwanted" in await stage.tracks()

    assert (await stage.plyr.command("hide", written.uri, "--reason", "test"))[0] == 0
    assert "Unwanted" not in await stage.tracks()
    assert await stage.plyr.xrpc.error("feed.getTrack", uri=written.uri) == (400, "TrackNotFound")
    assert (await stage.plyr.command("unhide", written.uri))[0] == 0
    assert "Unwanted" in await stage.tracks()


async def test_an_artist_whom_no_relay_crawls_asks_to_be_indexed(stage: Stage) -> None:
    account = await stage.net.create_account("remote.pds3.test")
    written = await account.create_record(TRACK, track("Remote"))
    assert (await stage.plyr.xrpc.answer("index.getRecordStatus", uri=written.uri))["state"] == "unknown"

    response = await stage.plyr.xrpc.post("index.requestSync", {"did": account.did})
    assert response.status_code == 200, response.text
    await stage.plyr.caught_up(lambda status: status["repos"]["total"] > 0)

    assert (await stage.plyr.xrpc.answer("index.getRepoStatus", did=account.did))["state"] == "synchronized"
    assert (await stage.plyr.xrpc.answer("feed.getTrack", uri=written.uri))["title"] == "Remote"


async def test_a_kill_inside_a_transaction_loses_and_doubles_nothing(stage: Stage) -> None:
    """The writer is held inside its open transaction by a lock, seen there, and killed; the frames come again."""
    await stage.plyr.caught_up()
    connection = await asyncpg.connect(stage.database_url)
    holder = connection.transaction()
    await holder.start()
    await connection.execute("LOCK TABLE network.tracks IN ACCESS EXCLUSIVE MODE")
    sent_before = sum(stage.hub.sent.values())
    written = await stage.artist.create_record(TRACK, track("Survivor"))
    watcher = await asyncpg.connect(stage.database_url)
    async with asyncio.timeout(60):
        while not await watcher.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND state = 'active' AND backend_xid IS NOT NULL AND query LIKE '%network.tracks%'"
        ):
            await asyncio.sleep(0.02)
    cursor = await watcher.fetchval("SELECT max(seq) FROM network.cursors")
    await stage.plyr.stop(sign=signal.SIGKILL)
    await holder.rollback()
    await connection.close()
    assert await watcher.fetchval("SELECT max(seq) FROM network.cursors") == cursor

    await stage.plyr.start()
    await stage.seen(stage.artist)
    assert (await stage.tracks()).count("Survivor") == 1
    assert await watcher.fetchval("SELECT count(*) FROM network.tracks WHERE title = 'Survivor'") == 1
    assert (await stage.plyr.xrpc.answer("feed.getTrack", uri=written.uri))["cid"] == written.cid
    await watcher.close()
    doubled = [seq for seq, times in stage.hub.sent.items() if times > 1 and seq > cursor]
    assert doubled, "no frame was received twice: the kill proves nothing"
    assert sum(stage.hub.sent.values()) > sent_before


async def test_it_ends_in_order(stage: Stage) -> None:
    assert await stage.plyr.stop() == 0
