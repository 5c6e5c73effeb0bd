"""Skeletons: which items are on a page, and after which key the next one begins.

Every order ends in the URI, filters run before LIMIT, and one item more than asked for tells whether there is a
next page. Pages go on after a key, never at an offset.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from appview.visibility import sql_record_shown, sql_track_listed
from appview.xrpc.cursor import Key, key_at
from atprotocol.syntax.datetime import LATEST

_URI = "CROSS JOIN LATERAL (SELECT 'at://' || a.did || '/' || u.path AS uri) named"
_LISTED = sql_track_listed("t", "r", "a.did")
_NEWEST_FIRST = "ORDER BY t.sort_at DESC, t.uri DESC LIMIT $3"
_TRACKS_BEFORE = f"""
    SELECT t.uri_id, t.sort_at, t.uri
    FROM network.tracks t
    JOIN network.repos r ON r.actor_id = t.actor_id
    JOIN network.actors a ON a.actor_id = t.actor_id
    WHERE (t.sort_at, t.uri) < ($1, $2) AND {_LISTED}
"""  # noqa: S608
_LONGEST_PAGE = 101
# The inner limit bounds every page, so that the planner, who cannot see $3, makes a plan once and keeps it.
_LATEST = f"""
    SELECT * FROM (
        {_TRACKS_BEFORE} AND NOT t.tags && $4::text[] ORDER BY t.sort_at DESC, t.uri DESC LIMIT {_LONGEST_PAGE}
    ) t {_NEWEST_FIRST}
"""  # noqa: S608
_LATEST_TAGGED = f"{_TRACKS_BEFORE} AND NOT t.tags && $4::text[] AND t.tags && $5::text[] {_NEWEST_FIRST}"
_PUBLISHED = f"{_TRACKS_BEFORE} AND t.actor_id = $4 {_NEWEST_FIRST}"
# An account that credits itself on its own track published it, and takes part in nobody else's.
_FEATURED = f"""
    {_TRACKS_BEFORE} AND t.actor_id <> $4
    AND t.uri_id IN (SELECT uri_id FROM network.track_features WHERE actor_id = $4) {_NEWEST_FIRST}
"""  # noqa: S608
_PUBLISHED_OR_FEATURED = f"SELECT * FROM (({_PUBLISHED}) UNION ALL ({_FEATURED})) t {_NEWEST_FIRST}"  # noqa: S608
_ACTOR_TRACKS = {"tracks": _PUBLISHED, "features": _FEATURED, "all": _PUBLISHED_OR_FEATURED}
_LIKES = f"""
    SELECT l.uri_id, l.sort_at, named.uri
    FROM network.likes l
    JOIN network.uris u ON u.uri_id = l.uri_id
    JOIN network.actors a ON a.actor_id = l.actor_id
    JOIN network.repos r ON r.actor_id = l.actor_id
    {_URI}
    WHERE l.subject_uri_id = $4 AND l.counted AND l.sort_at <= $1 AND (l.sort_at, named.uri) < ($1, $2)
        AND {sql_record_shown("r", "a.did", "named.uri")}
    ORDER BY l.sort_at DESC, named.uri DESC
    LIMIT $3
"""  # noqa: S608
_COMMENTS = f"""
    SELECT c.uri_id, c.sort_at, c.timestamp_ms, named.uri
    FROM network.comments c
    JOIN network.uris u ON u.uri_id = c.uri_id
    JOIN network.actors a ON a.actor_id = c.actor_id
    JOIN network.repos r ON r.actor_id = c.actor_id
    {_URI}
    WHERE c.subject_uri_id = $4 AND {sql_record_shown("r", "a.did", "named.uri")}
"""  # noqa: S608
_COMMENTS_BY_MOMENT = f"""
    {_COMMENTS} AND c.timestamp_ms >= $1 AND (c.timestamp_ms, named.uri) > ($1, $2)
    ORDER BY c.timestamp_ms, named.uri LIMIT $3
"""
_COMMENTS_NEWEST_FIRST = f"""
    {_COMMENTS} AND c.sort_at <= $1 AND (c.sort_at, named.uri) < ($1, $2)
    ORDER BY c.sort_at DESC, named.uri DESC LIMIT $3
"""
# A page goes on after the item that the last one ended with, wherever that is now; when it is gone, at its place.
_LIST_ITEMS = f"""
    WITH items AS (
        SELECT i.position, i.subject_uri_id, named.uri
        FROM network.list_items i
        JOIN network.uris u ON u.uri_id = i.subject_uri_id
        JOIN network.actors a ON a.actor_id = u.actor_id
        {_URI}
        WHERE i.uri_id = $4
    ), last AS (
        SELECT position FROM items WHERE uri = $2 ORDER BY abs(position - $1::bigint), position DESC LIMIT 1
    )
    SELECT * FROM items
    WHERE position > coalesce((SELECT position FROM last), $1::bigint - 1)
    ORDER BY position
    LIMIT $3
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Page:
    """The numbers of the items in order, and the key that the next page follows; None when there is none."""

    uri_ids: list[int]
    last: Key | None


@dataclass(frozen=True, slots=True)
class Item:
    """A place in a list."""

    position: int
    subject_uri_id: int
    uri: str


async def latest(
    connection: asyncpg.Connection, tags: Sequence[str], excluded: Sequence[str], limit: int, after: Key | None
) -> Page:
    """Return the newest listed tracks; of `tags` each has one at least, of `excluded` none."""
    assert limit < _LONGEST_PAGE
    arguments = (*_before(after), limit + 1, _storable(excluded))
    if tags:
        rows = await connection.fetch(_LATEST_TAGGED, *arguments, _storable(tags))
    else:
        rows = await connection.fetch(_LATEST, *arguments)
    return _by_time(rows, limit)


async def actor_tracks(
    connection: asyncpg.Connection, actor_id: int, which: str, limit: int, after: Key | None
) -> Page:
    """Return the listed tracks that an account published (`tracks`), is credited on (`features`), or `all`."""
    return _by_time(await connection.fetch(_ACTOR_TRACKS[which], *_before(after), limit + 1, actor_id), limit)


async def likes(connection: asyncpg.Connection, subject_uri_id: int, limit: int, after: Key | None) -> Page:
    """Return the likes of a record, newest first, one for each account."""
    return _by_time(await connection.fetch(_LIKES, *_before(after), limit + 1, subject_uri_id), limit)


async def comments_newest_first(
    connection: asyncpg.Connection, subject_uri_id: int, limit: int, after: Key | None
) -> Page:
    """Return the comments on a record, newest first."""
    rows = await connection.fetch(_COMMENTS_NEWEST_FIRST, *_before(after), limit + 1, subject_uri_id)
    return _by_time(rows, limit)


async def comments_by_moment(
    connection: asyncpg.Connection, subject_uri_id: int, limit: int, after: Key | None
) -> Page:
    """Return the comments on a track by the moment that they are about."""
    start = after or Key(-1, "")
    rows = await connection.fetch(_COMMENTS_BY_MOMENT, start.number, start.uri, limit + 1, subject_uri_id)
    has_more = len(rows) > limit
    page = rows[:limit]
    last = Key(page[-1]["timestamp_ms"], page[-1]["uri"]) if has_more else None
    return Page([row["uri_id"] for row in page], last)


async def list_items(
    connection: asyncpg.Connection, list_uri_id: int, limit: int, after: Key | None
) -> tuple[list[Item], Key | None]:
    """Return the places of a list in order, and the key that the next page follows."""
    start = after or Key(-1, "")
    rows = await connection.fetch(_LIST_ITEMS, start.number, start.uri, limit + 1, list_uri_id)
    items = [Item(**row) for row in rows[:limit]]
    return items, Key(items[-1].position, items[-1].uri) if len(rows) > limit else None


def _before(after: Key | None) -> tuple[object, str]:
    # Nothing sorts at the end of the calendar: an author's date counts only when it is past.
    return (LATEST, "") if after is None else (after.instant, after.uri)


def _by_time(rows: Sequence[asyncpg.Record], limit: int) -> Page:
    page = rows[:limit]
    last = key_at(page[-1]["sort_at"], page[-1]["uri"]) if len(rows) > limit else None
    return Page([row["uri_id"] for row in page], last)


def _storable(tags: Sequence[str]) -> list[str]:
    """Write tags as the rows have them, which cannot hold U+0000."""
    return [tag.replace("\0", "\ufffd") for tag in tags]
