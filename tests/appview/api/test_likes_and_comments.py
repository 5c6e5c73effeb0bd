"""feed.getLikes and feed.getComments."""

from datetime import timedelta

import pytest
from seeds import NOW, Seeds
from xrpc_client import XrpcClient


async def test_likes_come_newest_first_one_for_each_account(client: XrpcClient, seeds: Seeds) -> None:
    track = await seeds.track(await seeds.account())
    unlisted = await seeds.track(track.account, visibility="unlisted")
    listeners = [await seeds.account() for _ in range(7)]
    likes = [
        await seeds.like(listener, track, at=NOW - timedelta(seconds=number // 3))
        for number, listener in enumerate(listeners)
    ]
    await seeds.like(listeners[0], track, counted=False)
    await seeds.like(listeners[0], unlisted)
    expected = [like.uri for like in sorted(likes, key=lambda like: (like.sort_at, like.uri), reverse=True)]
    for limit in (1, 3, 7, 8):
        pages = await client.pages("feed.getLikes", "likes", limit, uri=track.uri)
        assert [view["uri"] for page in pages for view in page] == expected
        assert len(pages) == -(-7 // limit)
    by_handle = track.uri.replace(track.account.did, track.account.handle)
    answer = await client.answer("feed.getLikes", uri=by_handle, limit=1)
    newest = max(likes, key=lambda like: (like.sort_at, like.uri))
    assert answer["uri"] == track.uri
    assert answer["likes"] == [
        {
            "uri": newest.uri,
            "actor": {"did": newest.account.did, "handle": newest.account.handle},
            "createdAt": newest.record["createdAt"],
            "indexedAt": "2026-11-22T10:00:00.000Z",
        }
    ]
    assert len((await client.answer("feed.getLikes", uri=unlisted.uri))["likes"]) == 1


async def test_a_comment_is_shown_whole(client: XrpcClient, seeds: Seeds) -> None:
    track = await seeds.track(await seeds.account())
    comment = await seeds.comment(
        track.account, track, text="Da!", timestamp_ms=1500, at=NOW, updatedAt="2026-11-22T11:00:00Z"
    )
    assert await client.answer("feed.getComments", uri=track.uri) == {
        "uri": track.uri,
        "comments": [
            {
                "uri": comment.uri,
                "cid": comment.cid,
                "author": {"did": track.account.did, "handle": track.account.handle},
                "record": comment.record,
                "text": "Da!",
                "timestampMs": 1500,
                "createdAt": "2026-11-22T10:00:00.000Z",
                "updatedAt": "2026-11-22T11:00:00Z",
                "indexedAt": "2026-11-22T10:00:00.000Z",
            }
        ],
    }


async def test_a_comment_that_talks_about_updates_was_not_updated(client: XrpcClient, seeds: Seeds) -> None:
    track = await seeds.track(await seeds.account())
    await seeds.comment(track.account, track, text='"updatedAt"')
    [view] = (await client.answer("feed.getComments", uri=track.uri))["comments"]
    assert "updatedAt" not in view


@pytest.mark.parametrize("sort", ["timestamp", "recent"])
@pytest.mark.parametrize("limit", [1, 4, 9, 10])
async def test_comments_come_by_moment_or_newest_first(client: XrpcClient, seeds: Seeds, sort: str, limit: int) -> None:
    track = await seeds.track(await seeds.account())
    moments = {}
    for number in range(9):
        at, moment = NOW - timedelta(seconds=number % 4), (number * 7) % 3 * 1000
        written = await seeds.comment(await seeds.account(), track, timestamp_ms=moment, at=at)
        moments[written.uri] = (moment, at)
    by_moment = sorted(moments, key=lambda uri: (moments[uri][0], uri))
    newest_first = sorted(moments, key=lambda uri: (moments[uri][1], uri), reverse=True)
    pages = await client.pages("feed.getComments", "comments", limit, uri=track.uri, sort=sort)
    assert [view["uri"] for page in pages for view in page] == (by_moment if sort == "timestamp" else newest_first)
    assert len(pages) == -(-9 // limit)


async def test_a_track_that_is_not_here_has_neither(client: XrpcClient, seeds: Seeds) -> None:
    account = await seeds.account()
    liked = await seeds.record(account, "track", {}, verdict="rejected")
    await seeds.like(account, liked)
    for method in ("feed.getLikes", "feed.getComments"):
        assert await client.error(method, uri=liked.uri) == (400, "TrackNotFound")
        assert await client.error(method, uri=f"at://{account.did}/fm.plyr.track/3zzzzzzzzzzzz") == (400, "TrackNotFound")  # fmt: skip


async def test_an_order_that_is_not_understood_is_an_error(client: XrpcClient, seeds: Seeds) -> None:
    track = await seeds.track(await seeds.account())
    assert await client.error("feed.getComments", uri=track.uri, sort="random") == (400, "InvalidRequest")
