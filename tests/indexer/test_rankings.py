"""Orders that are kept for those who page through them: made when due, forgotten an hour after they were overtaken."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from seeds import Seeds

from appview import visibility
from indexer.rankings import LENGTH, UNWANTED_TAGS, Ranking, Rankings, all_rankings, refresh

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
[HOT, *_] = all_rankings()


@pytest.fixture
async def seeds(database_url: str) -> AsyncIterator[Seeds]:
    connection = await asyncpg.connect(database_url)
    yield Seeds(connection)
    await connection.close()


async def kept(seeds: Seeds, name: str = "hot") -> dict[datetime, list[int]]:
    rows = await seeds.connection.fetch(
        "SELECT as_of, array_agg(uri_id ORDER BY position) FROM network.rankings WHERE ranking = $1 GROUP BY 1 ORDER BY 1",
        name,
    )
    return {row[0]: row[1] for row in rows}


async def test_an_order_that_is_as_it_was_is_kept_once(seeds: Seeds) -> None:
    track = await seeds.track(await seeds.account())
    for minutes in range(3):
        await refresh(seeds.connection, HOT, NOW + timedelta(minutes=minutes))
    assert await kept(seeds) == {NOW: [track.uri_id]}


async def test_an_order_is_forgotten_an_hour_after_it_was_overtaken(seeds: Seeds) -> None:
    first = await seeds.track(await seeds.account(), at=NOW - timedelta(days=1))
    await refresh(seeds.connection, HOT, NOW)
    second = await seeds.track(await seeds.account(), at=NOW)
    later = NOW + timedelta(hours=5)
    await refresh(seeds.connection, HOT, later)
    assert await kept(seeds) == {NOW: [first.uri_id], later: [second.uri_id, first.uri_id]}
    await refresh(seeds.connection, HOT, later + timedelta(minutes=59))
    assert len(await kept(seeds)) == 2
    await refresh(seeds.connection, HOT, later + timedelta(minutes=61))
    assert list(await kept(seeds)) == [later]


async def test_an_order_has_an_end(seeds: Seeds) -> None:
    account = await seeds.account()
    await seeds.track(account)
    await seeds.execute(
        f"""INSERT INTO network.tracks (uri_id, actor_id, uri, sort_at, created_at, title, artist, file_type, visibility, tags)
            SELECT 1000000 + n, $1, 'at://x/' || n, now(), '', '', '', '', 'public', '{{}}' FROM generate_series(1, {LENGTH + 5}) n""",
        account.actor_id,
    )
    await refresh(seeds.connection, HOT, NOW)
    assert len((await kept(seeds))[NOW]) == LENGTH


async def test_likes_of_hidden_accounts_lift_nothing(seeds: Seeds) -> None:
    artist, hidden = await seeds.account(), await seeds.account(active=False)
    track = await seeds.track(artist)
    await seeds.like(hidden, track, at=NOW, counts=False)
    for ranking in all_rankings():
        await refresh(seeds.connection, ranking, NOW)
    assert await kept(seeds, "likes:day") == {}
    assert await kept(seeds, "likes:all") == {}


class Seconds:
    """A clock of which every look takes some seconds."""

    def __init__(self) -> None:
        self.now, self.took = 0.0, 0.0

    def __call__(self) -> float:
        self.now += self.took / 2
        return self.now


async def test_what_takes_long_is_made_seldom(seeds: Seeds, database_url: str) -> None:
    made: list[str] = []

    class Counting:
        """A pool of one connection that says which order is made."""

        def acquire(self) -> Any:
            return self

        async def __aenter__(self) -> Any:
            made.append("made")
            return seeds.connection

        async def __aexit__(self, *_: object) -> None:
            pass

    seconds = Seconds()
    rankings = Rankings(Counting(), lambda: NOW, seconds)
    await rankings.refresh_due()
    assert len(made) == len(all_rankings())
    await rankings.refresh_due()
    assert len(made) == len(all_rankings())
    seconds.now += 30
    await rankings.refresh_due()
    assert len(made) == len(all_rankings()) + 1
    # One that took half a minute is due again after ten.
    seconds.now += 3600
    seconds.took = 60
    await rankings.refresh_due()
    before, seconds.took = len(made), 0
    seconds.now += 100
    await rankings.refresh_due()
    # The first ones of that long round were due at its end.
    assert len(made) <= before + 3


@pytest.mark.parametrize("ranking", all_rankings(), ids=lambda ranking: ranking.name)
async def test_what_is_left_out_for_everybody_takes_no_place(seeds: Seeds, ranking: Ranking) -> None:
    artist, hidden = await seeds.account(), await seeds.account(active=False)
    tracks = [await seeds.track(artist, at=NOW), await seeds.track(hidden, at=NOW)]
    tracks += [await seeds.track(artist, at=NOW, tags=[tag, "other"]) for tag in UNWANTED_TAGS]
    for track in tracks:
        await seeds.like(artist, track, at=NOW - timedelta(hours=1))
        await seeds.execute("INSERT INTO plyr.plays (subject, played_at) VALUES ($1, $2)", track.uri, NOW)
        await seeds.execute("INSERT INTO plyr.play_counters VALUES ($1, 1)", track.uri)
    await refresh(seeds.connection, ranking, NOW)
    assert await kept(seeds, ranking.name) == {NOW: [tracks[0].uri_id]}


def test_both_programs_mean_the_same_tags() -> None:
    assert UNWANTED_TAGS == visibility.UNWANTED_TAGS
