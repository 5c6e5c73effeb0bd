"""Pages under change, and cursors out of place."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from running_appview import Appview
from seeds import NOW, Account, Seeds, Written

from appview.xrpc.cursor import Key, binding_of, encode_cursor
from atprotocol.lexicon.catalog import Catalog


@dataclass
class Shelf:
    """Something that is paged through: how an item gets in, and who asks for it."""

    seeds: Seeds
    artist: Account
    guest: Account
    subject: Written
    items: list[Written] = field(default_factory=list)


Insert = Callable[[Shelf, random.Random], Awaitable[Written]]


def _at(chance: random.Random) -> Any:
    return NOW - timedelta(seconds=chance.randrange(6))


async def _track(shelf: Shelf, chance: random.Random) -> Written:
    if chance.random() < 0.5:
        return await shelf.seeds.track(shelf.artist, at=_at(chance), tags=["a"])
    return await shelf.seeds.track(shelf.guest, at=_at(chance), tags=["a"], features=(shelf.artist,))


async def _like(shelf: Shelf, chance: random.Random) -> Written:
    return await shelf.seeds.like(await shelf.seeds.account(), shelf.subject, at=_at(chance))


async def _comment(shelf: Shelf, chance: random.Random) -> Written:
    moment = chance.randrange(4) * 1000
    return await shelf.seeds.comment(shelf.artist, shelf.subject, at=_at(chance), timestamp_ms=moment)


LISTS: dict[str, tuple[str, str, Insert, Callable[[Shelf], dict[str, Any]]]] = {
    "latest": ("feed.getLatest", "tracks", _track, lambda shelf: {"tags": "a"}),
    "of an artist": ("feed.getActorTracks", "tracks", _track, lambda shelf: {"actor": shelf.artist.did, "filter": "all"}),
    "likes": ("feed.getLikes", "likes", _like, lambda shelf: {"uri": shelf.subject.uri}),
    "by moment": ("feed.getComments", "comments", _comment, lambda shelf: {"uri": shelf.subject.uri}),
    "recent": ("feed.getComments", "comments", _comment, lambda shelf: {"uri": shelf.subject.uri, "sort": "recent"}),
}  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("which", LISTS)
async def test_nothing_that_was_there_throughout_is_lost_or_repeated(appview: Appview, which: str, seed: int) -> None:
    method, items, insert, parameters = LISTS[which]
    chance, seeds = random.Random(f"{which} {seed}"), appview.seeds
    artist = await seeds.account()
    shelf = Shelf(seeds, artist, await seeds.account(), await seeds.track(artist, tags=["b"]))
    present = [await insert(shelf, chance) for _ in range(12)]
    throughout, seen, cursor = {written.uri for written in present}, [], {}
    while True:
        answer = await appview.client.answer(method, limit=chance.randint(1, 4), **parameters(shelf), **cursor)
        seen += [view["uri"] for view in answer[items] if view["uri"] != shelf.subject.uri]
        if "cursor" not in answer:
            break
        cursor = {"cursor": answer["cursor"]}
        for _ in range(chance.randrange(3)):
            present.append(await insert(shelf, chance))
        if present and chance.random() < 0.6:
            gone = present.pop(chance.randrange(len(present)))
            await seeds.delete(gone)
            throughout.discard(gone.uri)
    assert len(seen) == len(set(seen))
    assert throughout <= set(seen)


def _paged(catalog: Catalog) -> list[str]:
    methods = [catalog.method(nsid) for nsid in catalog.method_nsids if nsid.startswith("fm.plyr.")]
    return [method.nsid.removeprefix("fm.plyr.") for method in methods if "cursor" in method.parameters.names]


async def test_a_cursor_serves_its_own_question_only(appview: Appview, catalog: Catalog) -> None:
    seeds = appview.seeds
    artist, listener = await seeds.account(), await seeds.account()
    tracks = [await seeds.track(artist, features=(listener,)) for _ in range(2)]
    for track in tracks:
        for account in (artist, listener):
            await seeds.like(account, track)
            await seeds.comment(account, track)
    lists = [await seeds.track_list(artist, tracks) for _ in range(2)]
    questions: dict[str, list[dict[str, Any]]] = {
        "feed.getLatest": [{}, {"tags": "a"}, {"excludeTags": "a"}],
        "feed.getActorTracks": [{"actor": artist.did}, {"actor": artist.handle}, {"actor": listener.did}, {"actor": artist.did, "filter": "all"}],
        "feed.getLikes": [{"uri": track.uri} for track in tracks],
        "feed.getComments": [{"uri": tracks[0].uri}, {"uri": tracks[1].uri}, {"uri": tracks[0].uri, "sort": "recent"}],
        "library.getList": [{"uri": each.uri} for each in lists],
    }  # fmt: skip
    assert set(questions) == set(_paged(catalog))
    cursors = {
        name: (await appview.client.answer(name, limit=1, **parameters[0]))["cursor"]
        for name, parameters in questions.items()
    }
    for name, parameters in questions.items():
        for other, cursor in cursors.items():
            for number, question in enumerate(parameters):
                response = await appview.client.get(name, {**question, "limit": 2, "cursor": cursor})
                if name == other and number == 0:
                    assert response.status_code == 200
                else:
                    assert response.status_code == 400, (name, question, other)
                    assert response.json() == {"error": "InvalidRequest", "message": "Malformed cursor"}


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63), 2**31, -1, 0])
async def test_a_cursor_that_somebody_made_up_breaks_nothing(appview: Appview, number: int) -> None:
    seeds = appview.seeds
    track = await seeds.track(await seeds.account())
    listed = await seeds.track_list(track.account, [track])
    questions: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("feed.getLatest", {}, {}),
        ("feed.getActorTracks", {"actor": track.account.did}, {"filter": "tracks"}),
        ("feed.getLikes", {"uri": track.uri}, {}),
        ("feed.getComments", {"uri": track.uri}, {"sort": "timestamp"}),
        ("feed.getComments", {"uri": track.uri, "sort": "recent"}, {}),
        ("library.getList", {"uri": listed.uri}, {}),
    ]
    for name, parameters, defaults in questions:
        binding = binding_of(f"fm.plyr.{name}", {**parameters, **defaults})
        cursor = encode_cursor(Key(number, "at://"), binding)
        response = await appview.client.get(name, {**parameters, "cursor": cursor})
        assert response.status_code in (200, 400), (name, response.text)
        if response.status_code == 400:
            assert response.json()["message"] == "Malformed cursor"


@pytest.mark.parametrize("cursor", ["x", "1700000000000__bafy", "null", "%00"])
async def test_what_is_no_cursor_is_an_error(appview: Appview, cursor: str) -> None:
    response = await appview.client.request("GET", f"/xrpc/fm.plyr.feed.getLatest?cursor={cursor}")
    assert (response.status_code, response.json()["message"]) == (400, "Malformed cursor")
