"""feed.getTrack, feed.getTracks and feed.getActorTracks."""

from datetime import timedelta

import pytest
from seeds import NOW, Account, Seeds, Written
from xrpc_client import XrpcClient

MISSING_KEY = "3zzzzzzzzzzzz"


async def test_a_track_is_found_by_did_and_by_handle_in_any_case(client: XrpcClient, seeds: Seeds) -> None:
    track = await seeds.track(await seeds.account())
    path = track.uri.removeprefix(f"at://{track.account.did}")
    for authority in (track.account.did, track.account.handle, track.account.handle.upper()):
        assert (await client.answer("feed.getTrack", uri=f"at://{authority}{path}"))["uri"] == track.uri


async def test_a_handle_that_is_not_verified_or_verified_for_another_since_leads_nowhere_old(
    client: XrpcClient, seeds: Seeds
) -> None:
    unverified = await seeds.track(await seeds.account(is_verified=False))
    path = unverified.uri.removeprefix(f"at://{unverified.account.did}")
    assert await client.error("feed.getTrack", uri=f"at://{unverified.account.handle}{path}") == (400, "TrackNotFound")
    assert await client.error("actor.getProfile", actor=unverified.account.handle) == (400, "ActorNotFound")
    old = await seeds.account(handle="moved.example.com")
    await seeds.execute("UPDATE network.repos SET handle_verified_at = $2 WHERE actor_id = $1", old.actor_id, NOW - timedelta(days=1))  # fmt: skip
    new = await seeds.account(handle="moved.example.com")
    assert (await client.answer("actor.getProfile", actor="Moved.example.com"))["did"] == new.did


@pytest.mark.parametrize("uri", ["at://{did}", "at://{did}/fm.plyr.track", "at://{did}/fm.plyr.track/missing", "at://{did}/fm.plyr.like/{key}", "at://did:plc:unknown/fm.plyr.track/{key}", "at://unknown.example.com/fm.plyr.track/{key}", "at://{did}/fm.plyr.stg.track/{key}"])  # fmt: skip
async def test_what_is_no_track_here_is_not_found(client: XrpcClient, seeds: Seeds, uri: str) -> None:
    track = await seeds.track(await seeds.account())
    filled = uri.format(did=track.account.did, key=track.uri.rpartition("/")[2])
    assert await client.error("feed.getTrack", uri=filled) == (400, "TrackNotFound")
    assert await client.answer("feed.getTracks", uris=[filled]) == {
        "tracks": [{"$type": "fm.plyr.feed.defs#notFoundTrack", "uri": filled, "notFound": True}]
    }


async def test_a_page_about_a_track_names_its_album_its_lists_and_its_credits(client: XrpcClient, seeds: Seeds) -> None:
    artist, guest, listener = await seeds.account(), await seeds.account(), await seeds.account()
    await seeds.profile(guest, displayName="Guest")
    track = await seeds.track(artist, features=(guest,))
    other = await seeds.track(artist)
    album = await seeds.track_list(artist, [other, track], name="Tage", listType="album")
    twice = await seeds.track_list(listener, [track, other, track], name="Twice", listType="playlist")
    foreign = await seeds.track_list(listener, [track], name="No album of mine", listType="album")
    await seeds.track_list(listener, [track], name="Likes", listType="liked")
    await seeds.track_list(listener, [other], name="Something else")
    view = await client.answer("feed.getTrack", uri=track.uri)
    assert view["albumList"] == {
        "uri": album.uri,
        "cid": album.cid,
        "creator": {"did": artist.did, "handle": artist.handle},
        "name": "Tage",
        "purpose": "album",
        "slug": "tage",
        "itemCount": 2,
        "createdAt": album.record["createdAt"],
        "indexedAt": album.sort_at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
    }
    assert [each["uri"] for each in view["lists"]] == [foreign.uri, twice.uri]
    assert [(each["role"], each.get("name"), each["actor"]["did"]) for each in view["credits"]] == [
        ("artist", "Somebody", artist.did),
        ("featured", "Guest", guest.did),
    ]


async def test_a_page_about_a_track_says_no_more_than_ten_lists(client: XrpcClient, seeds: Seeds) -> None:
    track = await seeds.track(await seeds.account())
    for _ in range(12):
        await seeds.track_list(track.account, [track])
    view = await client.answer("feed.getTrack", uri=track.uri)
    assert len(view["lists"]) == 10
    assert "albumList" not in view


async def test_tracks_come_in_the_order_asked_for_and_one_missing_costs_no_other(
    client: XrpcClient, seeds: Seeds
) -> None:
    artist = await seeds.account()
    one, two = await seeds.track(artist), await seeds.track(artist, visibility="unlisted")
    missing = f"at://{artist.did}/fm.plyr.track/{MISSING_KEY}"
    by_handle = two.uri.replace(artist.did, artist.handle)
    tracks = (await client.answer("feed.getTracks", uris=[two.uri, missing, one.uri, one.uri, by_handle]))["tracks"]
    assert [(each["$type"].rpartition("#")[2], each["uri"]) for each in tracks] == [
        ("trackView", two.uri),
        ("notFoundTrack", missing),
        ("trackView", one.uri),
        ("trackView", one.uri),
        ("trackView", two.uri),
    ]


@pytest.fixture
async def works(seeds: Seeds) -> tuple[Account, dict[str, Written]]:
    """An artist with tracks of its own, and credits on its own and on others'."""
    artist, other = await seeds.account(), await seeds.account()
    tracks = {
        "own": await seeds.track(artist),
        "own with itself": await seeds.track(artist, features=(artist, other)),
        "guest": await seeds.track(other, features=(artist,)),
        "unlisted": await seeds.track(artist, visibility="unlisted"),
        "unlisted guest": await seeds.track(other, features=(artist,), visibility="of the future"),
        "other": await seeds.track(other),
    }
    return artist, tracks


@pytest.mark.parametrize(
    ("which", "names"),
    [
        (None, ["own with itself", "own"]),
        ("tracks", ["own with itself", "own"]),
        ("features", ["guest"]),
        ("all", ["guest", "own with itself", "own"]),
    ],
)
async def test_tracks_of_an_artist(
    client: XrpcClient, works: tuple[Account, dict[str, Written]], which: str | None, names: list[str]
) -> None:
    artist, tracks = works
    parameters = {} if which is None else {"filter": which}
    for actor in (artist.did, artist.handle):
        for limit in (1, 2, 50):
            pages = await client.pages("feed.getActorTracks", "tracks", limit, actor=actor, **parameters)
            assert [view["uri"] for page in pages for view in page] == [tracks[name].uri for name in names]


async def test_an_artist_without_tracks_has_none_and_a_stranger_is_not_found(client: XrpcClient, seeds: Seeds) -> None:
    assert await client.answer("feed.getActorTracks", actor=(await seeds.account()).did) == {"tracks": []}
    credited = await seeds.actor()
    for actor in (credited.did, "did:plc:unknown", "unknown.example.com"):
        assert await client.error("feed.getActorTracks", actor=actor) == (400, "ActorNotFound")


async def test_a_filter_that_is_not_understood_is_an_error(client: XrpcClient, seeds: Seeds) -> None:
    actor = (await seeds.account()).did
    assert await client.error("feed.getActorTracks", actor=actor, filter="remixes") == (400, "InvalidRequest")
