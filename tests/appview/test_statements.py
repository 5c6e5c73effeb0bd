"""An answer costs as many statements for a hundred items as for one, whoever asks; how many is written down here."""

from dataclasses import dataclass
from typing import Any

import pytest
from running_appview import Appview, SharedDatabase
from seeds import NAMESPACE, Account, Seeds, Written, blob

from appview import hydration, rows
from atprotocol.lexicon.catalog import Catalog
from atprotocol.lexicon.schema import MethodKind

SIZES = (1, 20, 100)
CROWD = 101


@dataclass
class Crowd:
    """Artists with a track each, all by all: whoever can like, follow, feature, list or discuss somebody does."""

    star: Account
    fan: Account
    tracks: list[Written]
    lists: list[Written]
    artists: list[Account]


@pytest.fixture
async def crowd(seeds: Seeds) -> Crowd:
    star, fan = await seeds.account(), await seeds.account()
    for account in (star, fan):
        await seeds.label("did:plc:labeler", account.did, "!warn")
    tracks, lists, artists = [await seeds.track(star, features=(fan,), tags=["a"])], [], []
    for number in range(CROWD):
        artist = await seeds.account()
        await seeds.profile(artist, displayName=f"Artist {number}", avatarBlob=blob("own", "image/png"))
        await seeds.profile(artist, source="bluesky", displayName="Other")
        track = await seeds.track(artist, features=(star, fan), tags=["a"], title=f"Song {number}")
        await seeds.track(star, features=(artist,), tags=[f"tag {number}"])
        for liker, subject in ((artist, tracks[0]), (fan, track), (artist, track)):
            await seeds.like(liker, subject)
        await seeds.comment(artist, tracks[0], updatedAt="2026-11-22T10:00:00Z")
        await seeds.follow(fan, artist)
        await seeds.label("did:plc:labeler", track.uri, "!warn")
        lists.append(await seeds.track_list(star, [*tracks, track], name=f"List {number}", listType="album"))
        tracks.append(track)
        artists.append(artist)
    await seeds.like(fan, tracks[0])
    await seeds.overlay(tracks[0], legacy_id=7)
    await seeds.rank()
    return Crowd(star, fan, tracks, lists, artists)


@dataclass(frozen=True)
class Question:
    """What is asked, under which name the items come, how many statements that costs, and one more for a viewer's likes."""

    parameters: dict[str, Any]
    items: str | None
    cost: int
    viewer_cost: int


def questions(crowd: Crowd, size: int) -> dict[str, Question]:
    """Return a question for every query; those that take no number of items are asked the same each time."""
    star, fan, first = crowd.star.did, crowd.fan.did, crowd.tracks[0].uri
    some = min(size, 25)
    uris = [track.uri for track in crowd.tracks[: min(size, 50)]]
    return {
        # viewers cost one statement to find out who they are, and one for what they like
        "feed.getLatest": Question({"limit": size}, "tracks", 3, 5),
        "feed.getTagged": Question({"limit": size, "tag": "a"}, "tracks", 4, 6),
        "feed.getHot": Question({"limit": size}, "tracks", 5, 7),
        "feed.getTop": Question({"limit": size, "period": "year"}, "tracks", 5, 7),
        "feed.getActorTracks": Question({"limit": size, "actor": star, "filter": "all"}, "tracks", 7, 9),
        "feed.getActorLikes": Question({"limit": size, "actor": fan}, "tracks", 7, 9),
        "feed.getTimeline": Question({"limit": size}, "tracks", 0, 6),
        "feed.getForYou": Question({"limit": size}, "tracks", 0, 8),
        "feed.getActivity": Question({"limit": size}, "activity", 8, 10),
        "feed.getRelated": Question({"limit": min(size, 50), "uri": first}, "tracks", 8, 11),
        "feed.getTracks": Question({"uris": uris}, "tracks", 4, 6),
        "feed.getTrack": Question({"uri": first}, None, 8, 10),
        "feed.getLikes": Question({"limit": size, "uri": first}, "likes", 8, 10),
        "feed.getComments": Question({"limit": size, "uri": first}, "comments", 8, 10),
        "feed.getPlayback": Question({"uri": first}, None, 5, 7),
        "library.getList": Question({"limit": size, "uri": crowd.lists[-1].uri}, "items", 6, 8),
        "library.getActorLists": Question({"limit": size, "actor": star}, "lists", 7, 8),
        "library.getListsWithTrack": Question({"limit": size, "uri": first}, "lists", 8, 10),
        "library.getLists": Question({"uris": [each.uri for each in crowd.lists[:some]]}, "lists", 4, 5),
        "actor.getProfile": Question({"actor": star}, None, 4, 6),
        "actor.getProfiles": Question({"actors": [each.did for each in crowd.artists[:some]]}, "profiles", 2, 4),
        "feed.searchTracks": Question({"limit": size, "q": "song"}, "tracks", 4, 6),
        "feed.getTags": Question({"limit": size}, "tags", 2, 3),
        "actor.searchActors": Question({"limit": size, "q": "artist"}, "actors", 3, 5),
        "library.searchLists": Question({"limit": size, "q": "list"}, "lists", 4, 5),
        "index.getRecordStatus": Question({"uri": first}, None, 3, 4),
        "index.getRepoStatus": Question({"did": star}, None, 2, 3),
        "index.getStats": Question({}, None, 3, 4),
        "index.resolveLegacyId": Question({"id": 7}, None, 5, 7),
    }


def test_every_query_is_asked(catalog: Catalog) -> None:
    methods = [catalog.method(nsid) for nsid in catalog.method_nsids if nsid.startswith(f"{NAMESPACE}.")]
    queries = {method.nsid.removeprefix(f"{NAMESPACE}.") for method in methods if method.kind is MethodKind.QUERY}
    nobody = Account(0, "", "")
    nothing = Written(0, "", nobody, "", {}, None)  # type: ignore[arg-type]
    assert set(questions(Crowd(nobody, nobody, [nothing], [nothing], []), 1)) == queries


async def test_the_statements_are_the_same_for_any_number_of_items(appview: Appview, crowd: Crowd) -> None:
    for viewer in (None, crowd.fan):
        sent: dict[str, list[str]] = {}
        for size in SIZES:
            for name, question in questions(crowd, size).items():
                cost = question.cost if viewer is None else question.viewer_cost
                if not cost:
                    continue
                # The first answer may find out more than those after it: whose key signs, what records say.
                await appview.statements_of(name, question.parameters, viewer)
                statements = await appview.statements_of(name, question.parameters, viewer)
                if name == "feed.getActivity":
                    # Of a kind that is not on the page nothing is loaded.
                    assert len(statements) <= cost, viewer
                else:
                    assert sent.setdefault(name, statements) == statements, name
                    assert len(statements) == cost, (name, viewer)
                if question.items is not None:
                    headers = {} if viewer is None else appview.signed_in(viewer, name)
                    answer = (await appview.client.get(name, question.parameters, headers=headers)).json()
                    asked = question.parameters
                    expected = asked.get("limit") or max(len(value) for value in asked.values())
                    assert len(answer[question.items]) == expected, name


async def test_the_page_about_one_track_costs_the_same_however_many_lists_have_it(appview: Appview) -> None:
    seeds = appview.seeds
    track = await seeds.track(await seeds.account(), features=(await seeds.account(),))
    await seeds.track_list(track.account, [track], listType="album")
    await appview.statements_of("feed.getTrack", {"uri": track.uri})
    few = await appview.statements_of("feed.getTrack", {"uri": track.uri})
    for _ in range(20):
        await seeds.track_list(await seeds.account(), [track], listType="album")
    assert await appview.statements_of("feed.getTrack", {"uri": track.uri}) == few


async def test_a_profile_costs_the_same_whatever_it_counts(appview: Appview) -> None:
    account = await appview.seeds.account()
    few = await appview.statements_of("actor.getProfile", {"actor": account.did})
    for _ in range(20):
        track = await appview.seeds.track(account)
        await appview.seeds.like(account, track)
    assert await appview.statements_of("actor.getProfile", {"actor": account.did}) == few


@pytest.mark.parametrize(
    ("statement", "row"),
    [
        (hydration._TRACK_STATES, rows.TrackState),
        (hydration._LIKES, rows.LikeRow),
        (hydration._COMMENTS, rows.CommentRow),
        (hydration._LISTS, rows.ListRow),
        (hydration._ACTORS, rows.ActorRow),
        (hydration._LABELS, rows.LabelRow),
    ],
)
async def test_the_columns_of_a_statement_are_the_fields_of_its_row_in_order(
    database: SharedDatabase, statement: str, row: Any
) -> None:
    """Rows are made by place, not by name."""
    prepared = await database.owner.prepare(statement)
    assert tuple(column.name for column in prepared.get_attributes()) == row._fields


async def test_a_loan_leaves_nothing_behind(database: SharedDatabase) -> None:
    """Connections come back without a statement that resets them; an open transaction is ended all the same."""
    async with database.pool.acquire() as connection:
        await connection.execute("BEGIN")
    async with database.pool.acquire() as connection:
        assert not connection.is_in_transaction()
        assert await connection.fetchval("SELECT current_user") == "plyr_appview"
