"""Tracks by time: the newest of all, of a tag, of an account, of those whom somebody follows, and what somebody likes."""

from collections.abc import Sequence
from dataclasses import replace

import asyncpg

from appview.asking import Statement
from appview.feeds.pages import LONGEST_PAGE, NAMED, Page, before, page_by_time, storable
from appview.hydration import SQL_TRACK_STANDING, SQL_TRACK_STATE
from appview.rows import TrackState
from appview.viewer import Asker
from appview.visibility import Seen, SqlRules
from appview.xrpc.cursor import Key

_NEWEST_FIRST = "ORDER BY t.sort_at DESC, t.uri DESC LIMIT $3"


def _tracks_before(rules: SqlRules) -> str:
    return f"""
    SELECT t.uri_id, t.sort_at, t.uri
    FROM network.tracks t
    JOIN network.repos r ON r.actor_id = t.actor_id
    JOIN network.actors a ON a.actor_id = t.actor_id
    WHERE (t.sort_at, t.uri) < ($1, $2) AND {rules.track("t", "r", "a.did")}
    """


def _published(rules: SqlRules) -> str:
    return f"{_tracks_before(rules)} AND t.actor_id = $4 {_NEWEST_FIRST}"


def _featured(rules: SqlRules) -> str:
    # An account that credits itself on its own track published it, and takes part in nobody else's.
    return f"""
    {_tracks_before(rules)} AND t.actor_id <> $4
    AND t.uri_id IN (SELECT uri_id FROM network.track_features WHERE actor_id = $4) {_NEWEST_FIRST}
    """


def _published_or_featured(rules: SqlRules) -> str:
    return f"SELECT * FROM (({_published(rules)}) UNION ALL ({_featured(rules)})) t {_NEWEST_FIRST}"


# What is asked most costs one statement for both, which page it is and how its tracks stand. The inner limit bounds
# every page, so that the planner, who cannot see $3, makes a plan once and keeps it.
_LATEST = Statement(
    Seen.DISCOVERY,
    lambda rules: (
        f"""
    SELECT * FROM (
        SELECT {SQL_TRACK_STATE}, t.sort_at, t.uri
        FROM network.tracks t
        JOIN network.repos r ON r.actor_id = t.actor_id
        {SQL_TRACK_STANDING}
        WHERE (t.sort_at, t.uri) < ($1, $2) AND {rules.track("t", "r", "split_part(t.uri, '/', 3)", "o")}
            AND NOT t.tags && $4::text[]
        ORDER BY t.sort_at DESC, t.uri DESC LIMIT {LONGEST_PAGE}
    ) t {_NEWEST_FIRST}
    """
    ),
)
_LATEST_TAGGED = Statement(
    Seen.DISCOVERY,
    lambda rules: f"{_tracks_before(rules)} AND NOT t.tags && $4::text[] AND t.tags && $5::text[] {_NEWEST_FIRST}",
)
_OF_ACTOR = {
    "tracks": Statement(Seen.LISTING, _published),
    "features": Statement(Seen.LISTING, _featured),
    "all": Statement(Seen.LISTING, _published_or_featured),
}
# For each artist who is followed a page at most: what it costs grows with them, and not with all tracks there are.
_TIMELINE = Statement(
    Seen.LISTING,
    lambda rules: (
        f"""
    SELECT t.uri_id, t.sort_at, t.uri
    FROM (SELECT DISTINCT subject_actor_id FROM network.follows WHERE actor_id = $4) f
    JOIN network.repos r ON r.actor_id = f.subject_actor_id
    JOIN network.actors a ON a.actor_id = f.subject_actor_id
    CROSS JOIN LATERAL (
        SELECT t.* FROM network.tracks t
        WHERE t.actor_id = f.subject_actor_id AND (t.sort_at, t.uri) < ($1, $2) AND {rules.track("t", "r", "a.did")}
        ORDER BY t.sort_at DESC, t.uri DESC LIMIT $3
    ) t
    {_NEWEST_FIRST}
    """
    ),
)
_LIKED = Statement(
    Seen.LISTING,
    lambda rules: (
        f"""
    SELECT t.uri_id, l.sort_at, named.uri
    FROM network.likes l
    JOIN network.uris u ON u.uri_id = l.uri_id
    JOIN network.actors a ON a.actor_id = l.actor_id
    {NAMED}
    JOIN network.tracks t ON t.uri_id = l.subject_uri_id
    JOIN network.repos r ON r.actor_id = t.actor_id
    JOIN network.actors artist ON artist.actor_id = t.actor_id
    WHERE l.actor_id = $4 AND l.counted AND l.sort_at <= $1 AND (l.sort_at, named.uri) < ($1, $2)
        AND {rules.record_of_shown("named.uri", "l.uri_id")} AND {rules.track("t", "r", "artist.did")}
    ORDER BY l.sort_at DESC, named.uri DESC
    LIMIT $3
    """
    ),
)


async def latest(
    connection: asyncpg.Connection,
    asker: Asker,
    tags: Sequence[str],
    excluded: Sequence[str],
    limit: int,
    after: Key | None,
) -> Page:
    """Return the newest listed tracks; of `tags` each has one at least, of `excluded` none."""
    assert limit < LONGEST_PAGE
    arguments = (*before(after), limit + 1, storable(excluded))
    if tags:
        rows = await connection.fetch(_LATEST_TAGGED.of(asker), *arguments, storable(tags))
        return page_by_time(rows, limit)
    rows = await connection.fetch(_LATEST.of(asker), *arguments)
    page = page_by_time(rows, limit)
    width = len(TrackState._fields)
    return replace(page, states=[TrackState._make(row[:width]) for row in rows[:limit]])


async def of_actor(
    connection: asyncpg.Connection, asker: Asker, actor_id: int, which: str, limit: int, after: Key | None
) -> Page:
    """Return the listed tracks that an account published (`tracks`), is credited on (`features`), or `all`."""
    rows = await connection.fetch(_OF_ACTOR[which].of(asker), *before(after), limit + 1, actor_id)
    return page_by_time(rows, limit)


async def timeline(connection: asyncpg.Connection, asker: Asker, limit: int, after: Key | None) -> Page:
    """Return the tracks of those whom the viewer follows, the newest first."""
    rows = await connection.fetch(_TIMELINE.of(asker), *before(after), limit + 1, asker.actor_id)
    return page_by_time(rows, limit)


async def liked_by(connection: asyncpg.Connection, asker: Asker, actor_id: int, limit: int, after: Key | None) -> Page:
    """Return the tracks that an account likes, the latest like first; the page's keys are those of the likes."""
    rows = await connection.fetch(_LIKED.of(asker), *before(after), limit + 1, actor_id)
    return page_by_time(rows, limit)
