"""Ranked feeds, timelines, suggestions and activity: what is in them, and in which order."""

from datetime import timedelta
from typing import Any

import pytest
from running_appview import ORIGIN, Appview
from seeds import NOW, Account, Seeds, Written

from atprotocol.syntax.datetime import EARLIEST

DAY = timedelta(days=1)


def uris(answer: dict[str, Any]) -> list[str]:
    return [track["uri"] for track in answer["tracks"]]


async def likes(seeds: Seeds, track: Written, count: int, at: Any = NOW) -> None:
    for _ in range(count):
        await seeds.like(await seeds.account(), track, at=at)


async def signed_in(appview: Appview, viewer: Account, name: str, **parameters: Any) -> dict[str, Any]:
    response = await appview.client.get(name, parameters, headers=appview.signed_in(viewer, name))
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def test_twice_the_likes_weigh_as_much_as_two_days(appview: Appview) -> None:
    seeds = appview.seeds
    artist = await seeds.account()
    old, new, middle = [await seeds.track(artist, at=NOW - age * DAY) for age in (4, 0, 1)]
    await likes(seeds, old, 7)
    await seeds.rank()
    # Three doublings are six days, against four.
    assert uris(await appview.client.answer("feed.getHot")) == [old.uri, new.uri, middle.uri]


async def test_one_account_has_one_vote(appview: Appview) -> None:
    seeds = appview.seeds
    artist, fan = await seeds.account(), await seeds.account()
    first, second = [await seeds.track(artist, at=NOW) for _ in range(2)]
    for _ in range(5):
        await seeds.like(fan, first, counted=False)
    await likes(seeds, second, 1)
    await seeds.rank()
    assert uris(await appview.client.answer("feed.getHot")) == [second.uri, first.uri]


@pytest.mark.parametrize("by", ["likes", "plays"])
async def test_the_top_of_a_period_counts_what_was_given_in_it(appview: Appview, by: str) -> None:
    seeds = appview.seeds
    artist = await seeds.account()
    once, lately, before = [await seeds.track(artist, at=NOW - 400 * DAY) for _ in range(3)]

    async def give(track: Written, count: int, at: Any) -> None:
        if by == "likes":
            await likes(seeds, track, count, at)
            return
        for _ in range(count):
            await seeds.execute("INSERT INTO plyr.plays (subject, played_at) VALUES ($1, $2)", track.uri, at)
        await seeds.execute("INSERT INTO plyr.play_counters VALUES ($1, $2) ON CONFLICT (subject) DO UPDATE SET play_count = play_counters.play_count + $2", track.uri, count)  # fmt: skip

    await give(once, 5, NOW - 20 * DAY)
    await give(lately, 2, NOW)
    await give(before, 1, NOW - 2 * DAY)
    await seeds.rank()
    expected = {
        "day": [lately],
        "week": [lately, before],
        "month": [once, lately, before],
        "year": [once, lately, before],
        "all": [once, lately, before],
    }
    for period, tracks in expected.items():
        answer = await appview.client.answer("feed.getTop", period=period, by=by)
        assert uris(answer) == [track.uri for track in tracks], period
    assert await appview.client.error("feed.getTop", period="decade") == (400, "InvalidRequest")


async def test_plays_of_the_time_before_count_for_all_time(appview: Appview) -> None:
    track = await appview.seeds.track(await appview.seeds.account())
    await appview.seeds.overlay(track, play_count=7)
    await appview.seeds.rank()
    assert uris(await appview.client.answer("feed.getTop", period="all", by="plays")) == [track.uri]
    assert uris(await appview.client.answer("feed.getTop", period="year", by="plays")) == []


async def test_an_order_of_nothing_replaces_one_of_something(appview: Appview) -> None:
    track = await appview.seeds.track(await appview.seeds.account())
    await likes(appview.seeds, track, 1)
    for later, expected in ((0, [track.uri]), (2, [])):
        await appview.seeds.rank(NOW + later * DAY)
        assert uris(await appview.client.answer("feed.getTop", period="day")) == expected


async def test_before_any_order_is_made_the_feed_is_empty(appview: Appview) -> None:
    await appview.seeds.track(await appview.seeds.account())
    assert await appview.client.answer("feed.getHot") == {"tracks": []}


async def test_a_timeline_has_the_tracks_of_those_whom_the_viewer_follows(appview: Appview) -> None:
    seeds = appview.seeds
    viewer, followed, stranger = [await seeds.account() for _ in range(3)]
    for _ in range(2):
        await seeds.follow(viewer, followed)
    await seeds.follow(viewer, await seeds.actor())
    tracks = [await seeds.track(followed, at=NOW - number * DAY) for number in range(3)]
    await seeds.track(stranger)
    await seeds.track(viewer)
    answer = await signed_in(appview, viewer, "feed.getTimeline")
    assert uris(answer) == [track.uri for track in tracks]
    assert uris(await signed_in(appview, stranger, "feed.getTimeline")) == []
    nobody = Account(0, "did:plc:" + "q" * 24, "")
    assert await signed_in(appview, nobody, "feed.getTimeline") == {"tracks": []}
    assert await appview.client.error("feed.getTimeline") == (401, "AuthenticationRequired")


async def test_what_a_viewer_may_like_is_what_those_like_who_like_the_same(appview: Appview) -> None:
    seeds = appview.seeds
    viewer, twin, other = [await seeds.account() for _ in range(3)]
    known, mine = await seeds.track(await seeds.account()), await seeds.track(viewer)
    fresh, stale, foreign = [await seeds.track(await seeds.account()) for _ in range(3)]
    same_artist = [await seeds.track(fresh.account) for _ in range(2)]
    await seeds.like(viewer, known)
    await seeds.like(twin, known)
    await seeds.like(twin, mine)
    await seeds.like(other, foreign)
    await seeds.like(twin, fresh, at=NOW)
    await seeds.like(twin, stale, at=NOW - 60 * DAY)
    for track in same_artist:
        await seeds.like(twin, track, at=NOW - 30 * DAY)
    answer = await signed_in(appview, viewer, "feed.getForYou")
    assert answer["coldStart"] is False
    found = uris(answer)
    # At most two of one artist, the latest likes first; nothing of the viewer's own, nor what they like already.
    assert found[0] == fresh.uri
    assert found[-1] == stale.uri
    assert set(found[1:-1]) < {track.uri for track in same_artist}
    assert len(found) == 3


async def test_fame_counts_against_a_suggestion(appview: Appview) -> None:
    seeds = appview.seeds
    viewer, twin = await seeds.account(), await seeds.account()
    known, famous, rare = [await seeds.track(await seeds.account()) for _ in range(3)]
    for liker in (viewer, twin):
        await seeds.like(liker, known, at=NOW)
    for track in (famous, rare):
        await seeds.like(twin, track, at=NOW)
    await likes(seeds, famous, 10)
    assert uris(await signed_in(appview, viewer, "feed.getForYou")) == [rare.uri, famous.uri]


async def test_who_likes_nothing_yet_is_shown_what_is_hot_and_told_so(appview: Appview) -> None:
    seeds = appview.seeds
    tracks = [await seeds.track(await seeds.account(), at=NOW - number * DAY) for number in range(3)]
    await seeds.rank()
    viewer = await seeds.account()
    first = await signed_in(appview, viewer, "feed.getForYou", limit=2)
    assert (uris(first), first["coldStart"]) == ([tracks[0].uri, tracks[1].uri], True)
    second = await signed_in(appview, viewer, "feed.getForYou", limit=2, cursor=first["cursor"])
    assert second == {"tracks": second["tracks"], "coldStart": True}
    assert uris(second) == [tracks[2].uri]
    assert await appview.client.error("feed.getForYou") == (401, "AuthenticationRequired")


async def test_what_goes_with_a_track(appview: Appview) -> None:
    seeds = appview.seeds
    track = await seeds.track(await seeds.account(), tags=["x"])
    tagged = await seeds.track(await seeds.account(), tags=["x"], at=NOW - DAY)
    sibling = await seeds.track(track.account, at=NOW)
    await seeds.track(await seeds.account(), tags=["y"])
    answer = await appview.client.answer("feed.getRelated", uri=track.uri)
    assert (set(uris(answer)), answer["coldStart"]) == ({sibling.uri, tagged.uri}, True)
    fan, liked = await seeds.account(), await seeds.track(await seeds.account())
    for each in (track, liked):
        await seeds.like(fan, each)
    answer = await appview.client.answer("feed.getRelated", uri=track.uri)
    assert (uris(answer), answer["coldStart"], answer["uri"]) == ([liked.uri], False, track.uri)
    assert await appview.client.error("feed.getRelated", uri=f"{track.uri}x") == (400, "TrackNotFound")


async def test_activity_is_what_everybody_does_or_one_account(appview: Appview) -> None:
    seeds = appview.seeds
    artist, fan = await seeds.account(), await seeds.account()
    track = await seeds.track(artist, at=NOW - 4 * DAY)
    like = await seeds.like(fan, track, at=NOW - 3 * DAY)
    comment = await seeds.comment(fan, track, text="Nice", at=NOW - 2 * DAY)
    album = await seeds.track_list(artist, [track], listType="album", at=NOW - DAY)
    await seeds.track_list(fan, [track], listType="liked", at=NOW)
    events = (await appview.client.answer("feed.getActivity"))["activity"]
    assert [(event["type"], event["uri"]) for event in events] == [
        ("list", album.uri), ("comment", comment.uri), ("like", like.uri), ("track", track.uri),
    ]  # fmt: skip
    assert [event.get("track", {}).get("uri") for event in events] == [None, track.uri, track.uri, track.uri]
    assert events[0]["list"]["uri"] == album.uri
    assert events[1]["comment"]["text"] == "Nice"
    assert events[2]["actor"]["did"] == fan.did
    mine = (await appview.client.answer("feed.getActivity", actor=fan.handle, types=["like", "list"]))["activity"]
    assert [event["uri"] for event in mine] == [like.uri]
    assert await appview.client.error("feed.getActivity", types="dream") == (400, "InvalidRequest")
    assert await appview.client.error("feed.getActivity", actor="nobody.example.com") == (400, "ActorNotFound")


async def test_a_viewer_is_told_by_which_record_they_like_a_track(appview: Appview) -> None:
    seeds = appview.seeds
    viewer, other = await seeds.account(), await seeds.account()
    liked, unliked = [await seeds.track(other, at=NOW - number * DAY) for number in range(2)]
    like = await seeds.like(viewer, liked)
    await seeds.like(other, liked)
    answer = await signed_in(appview, viewer, "feed.getLatest")
    assert [(track["uri"], track["viewer"]) for track in answer["tracks"]] == [
        (liked.uri, {"like": like.uri}), (unliked.uri, {}),
    ]  # fmt: skip
    assert all("viewer" not in track for track in (await appview.client.answer("feed.getLatest"))["tracks"])
    stranger = Account(0, "did:plc:" + "q" * 24, "")
    assert [track["viewer"] for track in (await signed_in(appview, stranger, "feed.getLatest"))["tracks"]] == [{}, {}]


async def test_a_viewer_is_told_whom_they_follow_and_who_follows_them(appview: Appview) -> None:
    seeds = appview.seeds
    viewer, idol, friend = [await seeds.account() for _ in range(3)]
    follow, back = await seeds.follow(viewer, friend), await seeds.follow(friend, viewer)
    only = await seeds.follow(viewer, idol)
    profiles = await signed_in(appview, viewer, "actor.getProfiles", actors=[friend.did, idol.did, viewer.did])
    assert [profile["viewer"] for profile in profiles["profiles"]] == [
        {"following": follow.uri, "followedBy": back.uri}, {"following": only.uri}, {},
    ]  # fmt: skip
    profile = await signed_in(appview, idol, "actor.getProfile", actor=viewer.did)
    assert profile["viewer"] == {"followedBy": only.uri}
    assert "viewer" not in await appview.client.answer("actor.getProfile", actor=idol.did)


async def test_playback_says_whether_and_where_and_how_sure(appview: Appview) -> None:
    seeds = appview.seeds
    artist = await seeds.account()
    both = await seeds.track(artist, audioUrl="https://audio.example.com/x.mp3")
    silent = await seeds.track(artist, audioBlob=None)
    odd = await seeds.track(artist, audioBlob=None, audioUrl="javascript:alert(1)")
    gated = await seeds.track(artist, supportGate={"type": "any"})
    answer = await appview.client.answer("feed.getPlayback", uri=both.uri)
    assert answer["access"] == "granted"
    assert [(each["origin"], each["integrity"], "cid" in each) for each in answer["sources"]] == [
        ("pds", "unverified", True),
    ]  # fmt: skip
    assert answer["sources"][0]["url"] == f"{ORIGIN}/audio/{artist.did}/{both.record['audioBlob']['ref']['$link']}"
    for track in (silent, odd):
        nothing = await appview.client.answer("feed.getPlayback", uri=track.uri)
        assert nothing == {"uri": track.uri, "access": "unavailable", "sources": []}
    refused = await appview.client.answer("feed.getPlayback", uri=gated.uri)
    assert refused == {"uri": gated.uri, "access": "supportRequired", "sources": []}
    assert (await signed_in(appview, artist, "feed.getPlayback", uri=gated.uri))["access"] == "granted"
    assert (await signed_in(appview, await seeds.account(), "feed.getPlayback", uri=gated.uri))["sources"] == []


async def test_an_old_number_leads_to_its_track_as_long_as_that_is_shown(appview: Appview) -> None:
    seeds = appview.seeds
    track = await seeds.track(await seeds.account())
    await seeds.overlay(track, legacy_id=123, album_image_url="https://images.example.com/a.png", visibility="unlisted")
    assert await appview.client.answer("index.resolveLegacyId", id=123) == {"uri": track.uri}
    view = await appview.client.answer("feed.getTrack", uri=track.uri)
    assert (view["imageUrl"], view["visibility"]) == ("https://images.example.com/a.png", "unlisted")
    assert await appview.client.error("index.resolveLegacyId", id=124) == (400, "TrackNotFound")
    await seeds.take_down(track.uri)
    assert await appview.client.error("index.resolveLegacyId", id=123) == (400, "TrackNotFound")


async def test_a_like_from_the_beginning_of_the_calendar_weighs_nothing_and_breaks_nothing(appview: Appview) -> None:
    seeds = appview.seeds
    first, second, fan, viewer = [await seeds.account() for _ in range(4)]
    track, other = await seeds.track(first), await seeds.track(second)
    for liked in (track, other):
        await seeds.like(fan, liked, at=EARLIEST)
    await seeds.like(viewer, track, at=EARLIEST)
    assert uris(await appview.client.answer("feed.getRelated", uri=track.uri)) == [other.uri]
    assert uris(await signed_in(appview, viewer, "feed.getForYou")) == [other.uri]
