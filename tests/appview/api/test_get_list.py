"""library.getList."""

import pytest
from running_appview import ORIGIN
from seeds import Seeds, Written, blob
from xrpc_client import XrpcClient


def _titles(items: list[dict[str, object]]) -> list[object]:
    return [item["track"]["title"] if "track" in item else None for item in items]  # type: ignore[index]


async def test_a_list_shows_itself_and_every_place(client: XrpcClient, seeds: Seeds) -> None:
    artist, listener = await seeds.account(), await seeds.account()
    one, two = await seeds.track(artist, title="One"), await seeds.track(artist, title="Two", visibility="unlisted")
    gone = await seeds.track(artist, title="Gone")
    no_track = await seeds.like(listener, one)
    unknown = Written(await seeds.uri(artist, "fm.plyr.track/3zzzzzzzzzzzz"), f"at://{artist.did}/fm.plyr.track/3zzzzzzzzzzzz", artist, one.cid, {}, one.sort_at)  # fmt: skip
    places = [one, unknown, two, no_track, gone, one]
    cover = blob("cover", "image/png")
    written = await seeds.track_list(
        listener,
        places,
        name="Mix",
        description="All",
        listType="mixtape",
        image=cover,
        updatedAt="2026-11-23T00:00:00Z",
    )
    await seeds.delete(gone)
    answer = await client.answer("library.getList", uri=written.uri)
    assert answer["list"] == {
        "uri": written.uri,
        "cid": written.cid,
        "creator": {"did": listener.did, "handle": listener.handle},
        "name": "Mix",
        "purpose": "mixtape",
        "imageUrl": f"{ORIGIN}/img/cover/{listener.did}/{cover['ref']['$link']}",
        "itemCount": 6,
        "createdAt": written.record["createdAt"],
        "indexedAt": written.sort_at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "description": "All",
        "updatedAt": "2026-11-23T00:00:00Z",
        "record": written.record,
    }
    assert "cursor" not in answer
    assert [(item["position"], item["uri"], item.get("unavailable")) for item in answer["items"]] == [
        (position, place.uri, True if place in (unknown, no_track, gone) else None)
        for position, place in enumerate(places)
    ]
    assert _titles(answer["items"]) == ["One", None, "Two", None, None, "One"]


@pytest.mark.parametrize("limit", [1, 3, 7, 8, 200])
async def test_the_places_come_in_pages(client: XrpcClient, seeds: Seeds, limit: int) -> None:
    artist = await seeds.account()
    tracks = [await seeds.track(artist) for _ in range(3)]
    written = await seeds.track_list(artist, [tracks[number % 3] for number in range(7)])
    pages = await client.pages("library.getList", "items", limit, uri=written.uri)
    assert [item["position"] for page in pages for item in page] == list(range(7))
    assert len(pages) == -(-7 // limit)


async def test_pages_follow_an_edit_of_the_list(client: XrpcClient, seeds: Seeds) -> None:
    artist = await seeds.account()
    tracks = [await seeds.track(artist, title=str(number)) for number in range(8)]
    written = await seeds.track_list(artist, tracks[:6])

    async def second_page(edited: list[Written]) -> list[object]:
        await seeds.list_items(written, tracks[:6])
        first = await client.answer("library.getList", uri=written.uri, limit=3)
        await seeds.list_items(written, edited)
        second = await client.answer("library.getList", uri=written.uri, limit=10, cursor=first["cursor"])
        return _titles(second["items"])

    assert await second_page([tracks[6], tracks[7], *tracks[:6]]) == ["3", "4", "5"]
    assert await second_page(tracks[1:6]) == ["3", "4", "5"]
    assert await second_page([*tracks[:2], *tracks[3:6]]) == ["3", "4", "5"]
    assert await second_page([*tracks[:3], *tracks[4:7]]) == ["4", "5", "6"]


async def test_an_empty_list_has_no_places(client: XrpcClient, seeds: Seeds) -> None:
    written = await seeds.track_list(await seeds.account(), [])
    answer = await client.answer("library.getList", uri=written.uri)
    assert (answer["items"], answer["list"]["itemCount"], "cursor" in answer) == ([], 0, False)


async def test_what_is_no_list_here_is_not_found(client: XrpcClient, seeds: Seeds) -> None:
    track = await seeds.track(await seeds.account())
    for uri in (track.uri, f"at://{track.account.did}/fm.plyr.list/3zzzzzzzzzzzz", f"at://{track.account.did}"):
        assert await client.error("library.getList", uri=uri) == (400, "ListNotFound")
