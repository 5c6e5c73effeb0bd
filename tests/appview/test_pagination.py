"""Pages under change, for every list route there is, and cursors out of place.

Whatever is inserted, deleted or edited between two pages: what was there throughout is seen once.
"""

import os
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from running_appview import Appview
from seeds import NAMESPACE, NOW, Account, Seeds, Written

from appview.xrpc.cursor import Key, Rest, binding_of, encode_cursor, encode_rest
from atprotocol.lexicon.catalog import Catalog

SEEDS = int(os.environ.get("PLYR_PAGINATION_SEEDS") or (6 if os.environ.get("CI") == "true" else 3))


@dataclass
class Shelf:
    """Something that is paged through: an artist, a guest, somebody who asks, and a track that all refer to."""

    seeds: Seeds
    artist: Account
    guest: Account
    viewer: Account
    subject: Written
    chance: random.Random
    present: list[Written] = field(default_factory=list)

    def at(self) -> Any:
        """Return a time that others have too."""
        return NOW - timedelta(seconds=self.chance.randrange(6))

    async def track(self) -> Written:
        owner, features = self.chance.choice([(self.artist, ()), (self.guest, (self.artist,))])
        title = f"song {self.chance.randrange(100)}"
        return await self.seeds.track(owner, at=self.at(), tags=["a"], features=features, title=title)

    async def liked_track(self) -> Written:
        """Return a track that the viewer likes, as what is listed is the track by its like."""
        track = await self.track()
        await self.seeds.like(self.viewer, track, at=self.at())
        return track

    async def suggestion(self) -> Written:
        """Return a track that somebody likes who likes what the viewer likes, by an artist of its own."""
        track = await self.seeds.track(await self.seeds.account(), at=self.at())
        await self.seeds.like(self.artist, track, at=self.at())
        return track

    async def like(self) -> Written:
        return await self.seeds.like(await self.seeds.account(), self.subject, at=self.at())

    async def comment(self) -> Written:
        moment = self.chance.randrange(4) * 1000
        return await self.seeds.comment(self.artist, self.subject, at=self.at(), timestamp_ms=moment)

    async def list(self) -> Written:
        name = f"list {self.chance.randrange(100)}"
        return await self.seeds.track_list(self.artist, [self.subject], at=self.at(), listType="album", name=name)

    async def anything(self) -> Written:
        return await self.chance.choice([self.track, self.like, self.comment, self.list])()

    async def edit(self, written: Written) -> None:
        """Change what a record says, and nothing that it is sorted by."""
        await self.seeds.execute("UPDATE network.tracks SET artist = 'Somebody else' WHERE uri_id = $1", written.uri_id)
        await self.seeds.execute("UPDATE network.comments SET text = 'Changed' WHERE uri_id = $1", written.uri_id)
        await self.seeds.execute("UPDATE network.lists SET description = 'Changed' WHERE uri_id = $1", written.uri_id)


Insert = Callable[[Shelf], Awaitable[Written]]
Parameters = Callable[[Shelf], dict[str, Any]]


@dataclass(frozen=True)
class Listing:
    """A list route with one choice of its filters: what is in it, how something gets in, who asks."""

    method: str
    items: str
    insert: Insert
    parameters: Parameters = lambda _: {}
    needs_viewer: bool = False
    # The order is kept as it was: what comes later is not in it.
    is_ranked: bool = False


LISTINGS = [
    Listing("feed.getLatest", "tracks", Shelf.track),
    Listing("feed.getLatest", "tracks", Shelf.track, lambda _: {"tags": "a"}),
    Listing("feed.getTagged", "tracks", Shelf.track, lambda _: {"tag": "a"}),
    Listing("feed.getHot", "tracks", Shelf.track, is_ranked=True),
    Listing("feed.getTop", "tracks", Shelf.liked_track, is_ranked=True),
    Listing("feed.getTop", "tracks", Shelf.liked_track, lambda _: {"period": "all"}, is_ranked=True),
    Listing("feed.getActorTracks", "tracks", Shelf.track, lambda shelf: {"actor": shelf.artist.did, "filter": "all"}),
    Listing("feed.getActorLikes", "tracks", Shelf.liked_track, lambda shelf: {"actor": shelf.viewer.did}),
    Listing("feed.getTimeline", "tracks", Shelf.track, needs_viewer=True),
    Listing("feed.getForYou", "tracks", Shelf.suggestion, needs_viewer=True, is_ranked=True),
    Listing("feed.getActivity", "activity", Shelf.anything),
    Listing("feed.getActivity", "activity", Shelf.list, lambda shelf: {"actor": shelf.artist.did, "types": "list"}),
    Listing("feed.getLikes", "likes", Shelf.like, lambda shelf: {"uri": shelf.subject.uri}),
    Listing("feed.getComments", "comments", Shelf.comment, lambda shelf: {"uri": shelf.subject.uri}),
    Listing("feed.getComments", "comments", Shelf.comment, lambda shelf: {"uri": shelf.subject.uri, "sort": "recent"}),
    Listing("library.getActorLists", "lists", Shelf.list, lambda shelf: {"actor": shelf.artist.did}),
    Listing("library.getActorLists", "lists", Shelf.list, lambda shelf: {"actor": shelf.artist.did, "purpose": "album"}),
    Listing("feed.searchTracks", "tracks", Shelf.track, lambda _: {"q": "song"}),
    Listing("feed.searchTracks", "tracks", Shelf.track, lambda shelf: {"q": "song", "tag": "A"}),
    Listing("library.searchLists", "lists", Shelf.list, lambda _: {"q": "list", "purpose": "album"}),
    Listing("library.getListsWithTrack", "lists", Shelf.list, lambda shelf: {"uri": shelf.subject.uri}),
]  # fmt: skip
# A list's places are its author's; accounts and tags have no URIs: what happens to these is in their own tests.
ELSEWHERE = {"library.getList", "actor.searchActors", "feed.getTags"}


def _paged(catalog: Catalog) -> set[str]:
    methods = [catalog.method(nsid) for nsid in catalog.method_nsids if nsid.startswith(f"{NAMESPACE}.")]
    return {method.nsid.removeprefix(f"{NAMESPACE}.") for method in methods if "cursor" in method.parameters.names}


def test_every_list_route_is_paged_through(catalog: Catalog) -> None:
    assert {listing.method for listing in LISTINGS} | ELSEWHERE == _paged(catalog)


async def _shelf(appview: Appview, seed: str) -> Shelf:
    seeds, chance = appview.seeds, random.Random(seed)
    artist, guest, viewer = [await seeds.account() for _ in range(3)]
    subject = await seeds.track(artist, tags=["b"], at=NOW - timedelta(days=3))
    for followed in (artist, guest):
        await seeds.follow(viewer, followed)
    for liker in (viewer, artist):
        await seeds.like(liker, subject, at=NOW - timedelta(days=2))
    return Shelf(seeds, artist, guest, viewer, subject, chance)


async def _page(appview: Appview, shelf: Shelf, listing: Listing, parameters: dict[str, Any]) -> dict[str, Any]:
    headers = appview.signed_in(shelf.viewer, listing.method) if listing.needs_viewer else {}
    response = await appview.client.get(listing.method, parameters, headers=headers)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("listing", LISTINGS, ids=lambda each: each.method)
async def test_nothing_that_was_there_throughout_is_lost_or_repeated(
    appview: Appview, listing: Listing, seed: int
) -> None:
    shelf = await _shelf(appview, f"{listing.method} {seed}")
    chance = shelf.chance
    present = [await listing.insert(shelf) for _ in range(12)]
    await shelf.seeds.rank()
    throughout, seen, cursor = {written.uri for written in present}, [], {}
    for _ in range(100):
        parameters = {"limit": chance.randint(1, 4), **listing.parameters(shelf), **cursor}
        answer = await _page(appview, shelf, listing, parameters)
        found = [view["uri"] for view in answer[listing.items]]
        seen += found
        if "cursor" not in answer:
            break
        assert found, "an empty page that is not the last"
        cursor = {"cursor": answer["cursor"]}
        for _ in range(chance.randrange(3)):
            present.append(await listing.insert(shelf))
        if present and chance.random() < 0.6:
            gone = present.pop(chance.randrange(len(present)))
            if chance.random() < 0.5:
                await shelf.seeds.delete(gone)
            else:
                await shelf.seeds.take_down(gone.uri)
            throughout.discard(gone.uri)
        if present and chance.random() < 0.6:
            await shelf.edit(chance.choice(present))
        if chance.random() < 0.3:
            # Orders are made anew while somebody pages through one that is older.
            appview.clock.move(1)
            await shelf.seeds.rank(appview.clock())
    else:
        raise AssertionError("it never ends")
    assert len(seen) == len(set(seen))
    assert throughout <= set(seen)


@pytest.mark.parametrize("listing", LISTINGS, ids=lambda each: each.method)
async def test_the_pages_joined_are_the_whole(appview: Appview, listing: Listing) -> None:
    shelf = await _shelf(appview, listing.method)
    for _ in range(9):
        await listing.insert(shelf)
    await shelf.seeds.rank()
    whole = await _page(appview, shelf, listing, {"limit": 100, **listing.parameters(shelf)})
    assert "cursor" not in whole
    assert len(whole[listing.items]) >= 9
    for limit in (1, 3, 9):
        joined: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            page = await _page(appview, shelf, listing, {"limit": limit, **listing.parameters(shelf), **cursor})
            joined += page[listing.items]
            assert len(page[listing.items]) <= limit
            if "cursor" not in page:
                break
            cursor = {"cursor": page["cursor"]}
        assert joined == whole[listing.items]


async def test_a_cursor_serves_its_own_question_only(appview: Appview) -> None:
    shelf = await _shelf(appview, "questions")
    for insert in (Shelf.liked_track, Shelf.like, Shelf.comment, Shelf.list, Shelf.suggestion):
        for _ in range(3):
            await insert(shelf)
    listed = await shelf.seeds.track_list(shelf.artist, [shelf.subject, shelf.subject])
    await shelf.seeds.rank()
    questions = [*LISTINGS, Listing("library.getList", "items", Shelf.list, lambda _: {"uri": listed.uri})]
    cursors = [
        (listing, (await _page(appview, shelf, listing, {"limit": 1, **listing.parameters(shelf)}))["cursor"])
        for listing in questions
    ]
    for listing in questions:
        for other, cursor in cursors:
            headers = appview.signed_in(shelf.viewer, listing.method) if listing.needs_viewer else {}
            parameters = {"limit": 2, **listing.parameters(shelf), "cursor": cursor}
            response = await appview.client.get(listing.method, parameters, headers=headers)
            if listing is other:
                assert response.status_code == 200, listing
            else:
                assert response.status_code == 400, (listing, other)
                assert response.json() == {"error": "InvalidRequest", "message": "Malformed cursor"}


async def test_a_cursor_of_another_version_is_refused(appview: Appview) -> None:
    for _ in range(2):
        await appview.seeds.track(await appview.seeds.account())
    cursor = (await appview.client.answer("feed.getLatest", limit=1))["cursor"]
    older = "B" + cursor[1:] if cursor[0] != "B" else "C" + cursor[1:]
    assert await appview.client.error("feed.getLatest", cursor=older) == (400, "InvalidRequest")


async def test_an_order_that_is_kept_no_more_says_so(appview: Appview) -> None:
    seeds = appview.seeds
    for _ in range(3):
        await seeds.track(await seeds.account())
    await seeds.rank()
    cursor = (await appview.client.answer("feed.getHot", limit=1))["cursor"]
    for hours in (1, 3):
        await seeds.track(await seeds.account())
        await seeds.rank(NOW + timedelta(hours=hours))
    response = await appview.client.get("feed.getHot", {"limit": 1, "cursor": cursor})
    assert (response.status_code, response.json()["error"]) == (400, "InvalidRequest")
    assert "too old" in response.json()["message"]


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63), 2**31, -1, 0])
@pytest.mark.parametrize("listing", LISTINGS, ids=lambda each: each.method)
async def test_a_cursor_that_somebody_made_up_breaks_nothing(
    appview: Appview, catalog: Catalog, listing: Listing, number: int
) -> None:
    shelf = await _shelf(appview, "made up")
    method = catalog.method(f"{NAMESPACE}.{listing.method}")  # type: ignore[arg-type]
    given = listing.parameters(shelf)
    defaults = {each.name: each.default for each in method.parameters.declared if each.default is not None}
    arrays = {name: [value] if name in ("tags", "types") else value for name, value in given.items()}
    binding = binding_of(method.nsid, {**defaults, **arrays})
    for cursor in (
        encode_cursor(Key(number, "at://"), binding),
        encode_cursor(Key(1, "at://", number), binding),
        encode_rest(Rest((abs(number), 1), True), binding),
    ):
        headers = appview.signed_in(shelf.viewer, listing.method) if listing.needs_viewer else {}
        response = await appview.client.get(listing.method, {**given, "cursor": cursor}, headers=headers)
        assert response.status_code in (200, 400), response.text
        if response.status_code == 400:
            assert response.json()["message"] in ("Malformed cursor", "The cursor is too old: begin again without it")


async def test_a_made_up_rest_shows_nothing_that_feeds_leave_out(appview: Appview) -> None:
    seeds = appview.seeds
    viewer, artist = await seeds.account(), await seeds.account()
    hidden = [
        await seeds.track(artist, visibility="unlisted"),
        await seeds.track(await seeds.account(active=False)),
        await seeds.comment(artist, await seeds.track(artist)),
    ]
    rest = Rest(tuple(each.uri_id for each in hidden), False)
    cursor = encode_rest(rest, binding_of(f"{NAMESPACE}.feed.getForYou", {}))
    headers = appview.signed_in(viewer, "feed.getForYou")
    answer = (await appview.client.get("feed.getForYou", {"cursor": cursor}, headers=headers)).json()
    assert answer == {"tracks": [], "coldStart": False}


@pytest.mark.parametrize("cursor", ["x", "1700000000000__bafy", "null", "%00"])
async def test_what_is_no_cursor_is_an_error(appview: Appview, cursor: str) -> None:
    for name in ("feed.getLatest", "feed.getHot"):
        response = await appview.client.request("GET", f"/xrpc/{NAMESPACE}.{name}?cursor={cursor}")
        assert (response.status_code, response.json()["message"]) == (400, "Malformed cursor")
