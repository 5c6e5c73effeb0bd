"""What is hidden is hidden in every answer, and cannot be told from what is missing.

For every method that the lexicons define there are requests here, checked against one account that does everything.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from running_appview import Appview
from seeds import Account, Seeds, Written, blob

from appview.rows import ActorRow, State
from appview.visibility import SHOWN_IN, Reason, Seen, is_shown, reasons_against_account, shown_actor
from atprotocol.lexicon.catalog import Catalog

KEY = "3zzzzzzzzzzzz"


@dataclass
class World:
    """Somebody who keeps everything, and somebody else whose things refer to it; `secret` words are the former's."""

    secret: Account
    host: Account
    track: Written
    like: Written
    comment: Written
    playlist: Written
    profile: Written
    host_track: Written
    host_list: Written
    host_comment: Written


@pytest.fixture
async def world(seeds: Seeds) -> World:
    secret, host = await seeds.account(handle="secret-handle.example.com"), await seeds.account()
    profile = await seeds.profile(
        secret, displayName="secret-name", bio="secret-bio", avatarBlob=blob("secret", "image/png")
    )
    track = await seeds.track(secret, title="secret-track", tags=["shared"])
    host_track = await seeds.track(host, features=(secret,), tags=["shared"])
    like = await seeds.like(secret, host_track)
    comment = await seeds.comment(secret, host_track, text="secret-comment")
    host_comment = await seeds.comment(host, track, text="host comment")
    await seeds.like(host, track)
    host_list = await seeds.track_list(host, [track, host_track], name="host list", listType="album")
    playlist = await seeds.track_list(secret, [host_track, track], name="secret-list")
    return World(secret, host, track, like, comment, playlist, profile, host_track, host_list, host_comment)


REQUESTS: dict[str, Callable[[World], list[dict[str, Any]]]] = {
    "feed.getLatest": lambda world: [{}, {"tags": "shared"}, {"limit": 1}],
    "feed.getTrack": lambda world: [{"uri": world.track.uri}, {"uri": world.host_track.uri}],
    "feed.getTracks": lambda world: [{"uris": [world.track.uri, world.host_track.uri]}],
    "feed.getActorTracks": lambda world: [
        {"actor": actor, "filter": which}
        for actor in (world.secret.did, world.secret.handle, world.host.did)
        for which in ("tracks", "features", "all")
    ],
    "feed.getLikes": lambda world: [{"uri": world.track.uri}, {"uri": world.host_track.uri}],
    "feed.getComments": lambda world: [
        {"uri": uri, "sort": sort} for uri in (world.track.uri, world.host_track.uri) for sort in ("timestamp", "recent")
    ],
    "actor.getProfile": lambda world: [{"actor": world.secret.did}, {"actor": world.secret.handle}, {"actor": world.host.did}],
    "library.getList": lambda world: [{"uri": world.playlist.uri}, {"uri": world.host_list.uri}],
    "index.getRecordStatus": lambda world: [
        {"uri": written.uri} for written in (world.track, world.like, world.comment, world.playlist, world.profile)
    ],
    "index.getRepoStatus": lambda world: [{"did": world.secret.did}],
    "index.getStats": lambda world: [{}],
    "index.requestSync": lambda world: [{"did": world.secret.did}],
}  # fmt: skip

Hide = Callable[[Seeds, World], Awaitable[None]]


def _repo(change: str) -> Hide:
    async def hide(seeds: Seeds, world: World) -> None:
        await seeds.execute(f"UPDATE network.repos SET {change} WHERE actor_id = $1", world.secret.actor_id)

    return hide


async def _forget(seeds: Seeds, world: World) -> None:
    await seeds.execute("DELETE FROM network.repos WHERE actor_id = $1", world.secret.actor_id)


async def _take_account_down(seeds: Seeds, world: World) -> None:
    await seeds.take_down(world.secret.did)


ACCOUNT_HIDDEN: dict[str, Hide] = {
    "inactive": _repo("active = false, upstream_status = 'deactivated'"),
    "taken down by the indexer": _repo("takendown = true"),
    "taken down": _take_account_down,
    "unknown": _forget,
}
RECORDS = {"track": "secret-track", "comment": "secret-comment", "playlist": "secret-list", "profile": "secret-name"}


async def _ask(appview: Appview, name: str, parameters: dict[str, Any]) -> httpx.Response:
    if name == "index.requestSync":
        return await appview.client.post(name, parameters)
    return await appview.client.get(name, parameters)


async def _everything(appview: Appview, world: World) -> dict[str, bytes]:
    answers = {
        f"{name} {parameters}": (await _ask(appview, name, parameters)).content
        for name, requests in REQUESTS.items()
        for parameters in requests(world)
    }
    return answers | {"/": (await appview.client.request("GET", "/")).content}


def test_every_method_of_the_lexicons_is_asked(catalog: Catalog) -> None:
    assert {f"fm.plyr.{name}" for name in REQUESTS} == {nsid for nsid in catalog.method_nsids if nsid.startswith("fm.plyr.")}  # fmt: skip


async def test_before_anything_is_hidden_the_words_are_there(appview: Appview, world: World) -> None:
    answers = await _everything(appview, world)
    for name in REQUESTS:
        shows_words = name not in (
            "index.getRecordStatus",
            "index.getRepoStatus",
            "index.getStats",
            "index.requestSync",
        )
        assert any(b"secret-" in content for asked, content in answers.items() if asked.startswith(name)) is shows_words
    assert b"secret-track" in answers["/"]
    assert quote(world.playlist.uri, safe="").encode() in answers["/"]


@pytest.mark.parametrize("how", ACCOUNT_HIDDEN)
async def test_nothing_of_a_hidden_account_is_shown_anywhere(appview: Appview, world: World, how: str) -> None:
    await ACCOUNT_HIDDEN[how](appview.seeds, world)
    answers = await _everything(appview, world)
    assert quote(world.secret.did, safe="").encode() not in answers["/"]
    for asked, content in answers.items():
        # A handle that was asked for is no answer; a record that refers to the account is passed on verbatim.
        assert b"secret-" not in content, asked
    [track] = (await appview.client.answer("feed.getTracks", uris=[world.host_track.uri]))["tracks"]
    assert track["features"] == []
    for name, items in (("feed.getLikes", "likes"), ("feed.getComments", "comments")):
        assert (await appview.client.answer(name, uri=world.host_track.uri))[items] == []


@pytest.mark.parametrize("how", ACCOUNT_HIDDEN)
async def test_a_hidden_account_answers_with_the_bytes_of_a_missing_one(
    appview: Appview, world: World, how: str
) -> None:
    await ACCOUNT_HIDDEN[how](appview.seeds, world)
    missing = "did:plc:" + "7" * 24
    targeted = (
        ("feed.getTrack", {"uri": world.track.uri}),
        ("feed.getTracks", {"uris": [world.track.uri]}),
        ("feed.getActorTracks", {"actor": world.secret.did}),
        ("feed.getLikes", {"uri": world.track.uri}),
        ("feed.getComments", {"uri": world.track.uri}),
        ("actor.getProfile", {"actor": world.secret.did}),
        ("library.getList", {"uri": world.playlist.uri}),
        ("index.getRecordStatus", {"uri": world.track.uri}),
        ("index.getRepoStatus", {"did": world.secret.did}),
        ("index.requestSync", {"did": world.secret.did}),
    )
    for name, parameters in targeted:
        other = {key: [each.replace(world.secret.did, missing) for each in value] if isinstance(value, list) else value.replace(world.secret.did, missing) for key, value in parameters.items()}  # fmt: skip
        hidden, absent = await _ask(appview, name, parameters), await _ask(appview, name, other)
        assert hidden.status_code == absent.status_code, name
        assert hidden.content.replace(world.secret.did.encode(), missing.encode()) == absent.content, name


@pytest.mark.parametrize("kind", RECORDS)
async def test_a_record_that_is_taken_down_is_shown_nowhere(appview: Appview, world: World, kind: str) -> None:
    await appview.seeds.take_down(getattr(world, kind).uri)
    answers = await _everything(appview, world)
    for asked, content in answers.items():
        assert RECORDS[kind].encode() not in content, asked
    others = [word.encode() for other, word in RECORDS.items() if other != kind]
    assert all(any(word in content for content in answers.values()) for word in others)


async def test_a_like_that_is_taken_down_is_not_shown(appview: Appview, world: World) -> None:
    await appview.seeds.take_down(world.like.uri)
    assert (await appview.client.answer("feed.getLikes", uri=world.host_track.uri))["likes"] == []


@pytest.mark.parametrize("sync_status", ["synchronized", "desynchronized"])
async def test_a_record_that_is_taken_down_answers_with_the_bytes_of_a_missing_one(
    appview: Appview, world: World, sync_status: str
) -> None:
    await appview.seeds.execute("UPDATE network.repos SET sync_status = $1", sync_status)
    for written in (world.track, world.playlist):
        await appview.seeds.take_down(written.uri)
    for name, written in (
        ("feed.getTrack", world.track),
        ("feed.getLikes", world.track),
        ("feed.getComments", world.track),
        ("library.getList", world.playlist),
        ("index.getRecordStatus", world.track),
        ("index.getRecordStatus", world.playlist),
    ):
        missing = f"{written.uri.rpartition('/')[0]}/{KEY}"
        hidden, absent = await _ask(appview, name, {"uri": written.uri}), await _ask(appview, name, {"uri": missing})
        assert hidden.status_code == absent.status_code, name
        assert hidden.content.replace(written.uri.encode(), missing.encode()) == absent.content, name


async def test_an_unlisted_track_answers_only_to_its_address(appview: Appview, world: World) -> None:
    await appview.seeds.execute("UPDATE network.tracks SET visibility = 'unlisted' WHERE uri_id = $1", world.track.uri_id)  # fmt: skip
    for asked, content in (await _everything(appview, world)).items():
        is_direct = asked.startswith(("feed.getTrack ", "feed.getTracks ", "library.getList "))
        if asked.startswith(("feed.getLatest", "feed.getActorTracks", "/")):
            assert b"secret-track" not in content, asked
        elif is_direct and world.track.uri in asked:
            assert b"secret-track" in content, asked
    items = (await appview.client.answer("library.getList", uri=world.host_list.uri))["items"]
    assert items[0]["track"]["visibility"] == "unlisted"
    assert len((await appview.client.answer("feed.getLikes", uri=world.track.uri))["likes"]) == 1
    assert len((await appview.client.answer("feed.getComments", uri=world.track.uri))["comments"]) == 1


async def test_a_page_is_filled_with_what_is_shown_before_it_ends(appview: Appview) -> None:
    seeds = appview.seeds
    seen, hidden, inactive = await seeds.account(), await seeds.account(), await seeds.account(active=False)
    shown = [await seeds.track(seen) for _ in range(3)]
    for _ in range(5):
        await seeds.track(inactive)
        await seeds.track(hidden)
        await seeds.track(seen, visibility="unlisted")
        await seeds.take_down((await seeds.track(seen)).uri)
    await seeds.take_down(hidden.did)
    pages = await appview.client.pages("feed.getLatest", "tracks", 2)
    assert [[view["uri"] for view in page] for page in pages] == [[shown[2].uri, shown[1].uri], [shown[0].uri]]


@pytest.mark.parametrize(("method", "items"), [("feed.getLikes", "likes"), ("feed.getComments", "comments")])
async def test_a_page_of_people_is_filled_with_those_who_are_shown(appview: Appview, method: str, items: str) -> None:
    seeds = appview.seeds
    track = await seeds.track(await seeds.account())
    insert = seeds.like if items == "likes" else seeds.comment
    shown = {(await insert(await seeds.account(), track)).uri for _ in range(3)}
    for _ in range(4):
        await insert(await seeds.account(active=False), track)
        await seeds.take_down((await insert(await seeds.account(), track)).uri)
        await seeds.take_down((await insert(await seeds.account(), track)).account.did)
    for order in ({"sort": "timestamp"}, {"sort": "recent"}) if items == "comments" else ({},):
        pages = await appview.client.pages(method, items, 2, uri=track.uri, **order)
        assert [len(page) for page in pages] == [2, 1]
        assert {view["uri"] for page in pages for view in page} == shown


async def test_of_the_lists_with_a_track_those_that_are_shown_are_told(appview: Appview) -> None:
    seeds = appview.seeds
    track = await seeds.track(await seeds.account())
    shown = [await seeds.track_list(await seeds.account(), [track]) for _ in range(2)]
    for _ in range(11):
        await seeds.track_list(await seeds.account(active=False), [track])
    await seeds.take_down((await seeds.track_list(track.account, [track], listType="album")).uri)
    view = await appview.client.answer("feed.getTrack", uri=track.uri)
    assert [each["uri"] for each in view["lists"]] == [each.uri for each in reversed(shown)]
    assert "albumList" not in view


ACTOR = ActorRow(1, "did:plc:a", None, None, True, False, None, None, None, None, None)


@pytest.mark.parametrize("seen", Seen)
@pytest.mark.parametrize("reason", Reason)
def test_every_reason_counts_in_its_contexts(reason: Reason, seen: Seen) -> None:
    assert is_shown([reason], seen) == (seen in SHOWN_IN[reason])
    assert is_shown([], seen)
    assert not is_shown([reason, Reason.ACCOUNT_TAKEN_DOWN], seen)


def test_an_unlisted_track_is_the_only_thing_that_is_shown_to_some() -> None:
    assert {reason for reason, contexts in SHOWN_IN.items() if contexts} == {Reason.UNLISTED}
    assert set(SHOWN_IN) == set(Reason)


def test_an_account_is_judged_by_its_facts() -> None:
    assert list(reasons_against_account(ACTOR)) == []
    assert list(reasons_against_account(None)) == [Reason.ACCOUNT_UNKNOWN]
    hidden = ActorRow(1, "did:plc:a", None, None, False, True, None, None, None, None, None)
    assert list(reasons_against_account(hidden)) == [Reason.ACCOUNT_NOT_VISIBLE, Reason.ACCOUNT_TAKEN_DOWN]
    assert shown_actor(1, State(actors={1: ACTOR})) is ACTOR
    assert shown_actor(1, State(actors={1: hidden})) is None
    assert shown_actor(2, State(actors={1: ACTOR})) is None
