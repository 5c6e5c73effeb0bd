"""Orders of tracks that change all the time, kept as lists so that whoever pages through one reads one order.

Every so often each order is made anew and kept under the time of its making; older ones stay for an hour, for those
who are still paging. Visibility is not decided here: whoever reads a list leaves out what is not shown; but what most of
them would leave out takes no place in it, or a thousand such tracks would empty it. How often an order is made follows from what it costs, so that all of them together take a twentieth of the time at most.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import asyncpg
import logfire

from indexer.cancellation import cancellations, end_if_cancelled

LENGTH: Final = 1000
KEPT_FOR: Final = timedelta(hours=1)
_PERIODS: Final[Mapping[str, timedelta]] = {
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=30),
    "year": timedelta(days=365),
}
_SHARE: Final = 0.05

# Those of appview/visibility.py, as a test makes sure.
UNWANTED_TAGS: Final = ("ai", "ai-slop", "suno")
_TAGS: Final = ", ".join(f"'{tag}'" for tag in UNWANTED_TAGS)
_LISTED = f"""
    t.visibility = 'public' AND NOT t.tags && ARRAY[{_TAGS}]
        AND EXISTS (SELECT FROM network.repos artist WHERE artist.actor_id = t.actor_id AND artist.visible)
"""

_HOT = f"""
    SELECT t.uri_id FROM network.tracks t WHERE {_LISTED} ORDER BY t.hot_score DESC, t.uri DESC LIMIT {LENGTH}
"""  # noqa: S608
_LIKED = f"""
    SELECT t.uri_id
    FROM network.track_counters c JOIN network.tracks t USING (uri_id)
    WHERE c.like_count > 0 AND {_LISTED} ORDER BY c.like_count DESC, t.sort_at DESC, t.uri DESC LIMIT {LENGTH}
"""  # noqa: S608
_LIKED_SINCE = f"""
    SELECT t.uri_id
    FROM (
        SELECT l.subject_uri_id AS uri_id, count(*) AS likes
        FROM network.likes l JOIN network.repos r ON r.actor_id = l.actor_id AND r.visible
        WHERE l.counted AND l.sort_at > $1 AND l.sort_at <= $2
        GROUP BY l.subject_uri_id
    ) AS liked JOIN network.tracks t USING (uri_id)
    WHERE {_LISTED} ORDER BY liked.likes DESC, t.sort_at DESC, t.uri DESC LIMIT {LENGTH}
"""  # noqa: S608
# Plays name a track by its URI; its number is found through the account's.
_OF_URI = """
    JOIN network.actors a ON a.did = split_part(played.subject, '/', 3)
    JOIN network.uris u ON u.actor_id = a.actor_id
        AND u.path = split_part(played.subject, '/', 4) || '/' || split_part(played.subject, '/', 5)
    JOIN network.tracks t ON t.uri_id = u.uri_id
"""
_PLAYED = f"""
    SELECT t.uri_id
    FROM (
        SELECT subject, sum(plays) AS plays FROM (
            SELECT subject, play_count AS plays FROM plyr.play_counters
            UNION ALL SELECT uri, play_count FROM plyr.track_overlays WHERE play_count > 0
        ) AS counted GROUP BY subject
    ) AS played {_OF_URI}
    WHERE {_LISTED} ORDER BY played.plays DESC, t.sort_at DESC, t.uri DESC LIMIT {LENGTH}
"""  # noqa: S608
_PLAYED_SINCE = f"""
    SELECT t.uri_id
    FROM (
        SELECT subject, count(*) AS plays FROM plyr.plays WHERE played_at > $1 AND played_at <= $2 GROUP BY subject
    ) AS played {_OF_URI}
    WHERE {_LISTED} ORDER BY played.plays DESC, t.sort_at DESC, t.uri DESC LIMIT {LENGTH}
"""  # noqa: S608
_NEWEST = """
    SELECT as_of, array_agg(uri_id ORDER BY position) AS uri_ids FROM network.rankings
    WHERE ranking = $1 AND as_of = (SELECT max(as_of) FROM network.rankings WHERE ranking = $1)
    GROUP BY as_of
"""
_KEEP = """
    INSERT INTO network.rankings (ranking, as_of, position, uri_id)
    SELECT $1, $2, place - 1, uri_id FROM unnest($3::bigint[]) WITH ORDINALITY AS made (uri_id, place)
    ON CONFLICT DO NOTHING
"""
# The present one stays however old it is; one that was overtaken, for an hour after that.
_FORGET = """
    DELETE FROM network.rankings k WHERE ranking = $1 AND EXISTS (
        SELECT FROM network.rankings later
        WHERE later.ranking = k.ranking AND later.position = 0 AND later.as_of > k.as_of AND later.as_of < $2)
"""
_FORGET_ALL = "DELETE FROM network.rankings WHERE ranking = $1"


@dataclass(slots=True)
class Ranking:
    """One order: how it is asked for, how far back it looks, and how often it is made at most."""

    name: str
    statement: str
    period: timedelta | None
    every_seconds: float
    next_at: float = field(default=0.0)


def all_rankings() -> list[Ranking]:
    """Return every order, by the names that the appview asks for."""
    rankings = [
        Ranking("hot", _HOT, None, 30.0),
        Ranking("likes:all", _LIKED, None, 60.0),
        Ranking("plays:all", _PLAYED, None, 60.0),
    ]
    for name, period in _PERIODS.items():
        rankings.append(Ranking(f"likes:{name}", _LIKED_SINCE, period, 60.0))
        rankings.append(Ranking(f"plays:{name}", _PLAYED_SINCE, period, 60.0))
    return rankings


async def refresh(connection: asyncpg.Connection, ranking: Ranking, now: datetime) -> None:
    """Make an order anew and keep it, unless it is as it was."""
    arguments = () if ranking.period is None else (now - ranking.period, now)
    uri_ids = [row["uri_id"] for row in await connection.fetch(ranking.statement, *arguments)]
    async with connection.transaction():
        kept = await connection.fetchrow(_NEWEST, ranking.name)
        if not uri_ids:
            await connection.execute(_FORGET_ALL, ranking.name)
        elif kept is None or uri_ids != kept["uri_ids"]:
            await connection.execute(_KEEP, ranking.name, now, uri_ids)
        await connection.execute(_FORGET, ranking.name, now - KEPT_FOR)


class Rankings:
    """Makes all orders anew, each when it is due."""

    def __init__(self, pool: asyncpg.Pool, clock: Callable[[], datetime], seconds: Callable[[], float]) -> None:
        """Take the pool; `clock` tells the time, `seconds` how long things take."""
        self._pool = pool
        self._clock = clock
        self._seconds = seconds
        self._rankings = all_rankings()

    async def run(self) -> None:
        """Keep all orders fresh until cancelled; a database that does not answer is asked again."""
        cancelled = cancellations()
        while True:
            try:
                await self.refresh_due()
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
                logfire.debug("the rankings could not be made; the writer will say why")
                end_if_cancelled(cancelled)
            await asyncio.sleep(1)

    async def refresh_due(self) -> None:
        """Make those orders anew that are due."""
        for ranking in self._rankings:
            began = self._seconds()
            if began < ranking.next_at:
                continue
            async with self._pool.acquire() as connection:
                await refresh(connection, ranking, self._clock())
            took = self._seconds() - began
            ranking.next_at = began + max(ranking.every_seconds, took / _SHARE)
