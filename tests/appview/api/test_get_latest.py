"""feed.getLatest, end to end over a real database."""

from datetime import timedelta

import orjson
import pytest
from running_appview import ORIGIN, StartAppview
from seeds import NOW, Seeds, blob
from xrpc_client import BrokenContract, XrpcClient

from appview.api.feed.get_latest import get_latest
from appview.api.methods import METHODS
from appview.service import Context
from appview.xrpc.call import Output
from atprotocol.syntax.datetime import EARLIEST

METHOD = "feed.getLatest"


async def test_an_empty_index_has_no_tracks_and_no_cursor(client: XrpcClient) -> None:
    assert await client.answer(METHOD) == {"tracks": []}


async def test_a_track_is_shown_with_everything_that_its_rows_say(client: XrpcClient, seeds: Seeds) -> None:
    artist, guest = await seeds.account(), await seeds.account()
    await seeds.profile(artist, displayName="Artist", avatar="https://cdn.example.com/a.png")
    await seeds.profile(guest, source="bluesky", displayName="Guest", avatar=blob("picture", "image/png"))
    track = await seeds.track(
        artist,
        at=NOW,
        features=(guest,),
        title="Nacht <&>",
        album="Tage",
        duration=61,
        image=blob("cover", "image/png"),
        tags=["ambient", "tape"],
        supportGate={"type": "any"},
        unknown={"kept": [1, None]},
    )
    await seeds.like(guest, track)
    await seeds.comment(guest, track)
    audio = track.record["audioBlob"]["ref"]["$link"]
    cover = track.record["image"]["ref"]["$link"]
    picture = blob("picture", "image/png")["ref"]["$link"]
    author = {
        "did": artist.did,
        "handle": artist.handle,
        "displayName": "Artist",
        "avatar": "https://cdn.example.com/a.png",
    }
    assert await client.answer(METHOD) == {
        "tracks": [
            {
                "uri": track.uri,
                "cid": track.cid,
                "author": author,
                "record": track.record,
                "audio": {
                    "cid": audio,
                    "mimeType": "audio/mpeg",
                    "sizeBytes": 4_000_000,
                },
                "imageUrl": f"{ORIGIN}/img/cover/{artist.did}/{cover}",
                "title": "Nacht <&>",
                "artist": "Somebody",
                "album": "Tage",
                "durationSeconds": 61,
                "tags": ["ambient", "tape"],
                "features": [
                    {
                        "did": guest.did,
                        "handle": guest.handle,
                        "displayName": "Guest",
                        "avatar": f"{ORIGIN}/img/avatar/{guest.did}/{picture}",
                    }
                ],
                "visibility": "public",
                "supportGate": {"type": "any"},
                "likeCount": 1,
                "commentCount": 1,
                "playCount": 0,
                "createdAt": "2026-11-22T10:00:00.000Z",
                "indexedAt": "2026-11-22T10:00:00.000Z",
            }
        ]
    }


async def test_a_track_of_an_account_without_host_handle_or_profile_is_still_shown(
    client: XrpcClient, seeds: Seeds
) -> None:
    track = await seeds.track(await seeds.account(is_verified=False, pds=None), audioUrl="https://cdn.example.com/a.mp3", audioBlob=None)  # fmt: skip
    [view] = (await client.answer(METHOD))["tracks"]
    assert view["author"] == {"did": track.account.did, "handle": "handle.invalid"}
    assert view["audio"] == {"url": "https://cdn.example.com/a.mp3"}
    assert "imageUrl" not in view


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:audio/mpeg;base64,AA", "ftp://example.com/a", "at://x"])
async def test_an_address_that_no_browser_fetches_is_not_given_as_one(
    client: XrpcClient, seeds: Seeds, url: str
) -> None:
    account = await seeds.account(pds=None)
    await seeds.profile(account, avatar=url)
    await seeds.track(account, audioUrl=url, imageUrl=url, audioBlob=None)
    [view] = (await client.answer(METHOD))["tracks"]
    assert view["audio"] == {}
    assert "imageUrl" not in view
    assert "avatar" not in view["author"]


async def test_a_record_is_passed_on_byte_for_byte(client: XrpcClient, seeds: Seeds) -> None:
    track = await seeds.track(await seeds.account(), title="a\0b", spaced="  ", big=9007199254740993)
    response = await client.get(METHOD)
    kept = await seeds.connection.fetchval("SELECT json FROM network.records WHERE uri_id = $1", track.uri_id)
    assert kept.encode() in response.content
    assert response.json()["tracks"][0]["title"] == "a\ufffdb"


async def test_newest_come_first_and_equal_times_are_ordered_by_uri(client: XrpcClient, seeds: Seeds) -> None:
    account = await seeds.account()
    tracks = [await seeds.track(account, at=NOW - timedelta(microseconds=number // 3)) for number in range(10)]
    expected = [track.uri for track in sorted(tracks, key=lambda track: (track.sort_at, track.uri), reverse=True)]
    for limit in (1, 3, 9, 10, 11):
        pages = await client.pages(METHOD, "tracks", limit)
        assert [view["uri"] for page in pages for view in page] == expected
        assert len(pages) == -(-10 // limit)


async def test_tags_choose_and_exclude(client: XrpcClient, seeds: Seeds) -> None:
    account = await seeds.account()
    calm = await seeds.track(account, tags=["ambient"])
    both = await seeds.track(account, tags=["ambient", "drone\ufffd"])
    loud = await seeds.track(account, tags=["noise"])
    none = await seeds.track(account)

    async def uris(*pairs: tuple[str, str]) -> list[str]:
        response = await client.get(METHOD, pairs)
        return [view["uri"] for view in response.json()["tracks"]]

    assert await uris(("tags", "ambient")) == [both.uri, calm.uri]
    assert await uris(("tags", "ambient"), ("tags", "noise")) == [loud.uri, both.uri, calm.uri]
    assert await uris(("tags", "ambient"), ("excludeTags", "drone\0")) == [calm.uri]
    assert await uris(("excludeTags", "ambient")) == [none.uri, loud.uri]
    assert await uris(("tags", "Ambient")) == []


async def test_a_track_from_before_the_year_1_has_a_place_in_the_pages(client: XrpcClient, seeds: Seeds) -> None:
    account = await seeds.account()
    new = await seeds.track(account)
    old = await seeds.track(account, createdAt="0000-01-01T00:00:00.000Z")
    oldest = await seeds.track(account, createdAt="0000-01-01T00:00:00.000Z")
    # The driver writes the earliest instant of all as -infinity, when rows are written as when they are asked for.
    await seeds.execute("UPDATE network.tracks SET sort_at = $1 WHERE created_at LIKE '0000%'", EARLIEST)
    pages = await client.pages(METHOD, "tracks", 1)
    assert [view["uri"] for page in pages for view in page] == [new.uri, *sorted((old.uri, oldest.uri), reverse=True)]


@pytest.mark.parametrize("name", ["uri", "author", "record", "likeCount"])
async def test_the_client_of_these_tests_sees_a_required_field_that_is_missing(
    start_appview: StartAppview, name: str
) -> None:
    async def forgetful(context: Context) -> Output:
        output = await get_latest(context)
        tracks = output["tracks"]
        assert isinstance(tracks, list)
        track = orjson.loads(orjson.dumps(tracks[0]))
        del track[name]
        tracks[0] = track
        return output

    appview = await start_appview({**METHODS, METHOD: forgetful})
    await appview.seeds.track(await appview.seeds.account())
    with pytest.raises(BrokenContract, match=name):
        await appview.client.get(METHOD)
