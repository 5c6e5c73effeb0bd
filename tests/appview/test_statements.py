"""As many SQL statements for a hundred items as for one, with everything there that an answer can show."""

from typing import Any

import pytest
from running_appview import Appview, SharedDatabase
from seeds import Seeds, Written, blob

from appview import hydration, rows

SIZES = (1, 50, 100)


@pytest.fixture
async def crowd(seeds: Seeds) -> list[Written]:
    """A hundred tracks, each by another artist with profiles and a guest; the first is liked and discussed by all."""
    guest, first = await seeds.account(), await seeds.account()
    tracks: list[Written] = [await seeds.track(first, features=(guest,), tags=["a"])]
    for number in range(100):
        artist = await seeds.account()
        await seeds.profile(artist, displayName=f"Artist {number}", avatarBlob=blob("own", "image/png"))
        await seeds.profile(artist, source="bluesky", displayName="Other")
        tracks.append(await seeds.track(artist, features=(first, guest), tags=["a"]))
        await seeds.track(first, features=(artist,), tags=["b"])
        await seeds.like(artist, tracks[0])
        await seeds.comment(artist, tracks[0], updatedAt="2026-11-22T10:00:00Z")
    return tracks


def _requests(crowd: list[Written], size: int, listed: str) -> list[tuple[str, str, Any]]:
    first, guest = crowd[0], crowd[0].account
    return [
        ("feed.getLatest", "tracks", {"limit": size}),
        ("feed.getLatest", "tracks", {"limit": size, "tags": ["a"], "excludeTags": ["b"]}),
        ("feed.getActorTracks", "tracks", {"limit": size, "actor": guest.did}),
        ("feed.getActorTracks", "tracks", {"limit": size, "actor": guest.handle, "filter": "features"}),
        ("feed.getActorTracks", "tracks", {"limit": size, "actor": guest.did, "filter": "all"}),
        ("feed.getLikes", "likes", {"limit": size, "uri": first.uri}),
        ("feed.getComments", "comments", {"limit": size, "uri": first.uri}),
        ("feed.getComments", "comments", {"limit": size, "uri": first.uri, "sort": "recent"}),
        ("library.getList", "items", {"limit": size, "uri": listed}),
        ("feed.getTracks", "tracks", {"uris": [track.uri for track in crowd[: min(size, 50)]]}),
    ]


async def test_the_statements_are_the_same_for_any_number_of_items(appview: Appview, crowd: list[Written]) -> None:
    listed = await appview.seeds.track_list(crowd[0].account, crowd)
    sent: dict[int, list[list[str]]] = {}
    for size in SIZES:
        sent[size] = []
        for name, items, parameters in _requests(crowd, size, listed.uri):
            answer = await appview.client.answer(name, **parameters)
            assert len(answer[items]) == (min(size, 50) if name == "feed.getTracks" else size), name
            sent[size].append(await appview.statements_of(name, parameters))
    assert sent[1] == sent[50] == sent[100]
    assert all(2 <= len(statements) <= 8 for statements in sent[1])


async def test_the_page_about_one_track_costs_the_same_however_many_lists_have_it(appview: Appview) -> None:
    seeds = appview.seeds
    track = await seeds.track(await seeds.account(), features=(await seeds.account(),))
    await seeds.track_list(track.account, [track], listType="album")
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
        (hydration._TRACKS, rows.TrackRow),
        (hydration._LIKES, rows.LikeRow),
        (hydration._COMMENTS, rows.CommentRow),
        (hydration._LISTS, rows.ListRow),
        (hydration._ACTORS, rows.ActorRow),
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
