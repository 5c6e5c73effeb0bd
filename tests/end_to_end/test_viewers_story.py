"""What viewers get through the reference PDS: their likes, their timeline, their plays, and what became of their records."""

from collections.abc import AsyncIterator

import pytest
from account import Account, Written
from postgres import PostgresForTests
from proxied_stage import CREATED_AT, FOLLOW, LIKE, TRACK, Stage, brief, staged, track

pytestmark = pytest.mark.xdist_group("local-network")
GET_TRACK, TIMELINE = "fm.plyr.feed.getTrack", "fm.plyr.feed.getTimeline"
FOR_YOU, RECORD_PLAY = "fm.plyr.feed.getForYou", "fm.plyr.feed.recordPlay"
RECORD_STATUS = "fm.plyr.index.getRecordStatus"


@pytest.fixture(scope="module")
async def stage(postgres: PostgresForTests, migrated: str) -> AsyncIterator[Stage]:
    async with staged(postgres.create_database(template=migrated)) as stage:
        yield stage


@pytest.fixture(scope="module")
async def artist(stage: Stage) -> Account:
    return await stage.net.create_account("artist.pds1.test")


@pytest.fixture(scope="module")
async def song(stage: Stage, artist: Account) -> Written:
    return await stage.publish(artist, "Song")


@pytest.fixture(scope="module")
async def listener(stage: Stage, artist: Account, song: Written) -> Account:
    """Give an account that follows the artist, which nobody is told, and likes nothing."""
    listener = await stage.net.create_account("listener.pds1.test")
    await listener.create_record(FOLLOW, {"subject": artist.did, "createdAt": CREATED_AT})
    return listener


async def test_a_client_finds_its_own_like_and_takes_it_back(stage: Stage, listener: Account, song: Written) -> None:
    # The host carries viewers whom we never heard of too.
    assert (await stage.asked(listener, GET_TRACK, uri=song.uri))["viewer"] == {}

    liked = await listener.create_record(LIKE, {"subject": song.strong_ref, "createdAt": CREATED_AT})
    await stage.has_read(listener, liked.rev)
    view = await stage.asked(listener, GET_TRACK, uri=song.uri)
    assert (view["viewer"], view["likeCount"]) == ({"like": liked.uri}, 1)
    # Whose like it is, is nobody else's.
    other = await stage.net.create_account("bystander.pds1.test")
    assert (await stage.asked(other, GET_TRACK, uri=song.uri))["viewer"] == {}
    assert "viewer" not in await stage.plyr.xrpc.answer("feed.getTrack", uri=song.uri)

    repository, collection, record_key = view["viewer"]["like"].removeprefix("at://").split("/")
    key = {"repo": repository, "collection": collection, "rkey": record_key}
    deleted = await listener.procedure("com.atproto.repo.deleteRecord", key)
    await stage.has_read(listener, deleted["commit"]["rev"])
    view = await stage.asked(listener, GET_TRACK, uri=song.uri)
    assert (view["viewer"], view["likeCount"]) == ({}, 0)


async def test_the_timeline_is_of_those_whom_the_viewer_follows(
    stage: Stage, artist: Account, listener: Account, song: Written
) -> None:
    stranger = await stage.net.create_account("stranger.pds1.test")
    theirs = await stage.publish(stranger, "Not followed")
    # A follow counts once its author is somebody here: by any record of ours.
    liked = await listener.create_record(LIKE, {"subject": theirs.strong_ref, "createdAt": CREATED_AT})
    await stage.has_read(listener, liked.rev)
    newer = await stage.publish(artist, "Newer")

    timeline = await stage.asked(listener, TIMELINE)
    assert [view["uri"] for view in timeline["tracks"]] == [newer.uri, song.uri]
    pages = [await stage.asked(listener, TIMELINE, limit=1)]
    pages.append(await stage.asked(listener, TIMELINE, limit=1, cursor=pages[0]["cursor"]))
    assert [view["uri"] for page in pages for view in page["tracks"]] == [newer.uri, song.uri]
    assert (await stage.asked(stranger, TIMELINE))["tracks"] == []
    assert brief(await stage.net.http.get(f"{stage.plyr.url}/xrpc/{TIMELINE}")) == (401, "AuthenticationRequired")


async def test_suggestions_say_when_nothing_is_known_of_the_viewer(stage: Stage) -> None:
    band, fan, newcomer = [await stage.net.create_account(f"{name}.pds1.test") for name in ("band", "fan", "fresh")]
    liked_by_both, more = await stage.publish(band, "Liked by both"), await stage.publish(band, "More")
    assert (await stage.asked(newcomer, FOR_YOU))["coldStart"] is True
    for account, subject in ((fan, liked_by_both), (fan, more), (newcomer, liked_by_both)):
        liked = await account.create_record(LIKE, {"subject": subject.strong_ref, "createdAt": CREATED_AT})
        await stage.has_read(account, liked.rev)
    suggested = await stage.asked(newcomer, FOR_YOU)
    assert ([view["uri"] for view in suggested["tracks"]], suggested["coldStart"]) == ([more.uri], False)


async def test_a_play_counts_once(stage: Stage, artist: Account, listener: Account) -> None:
    played = await stage.publish(artist, "Played", duration=200)
    answers = []
    for account, key in ((listener, "first-time"), (listener, "first-time"), (listener, "once-again"), (artist, "own-song")):  # fmt: skip
        answer = await stage.through(account, RECORD_PLAY, "POST", json={"uri": played.uri, "idempotencyKey": key})
        answers.append((answer.status_code, answer.json()))
    assert answers == [
        (200, {"counted": True, "playCount": 1}),
        (200, {"counted": True, "playCount": 1}),  # The same call sent again gets the same answer.
        (200, {"counted": False, "playCount": 1}),
        (200, {"counted": True, "playCount": 2}),
    ]
    assert (await stage.asked(listener, GET_TRACK, uri=played.uri))["playCount"] == 2


async def test_artists_are_told_which_rule_their_record_breaks(stage: Stage) -> None:
    newcomer = await stage.net.create_account("newcomer.pds1.test")
    broken = await newcomer.create_record(TRACK, track("Broken", fileType=3))
    status = await stage.asked_until(
        newcomer, RECORD_STATUS, lambda status: status["state"] not in ("unknown", "pending"), uri=broken.uri
    )
    assert (status["state"], status["cid"]) == ("rejected", broken.cid)
    assert [(reason["path"], reason["rule"]) for reason in status["reasons"]] == [("/fileType", "type")]
    assert status["reasons"][0]["message"]
    assert brief(await stage.through(newcomer, GET_TRACK, params={"uri": broken.uri})) == (400, "TrackNotFound")

    mended = await newcomer.put_record(TRACK, broken.record_key, track("Mended"))
    await stage.has_read(newcomer, mended.rev)
    status = await stage.asked(newcomer, RECORD_STATUS, uri=broken.uri)
    assert (status["state"], status["cid"]) == ("indexed", mended.cid)


async def test_artists_alone_are_told_that_their_track_was_hidden(
    stage: Stage, artist: Account, listener: Account
) -> None:
    disputed = await stage.publish(artist, "Disputed")
    assert (await stage.asked(listener, RECORD_STATUS, uri=disputed.uri))["state"] == "indexed"
    code, output = await stage.plyr.command("hide", disputed.uri, "--reason", "a reason for us alone")
    assert code == 0, output

    own = await stage.asked(artist, RECORD_STATUS, uri=disputed.uri)
    assert (own["state"], own["cid"]) == ("hidden", disputed.cid)
    assert [(reason["path"], reason["rule"]) for reason in own["reasons"]] == [("", "takedown")]
    assert "for us alone" not in str(own)
    unknown = {"uri": disputed.uri, "state": "unknown"}
    assert await stage.asked(listener, RECORD_STATUS, uri=disputed.uri) == unknown
    assert await stage.plyr.xrpc.answer("index.getRecordStatus", uri=disputed.uri) == unknown
    for account in (artist, listener):
        assert brief(await stage.through(account, GET_TRACK, params={"uri": disputed.uri})) == (400, "TrackNotFound")

    await stage.plyr.command("unhide", disputed.uri)
    assert (await stage.asked(listener, RECORD_STATUS, uri=disputed.uri))["state"] == "indexed"
