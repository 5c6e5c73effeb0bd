"""What is hidden is hidden in every answer, and cannot be told from what is missing.

For every method that the lexicons define there are requests here, checked against one account that does everything.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from running_appview import Appview, StartAppview
from seeds import NOW, Account, Seeds, Written, blob

from appview.rows import ActorRow, LabelRow, State, TrackContent, TrackRow, TrackState
from appview.viewer import Asker, Viewer
from appview.visibility import (
    LABELS,
    TABLE,
    UNWANTED_TAGS,
    Reason,
    Seen,
    SqlRules,
    Verdict,
    is_beyond_doubt,
    is_shown,
    reasons_against,
    reasons_against_account,
    shown_actor,
    verdict_on,
)
from atprotocol.lexicon.catalog import Catalog

KEY = "3zzzzzzzzzzzz"
LABELER = "did:plc:labelerlabelerlabelerla"
# What only one who is signed in is answered.
VIEWERS_ONLY = ("feed.getTimeline", "feed.getForYou")


@dataclass
class World:
    """Somebody who keeps everything, and somebody else whose things refer to it; `secret` words are the former's."""

    secret: Account
    host: Account
    fan: Account
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
    secret, host, fan = await seeds.account(handle="secret-handle.example.com"), await seeds.account(), await seeds.account()  # fmt: skip
    profile = await seeds.profile(
        secret, displayName="secret-name", bio="secret-bio", avatarBlob=blob("secret", "image/png")
    )
    track = await seeds.track(secret, title="secret-track", tags=["shared", "secret-tag"])
    host_track = await seeds.track(host, features=(secret,), tags=["shared"], title="host track")
    like = await seeds.like(secret, host_track)
    comment = await seeds.comment(secret, host_track, text="secret-comment")
    host_comment = await seeds.comment(host, track, text="host comment")
    await seeds.like(host, track)
    host_list = await seeds.track_list(host, [track, host_track], name="host list", listType="album")
    playlist = await seeds.track_list(secret, [host_track, track], name="secret-list", listType="album")
    # The fan follows both; the host likes what the fan likes, and the secret track besides.
    other = await seeds.track(host, title="other track")
    for liker, subject in ((fan, other), (host, other), (secret, track), (secret, other)):
        await seeds.like(liker, subject)
    for artist in (secret, host):
        await seeds.follow(fan, artist)
    await seeds.overlay(track, legacy_id=7)
    for subject in (track, host_track):
        await seeds.execute("INSERT INTO plyr.plays (subject, played_at) VALUES ($1, $2)", subject.uri, NOW)
        await seeds.execute("INSERT INTO plyr.play_counters VALUES ($1, 1)", subject.uri)
    await seeds.rank()
    return World(secret, host, fan, track, like, comment, playlist, profile, host_track, host_list, host_comment)


REQUESTS: dict[str, Callable[[World], list[dict[str, Any]]]] = {
    "feed.getLatest": lambda world: [{}, {"tags": "shared"}, {"limit": 1}],
    "feed.getTagged": lambda world: [{"tag": "shared"}],
    "feed.getHot": lambda world: [{}],
    "feed.getTop": lambda world: [
        {"period": period, "by": by} for period in ("day", "week", "month", "year", "all") for by in ("likes", "plays")
    ],
    "feed.getTimeline": lambda world: [{}],
    "feed.getForYou": lambda world: [{}],
    "feed.getActivity": lambda world: [{}, {"actor": world.secret.did}, {"actor": world.host.did}, {"types": "like"}],
    "feed.getRelated": lambda world: [{"uri": world.track.uri}, {"uri": world.host_track.uri}],
    "feed.getPlayback": lambda world: [{"uri": world.track.uri}],
    "feed.recordPlay": lambda world: [{"uri": world.track.uri, "idempotencyKey": "abcdefgh"}],
    "feed.getTrack": lambda world: [{"uri": world.track.uri}, {"uri": world.host_track.uri}],
    "feed.getTracks": lambda world: [{"uris": [world.track.uri, world.host_track.uri]}],
    "feed.searchTracks": lambda world: [{"q": "secret-track"}, {"q": "secret", "actor": world.secret.did}, {"q": "track"}],
    "feed.getTags": lambda world: [{}, {"q": "sec"}],
    "actor.searchActors": lambda world: [{"q": "secret"}],
    "library.searchLists": lambda world: [{"q": "secret"}, {"q": "list", "purpose": "album"}],
    "feed.getActorTracks": lambda world: [
        {"actor": actor, "filter": which}
        for actor in (world.secret.did, world.secret.handle, world.host.did)
        for which in ("tracks", "features", "all")
    ],
    "feed.getActorLikes": lambda world: [{"actor": each.did} for each in (world.secret, world.host, world.fan)],
    "feed.getLikes": lambda world: [{"uri": world.track.uri}, {"uri": world.host_track.uri}],
    "feed.getComments": lambda world: [
        {"uri": uri, "sort": sort} for uri in (world.track.uri, world.host_track.uri) for sort in ("timestamp", "recent")
    ],
    "actor.getProfile": lambda world: [{"actor": world.secret.did}, {"actor": world.secret.handle}, {"actor": world.host.did}],
    "actor.getProfiles": lambda world: [{"actors": [world.secret.did, world.host.did]}],
    "library.getList": lambda world: [
        {"uri": world.playlist.uri},
        {"uri": world.host_list.uri},
        {"actor": world.secret.did, "slug": "secret-list"},
    ],
    "library.getLists": lambda world: [{"uris": [world.playlist.uri, world.host_list.uri]}],
    "library.getActorLists": lambda world: [{"actor": world.secret.did}, {"actor": world.host.did, "purpose": "album"}],
    "library.getListsWithTrack": lambda world: [{"uri": world.track.uri}, {"uri": world.host_track.uri}],
    "index.getRecordStatus": lambda world: [
        {"uri": written.uri} for written in (world.track, world.like, world.comment, world.playlist, world.profile)
    ],
    "index.getRepoStatus": lambda world: [{"did": world.secret.did}],
    "index.getStats": lambda world: [{}],
    "index.requestSync": lambda world: [{"did": world.secret.did}],
    "index.resolveLegacyId": lambda world: [{"id": 7}],
}  # fmt: skip
# These repeat what they are asked for, or answer in numbers.
WORDLESS = ("feed.getPlayback", "feed.recordPlay", "index.")

Hide = Callable[[Seeds, World], Awaitable[None]]


def _repo(change: str) -> Hide:
    async def hide(seeds: Seeds, world: World) -> None:
        await seeds.execute(f"UPDATE network.repos SET {change} WHERE actor_id = $1", world.secret.actor_id)

    return hide


async def _forget(seeds: Seeds, world: World) -> None:
    await seeds.execute("DELETE FROM network.repos WHERE actor_id = $1", world.secret.actor_id)


async def _take_account_down(seeds: Seeds, world: World) -> None:
    await seeds.take_down(world.secret.did)


def _label(value: str, src: str | None = LABELER) -> Hide:
    async def hide(seeds: Seeds, world: World) -> None:
        await seeds.label(src or world.secret.did, world.secret.did, value)

    return hide


ACCOUNT_HIDDEN: dict[str, Hide] = {
    "inactive": _repo("active = false, upstream_status = 'deactivated'"),
    "taken down by the indexer": _repo("takendown = true"),
    "taken down": _take_account_down,
    "unknown": _forget,
    "labelled takedown": _label("!takedown"),
    "labelled suspended": _label("!suspend"),
}
# To whoever is not signed in.
HIDDEN_FROM_STRANGERS = {**ACCOUNT_HIDDEN, "for members": _label("!no-unauthenticated", None)}
RECORDS = {"track": "secret-track", "comment": "secret-comment", "playlist": "secret-list", "profile": "secret-name"}


async def _ask(
    appview: Appview, name: str, parameters: dict[str, Any], viewer: Account | None = None
) -> httpx.Response:
    headers = {} if viewer is None else appview.signed_in(viewer, name)
    if name in ("index.requestSync", "feed.recordPlay"):
        return await appview.client.post(name, parameters, headers=headers)
    return await appview.client.get(name, parameters, headers=headers)


async def _everything(appview: Appview, world: World, viewer: Account | None = None) -> dict[str, bytes]:
    """Return the bytes of every answer; what only viewers are answered, the fan asks for."""
    answers = {}
    for name, requests in REQUESTS.items():
        for parameters in requests(world):
            asker = viewer or (world.fan if name in VIEWERS_ONLY else None)
            answers[f"{name} {parameters}"] = (await _ask(appview, name, parameters, asker)).content
    return answers | {"/": (await appview.client.request("GET", "/")).content}


def test_every_method_of_the_lexicons_is_asked(catalog: Catalog) -> None:
    assert {f"fm.plyr.{name}" for name in REQUESTS} == {nsid for nsid in catalog.method_nsids if nsid.startswith("fm.plyr.")}  # fmt: skip


async def test_before_anything_is_hidden_the_words_are_there(appview: Appview, world: World) -> None:
    answers = await _everything(appview, world)
    for name in REQUESTS:
        shows_words = not name.startswith(WORDLESS)
        found = any(b"secret-" in content for asked, content in answers.items() if asked.startswith(f"{name} "))
        assert found is shows_words, name
    assert b"secret-track" in answers["/"]


@pytest.mark.parametrize("how", HIDDEN_FROM_STRANGERS)
async def test_nothing_of_a_hidden_account_is_shown_anywhere(appview: Appview, world: World, how: str) -> None:
    await HIDDEN_FROM_STRANGERS[how](appview.seeds, world)
    answers = await _everything(appview, world)
    assert quote(world.secret.did, safe="").encode() not in answers["/"]
    for asked, content in answers.items():
        if how == "for members" and asked.startswith(VIEWERS_ONLY):
            continue
        # A handle that was asked for is no answer; a record that refers to the account is passed on verbatim.
        assert b"secret-" not in content, asked
    [track] = (await appview.client.answer("feed.getTracks", uris=[world.host_track.uri]))["tracks"]
    assert track["features"] == []
    for name, items in (("feed.getLikes", "likes"), ("feed.getComments", "comments")):
        assert (await appview.client.answer(name, uri=world.host_track.uri))[items] == []


async def test_members_are_shown_who_does_not_want_to_be_shown_to_strangers(appview: Appview, world: World) -> None:
    await HIDDEN_FROM_STRANGERS["for members"](appview.seeds, world)
    answers = await _everything(appview, world, world.fan)
    for name in REQUESTS:
        if not name.startswith(WORDLESS):
            assert any(b"secret-" in content for asked, content in answers.items() if asked.startswith(f"{name} ")), (
                name
            )


@pytest.mark.parametrize("how", HIDDEN_FROM_STRANGERS)
async def test_a_hidden_account_answers_with_the_bytes_of_a_missing_one(
    appview: Appview, world: World, how: str
) -> None:
    await HIDDEN_FROM_STRANGERS[how](appview.seeds, world)
    missing = "did:plc:" + "7" * 24
    targeted = [
        (name, parameters)
        for name, requests in REQUESTS.items()
        if name not in VIEWERS_ONLY
        for parameters in requests(world)
        if any(world.secret.did in str(value) for value in parameters.values())
    ]
    assert len(targeted) > 20
    for name, parameters in targeted:
        if name in ("feed.getTracks", "library.getLists", "actor.getProfiles"):
            key = next(iter(parameters))
            parameters = {key: parameters[key][:1]}
        other = {key: [each.replace(world.secret.did, missing) for each in value] if isinstance(value, list) else value.replace(world.secret.did, missing) for key, value in parameters.items()}  # fmt: skip
        hidden, absent = await _ask(appview, name, parameters), await _ask(appview, name, other)
        assert hidden.status_code == absent.status_code, name
        assert hidden.content.replace(world.secret.did.encode(), missing.encode()) == absent.content, name


@pytest.mark.parametrize(
    "how", ["taken down", *(value for value in LABELS if LABELS[value] is Reason.LABELLED_TAKEDOWN)]
)
@pytest.mark.parametrize("kind", RECORDS)
async def test_a_record_that_is_taken_down_is_shown_nowhere(
    appview: Appview, world: World, kind: str, how: str
) -> None:
    uri = getattr(world, kind).uri
    if how == "taken down":
        await appview.seeds.take_down(uri)
    else:
        await appview.seeds.label(LABELER, uri, how)
    answers = await _everything(appview, world)
    for asked, content in answers.items():
        assert RECORDS[kind].encode() not in content, asked
    others = [word.encode() for other, word in RECORDS.items() if other != kind]
    assert all(any(word in content for content in answers.values()) for word in others)


@pytest.mark.parametrize("how", ["taken down", "!takedown"])
async def test_a_like_that_is_taken_down_is_not_shown(appview: Appview, world: World, how: str) -> None:
    before = await appview.client.answer("actor.getProfile", actor=world.secret.did)
    if how == "taken down":
        await appview.seeds.take_down(world.like.uri)
    else:
        await appview.seeds.label(LABELER, world.like.uri, how)
    liked = (await appview.client.answer("feed.getActorLikes", actor=world.secret.did))["tracks"]
    assert world.host_track.uri not in [track["uri"] for track in liked]
    after = await appview.client.answer("actor.getProfile", actor=world.secret.did)
    assert after["likesGivenCount"] == before["likesGivenCount"] - 1
    likes = (await appview.client.answer("feed.getLikes", uri=world.host_track.uri))["likes"]
    assert world.like.uri not in [like["uri"] for like in likes]
    events = (await appview.client.answer("feed.getActivity", actor=world.secret.did))["activity"]
    assert world.like.uri not in [event["uri"] for event in events]


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
        ("feed.getRelated", world.track),
        ("feed.getPlayback", world.track),
        ("library.getListsWithTrack", world.track),
        ("library.getList", world.playlist),
        ("index.getRecordStatus", world.track),
        ("index.getRecordStatus", world.playlist),
    ):
        missing = f"{written.uri.rpartition('/')[0]}/{KEY}"
        hidden, absent = await _ask(appview, name, {"uri": written.uri}), await _ask(appview, name, {"uri": missing})
        assert hidden.status_code == absent.status_code, name
        assert hidden.content.replace(written.uri.encode(), missing.encode()) == absent.content, name


# Where a track is come across, by how it is come across. What is not named here shows it only in another's place.
DISCOVERY = ("feed.getLatest", "feed.getTagged", "feed.getHot", "feed.getTop", "feed.getForYou", "feed.getActivity", "feed.getRelated", "feed.searchTracks", "/")  # fmt: skip
LISTING = ("feed.getActorTracks", "feed.getActorLikes", "feed.getTimeline")
DIRECT = ("feed.getTrack ", "feed.getTracks", "library.getList ")


async def _assert_seen_as(appview: Appview, world: World, reason: Reason) -> None:
    """Check every answer that holds tracks against the table."""
    answers = await _everything(appview, world)
    for contexts, seen in ((DISCOVERY, Seen.DISCOVERY), (LISTING, Seen.LISTING), (DIRECT, Seen.DIRECT)):
        is_hidden = TABLE[reason][seen] is Verdict.HIDDEN
        for name in contexts:
            if (reason, name) == (Reason.UNWANTED_TAG, "feed.searchTracks"):
                # Whoever searches says what for.
                continue
            found = any(b"secret-track" in content for asked, content in answers.items() if asked.startswith(name))
            assert found is not is_hidden, (name, reason)
            if found and TABLE[reason][seen] is Verdict.FLAGGED:
                shown = [content for asked, content in answers.items() if asked.startswith(name) and b"secret-track" in content]  # fmt: skip
                assert all(b'"val":' in content for content in shown) or name == "/", (name, reason)


@pytest.mark.parametrize("value", LABELS)
async def test_a_labelled_track_is_seen_as_the_table_says(appview: Appview, world: World, value: str) -> None:
    await appview.seeds.label(LABELER, world.track.uri, value)
    reason = LABELS[value]
    if reason is not Reason.MEMBERS_ONLY:
        await _assert_seen_as(appview, world, reason)
    else:
        answers = await _everything(appview, world)
        assert all(
            b"secret-track" not in content for asked, content in answers.items() if not asked.startswith(VIEWERS_ONLY)
        )


@pytest.mark.parametrize("tag", UNWANTED_TAGS)
async def test_a_track_with_an_unwanted_tag_is_come_across_by_whoever_asks_for_the_tag(
    appview: Appview, world: World, tag: str
) -> None:
    statement = "UPDATE network.tracks SET tags = $2 WHERE uri_id = $1"
    await appview.seeds.execute(statement, world.track.uri_id, ["shared", tag])
    await _assert_seen_as(appview, world, Reason.UNWANTED_TAG)
    for name, parameters in (
        ("feed.getTagged", {"tag": tag}),
        ("feed.getLatest", {"tags": tag}),
        ("feed.getLatest", {"excludeTags": "none of these"}),
    ):
        assert b"secret-track" in (await appview.client.get(name, parameters)).content


@pytest.mark.parametrize("how", ["record", "overlay"])
async def test_an_unlisted_track_answers_only_to_its_address(appview: Appview, world: World, how: str) -> None:
    if how == "record":
        await appview.seeds.execute("UPDATE network.tracks SET visibility = 'unlisted' WHERE uri_id = $1", world.track.uri_id)  # fmt: skip
    else:
        await appview.seeds.execute("UPDATE plyr.track_overlays SET visibility = 'unlisted'")
    await _assert_seen_as(appview, world, Reason.UNLISTED)
    items = (await appview.client.answer("library.getList", uri=world.host_list.uri))["items"]
    assert items[0]["track"]["visibility"] == "unlisted"
    assert len((await appview.client.answer("feed.getLikes", uri=world.track.uri))["likes"]) == 2
    assert len((await appview.client.answer("feed.getComments", uri=world.track.uri))["comments"]) == 1


async def test_what_the_record_says_goes_before_an_overlay(appview: Appview, world: World) -> None:
    await appview.seeds.execute("UPDATE plyr.track_overlays SET visibility = 'unlisted'")
    await appview.seeds.execute("UPDATE network.tracks SET says_visibility = true")
    assert b"secret-track" in (await appview.client.get("feed.getLatest")).content


@pytest.mark.parametrize(
    "fields",
    [
        {"negated": True},
        {"expires_at": NOW.replace(year=2020)},
        {"cid": b"\x01\x71\x12\x20" + b"x" * 32},
    ],
)
async def test_a_label_that_does_not_hold_hides_nothing_and_is_not_told(
    appview: Appview, world: World, fields: dict[str, Any]
) -> None:
    await appview.seeds.label(LABELER, world.track.uri, "!takedown", **fields)
    answers = await _everything(appview, world)
    assert b"secret-track" in answers["feed.getLatest {}"]
    assert all(b"!takedown" not in content for content in answers.values())


async def test_a_label_of_the_version_that_is_there_holds(appview: Appview, world: World) -> None:
    [cid] = await appview.seeds.connection.fetchrow("SELECT cid FROM network.records WHERE uri_id = $1", world.track.uri_id)  # fmt: skip
    await appview.seeds.label(LABELER, world.track.uri, "!hide", cid=cid)
    assert b"secret-track" not in (await appview.client.get("feed.getLatest")).content
    [label] = (await appview.client.answer("feed.getTrack", uri=world.track.uri))["labels"]
    assert (label["val"], label["cid"]) == ("!hide", world.track.cid)


async def test_an_owner_sees_their_own_and_why_others_do_not(appview: Appview, world: World) -> None:
    await appview.seeds.label(world.secret.did, world.track.uri, "!no-unauthenticated")
    await appview.seeds.label(LABELER, world.track.uri, "copyright-violation")
    asked = {"uri": world.track.uri}
    assert b"secret-track" in (await _ask(appview, "feed.getTrack", asked, world.secret)).content
    status = (await _ask(appview, "index.getRecordStatus", asked, world.secret)).json()
    assert status["state"] == "hidden"
    assert [reason["rule"] for reason in status["reasons"]] == [
        "label:!no-unauthenticated",
        "label:copyright-violation",
    ]
    assert (await _ask(appview, "index.getRecordStatus", asked)).json()["state"] == "unknown"
    await appview.seeds.take_down(world.track.uri)
    status = (await _ask(appview, "index.getRecordStatus", asked, world.secret)).json()
    assert "takedown" in [reason["rule"] for reason in status["reasons"]]
    assert (await _ask(appview, "feed.getTrack", asked, world.secret)).json()["error"] == "TrackNotFound"
    await appview.seeds.delete(world.track)
    assert (await _ask(appview, "index.getRecordStatus", asked, world.secret)).json()["state"] == "deleted"
    assert (await _ask(appview, "index.getRecordStatus", asked, world.fan)).json()["state"] == "unknown"


async def test_an_owner_is_told_the_state_of_a_hidden_account(appview: Appview, world: World) -> None:
    await ACCOUNT_HIDDEN["inactive"](appview.seeds, world)
    asked = {"did": world.secret.did}
    assert (await _ask(appview, "index.getRepoStatus", asked, world.secret)).json()["state"] == "deactivated"
    assert (await _ask(appview, "index.getRepoStatus", asked, world.fan)).json() == {**asked, "state": "unknown"}


async def test_the_labels_of_those_labelers_are_told_that_are_asked_for(appview: Appview, world: World) -> None:
    other = "did:plc:otherotherotherotherothe"
    for src in (LABELER, other, world.secret.did):
        await appview.seeds.label(src, world.track.uri, "spoken-word")
    told = {None: {LABELER, other, world.secret.did}, "": {world.secret.did}, LABELER: {LABELER, world.secret.did}}
    for header, expected in told.items():
        headers = {} if header is None else {"atproto-accept-labelers": header}
        track = (await appview.client.get("feed.getTrack", {"uri": world.track.uri}, headers=headers)).json()
        assert {label["src"] for label in track["labels"]} == expected


async def test_an_answer_says_which_labelers_decided_about_it(start_appview: StartAppview) -> None:
    appview = await start_appview(labelers=(LABELER,))
    for headers in ({}, {"atproto-accept-labelers": ""}, {"atproto-accept-labelers": "did:plc:somebodyelse"}):
        response = await appview.client.get("feed.getLatest", headers=headers)
        assert response.headers["atproto-content-labelers"] == f"{LABELER};redact"
    plain = await start_appview()
    assert "atproto-content-labelers" not in (await plain.client.get("feed.getLatest")).headers


async def test_a_page_is_filled_with_what_is_shown_before_it_ends(appview: Appview) -> None:
    seeds = appview.seeds
    seen, hidden, inactive = await seeds.account(), await seeds.account(), await seeds.account(active=False)
    shown = [await seeds.track(seen) for _ in range(3)]
    for _ in range(5):
        await seeds.track(inactive)
        await seeds.track(hidden)
        await seeds.track(seen, visibility="unlisted")
        await seeds.take_down((await seeds.track(seen)).uri)
        await seeds.label(LABELER, (await seeds.track(seen)).uri, "!hide")
        await seeds.overlay(await seeds.track(seen), visibility="unlisted")
        await seeds.track(seen, tags=["ai"])
    await seeds.take_down(hidden.did)
    await seeds.rank()
    for name in ("feed.getLatest", "feed.getHot"):
        pages = await appview.client.pages(name, "tracks", 2)
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


ACTOR = ActorRow(1, "did:plc:a", None, None, True, False, None, None, None, None, None, False)
STATE = State()


@pytest.mark.parametrize("seen", Seen)
@pytest.mark.parametrize("reason", Reason)
def test_every_reason_counts_in_its_contexts(reason: Reason, seen: Seen) -> None:
    assert verdict_on([reason], seen) is TABLE[reason][seen]
    assert is_shown([reason], seen) == (TABLE[reason][seen] is not Verdict.HIDDEN)
    assert is_shown([], seen)
    assert not is_shown([reason, Reason.ACCOUNT_TAKEN_DOWN], seen)
    assert verdict_on([reason, Reason.RECORD_TAKEN_DOWN], seen) is Verdict.HIDDEN


def test_the_table_has_a_verdict_for_everything() -> None:
    assert set(TABLE) == set(Reason)
    assert all(set(row) == set(Seen) for row in TABLE.values())
    # Whoever asks by name sees what is merely kept out of feeds; nobody sees less for being closer to it.
    order = [Verdict.SHOWN, Verdict.FLAGGED, Verdict.HIDDEN]
    for row in TABLE.values():
        strictness = [order.index(row[seen]) for seen in (Seen.OWN, Seen.DIRECT, Seen.LISTING, Seen.DISCOVERY)]
        assert strictness == sorted(strictness)


@pytest.mark.parametrize("is_anonymous", [True, False])
@pytest.mark.parametrize("seen", [Seen.DISCOVERY, Seen.LISTING, Seen.DIRECT])
async def test_sql_and_table_say_the_same(appview: Appview, world: World, seen: Seen, is_anonymous: bool) -> None:
    rules = SqlRules(seen, is_anonymous)
    statement = f"""
        SELECT {rules.track("t", "r", "a.did")}
        FROM network.tracks t JOIN network.repos r USING (actor_id) JOIN network.actors a USING (actor_id)
        WHERE t.uri_id = $1
    """
    asker = Asker(None if is_anonymous else Viewer(world.fan.did, world.fan.actor_id, None))
    for value, reason in LABELS.items():
        await appview.seeds.label(LABELER, world.track.uri, value)
        by_sql = await appview.seeds.connection.fetchval(statement, world.track.uri_id)
        counts = is_anonymous or reason is not Reason.MEMBERS_ONLY
        by_table = is_shown([reason] if counts else [], seen)
        label = LabelRow("did:plc:a", LABELER, value, b"", "", None)
        state = State(asker, labels={"did:plc:a": [label]})
        assert by_sql is by_table is is_shown(reasons_against_account(ACTOR, state), seen), value
        await appview.seeds.execute("DELETE FROM network.labels")


@given(
    st.booleans(), st.booleans(), st.booleans(), st.booleans(), st.booleans(),
    st.sampled_from(["public", "unlisted", "other"]),
)  # fmt: skip
def test_what_is_beyond_doubt_has_no_reasons_against_it(
    is_known: bool, is_visible: bool, is_down: bool, is_record_down: bool, is_labelled: bool, visibility: str
) -> None:
    actor = ACTOR._replace(is_visible=is_visible, is_taken_down=is_down)
    labels = {"did:plc:a": [LabelRow("did:plc:a", LABELER, "!hide", b"", "", None)]} if is_labelled else {}
    state = State(actors={1: actor} if is_known else {}, labels=labels)
    content = TrackContent(1, 1, 1, "at://did:plc:a/x/y", b"", "{}", NOW, "", "", "", *[None] * 9, [], [])
    track = TrackRow(content, TrackState(1, 1, 0, 0, 0, 0, visibility, None, is_record_down, False))
    assert is_beyond_doubt(track, state) == (not list(reasons_against(track, state)))


def test_an_account_is_judged_by_its_facts() -> None:
    assert list(reasons_against_account(ACTOR, STATE)) == []
    assert list(reasons_against_account(None, STATE)) == [Reason.ACCOUNT_UNKNOWN]
    hidden = ACTOR._replace(is_visible=False, is_taken_down=True)
    assert list(reasons_against_account(hidden, STATE)) == [Reason.ACCOUNT_NOT_VISIBLE, Reason.ACCOUNT_TAKEN_DOWN]
    assert shown_actor(1, State(actors={1: ACTOR})) is ACTOR
    assert shown_actor(1, State(actors={1: hidden})) is None
    assert shown_actor(2, State(actors={1: ACTOR})) is None


async def test_what_is_known_of_a_repository_counts_nothing_that_a_label_takes_down(
    appview: Appview, world: World
) -> None:
    async def tracks() -> int:
        answer = await appview.client.answer("index.getRepoStatus", did=world.secret.did)
        return sum(each["count"] for each in answer["recordCounts"] if each["collection"] == "fm.plyr.track")

    before = await tracks()
    await appview.seeds.label(LABELER, world.track.uri, "!takedown")
    assert await tracks() == before - 1


async def test_members_are_told_the_state_of_who_does_not_want_to_be_shown_to_strangers(
    appview: Appview, world: World
) -> None:
    await HIDDEN_FROM_STRANGERS["for members"](appview.seeds, world)
    asked = {"did": world.secret.did}
    assert (await _ask(appview, "index.getRepoStatus", asked)).json()["state"] == "unknown"
    assert (await _ask(appview, "index.getRepoStatus", asked, world.fan)).json()["state"] == "synchronized"
