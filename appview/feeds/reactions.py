"""What people do with a track: likes and comments."""

import asyncpg

from appview.asking import Statement
from appview.feeds.pages import NAMED, Page, before, page_by_time
from appview.viewer import Asker
from appview.visibility import Seen, SqlRules
from appview.xrpc.cursor import Key

_LIKES = Statement(
    Seen.LISTING,
    lambda rules: (
        f"""
    SELECT l.uri_id, l.sort_at, named.uri
    FROM network.likes l
    JOIN network.uris u ON u.uri_id = l.uri_id
    JOIN network.actors a ON a.actor_id = l.actor_id
    JOIN network.repos r ON r.actor_id = l.actor_id
    {NAMED}
    WHERE l.subject_uri_id = $4 AND l.counted AND l.sort_at <= $1 AND (l.sort_at, named.uri) < ($1, $2)
        AND {rules.record("r", "a.did", "named.uri", "l.uri_id")}
    ORDER BY l.sort_at DESC, named.uri DESC
    LIMIT $3
    """
    ),
)


def _comments(rules: SqlRules) -> str:
    return f"""
    SELECT c.uri_id, c.sort_at, c.timestamp_ms, named.uri
    FROM network.comments c
    JOIN network.uris u ON u.uri_id = c.uri_id
    JOIN network.actors a ON a.actor_id = c.actor_id
    JOIN network.repos r ON r.actor_id = c.actor_id
    {NAMED}
    WHERE c.subject_uri_id = $4 AND {rules.record("r", "a.did", "named.uri", "c.uri_id")}
    """


_COMMENTS_BY_MOMENT = Statement(
    Seen.LISTING,
    lambda rules: (
        f"""
    {_comments(rules)} AND c.timestamp_ms >= $1 AND (c.timestamp_ms, named.uri) > ($1, $2)
    ORDER BY c.timestamp_ms, named.uri LIMIT $3
    """
    ),
)
_COMMENTS_NEWEST_FIRST = Statement(
    Seen.LISTING,
    lambda rules: (
        f"""
    {_comments(rules)} AND c.sort_at <= $1 AND (c.sort_at, named.uri) < ($1, $2)
    ORDER BY c.sort_at DESC, named.uri DESC LIMIT $3
    """
    ),
)


async def likes(
    connection: asyncpg.Connection, asker: Asker, subject_uri_id: int, limit: int, after: Key | None
) -> Page:
    """Return the likes of a record, newest first, one for each account."""
    rows = await connection.fetch(_LIKES.of(asker), *before(after), limit + 1, subject_uri_id)
    return page_by_time(rows, limit)


async def comments_newest_first(
    connection: asyncpg.Connection, asker: Asker, subject_uri_id: int, limit: int, after: Key | None
) -> Page:
    """Return the comments on a record, newest first."""
    rows = await connection.fetch(_COMMENTS_NEWEST_FIRST.of(asker), *before(after), limit + 1, subject_uri_id)
    return page_by_time(rows, limit)


async def comments_by_moment(
    connection: asyncpg.Connection, asker: Asker, subject_uri_id: int, limit: int, after: Key | None
) -> Page:
    """Return the comments on a track by the moment that they are about."""
    start = after or Key(-1, "")
    statement = _COMMENTS_BY_MOMENT.of(asker)
    rows = await connection.fetch(statement, start.number, start.uri, limit + 1, subject_uri_id)
    page = rows[:limit]
    last = Key(page[-1]["timestamp_ms"], page[-1]["uri"]) if len(rows) > limit else None
    return Page([row["uri_id"] for row in page], last)
