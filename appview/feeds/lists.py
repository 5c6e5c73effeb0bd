"""Lists: whose they are, which contain a track, which has a name in an address, and the places in one."""

from dataclasses import dataclass

import asyncpg

from appview.asking import Statement
from appview.feeds.pages import NAMED, Page, before, page_by_time, storable
from appview.viewer import Asker
from appview.visibility import Seen, SqlRules
from appview.xrpc.cursor import Key


def _lists(rules: SqlRules) -> str:
    return f"""
    SELECT l.uri_id, l.sort_at, l.uri
    FROM network.lists l
    JOIN network.repos r ON r.actor_id = l.actor_id
    JOIN network.actors a ON a.actor_id = l.actor_id
    WHERE (l.sort_at, l.uri) < ($1, $2) AND {rules.record("r", "a.did", "l.uri", "l.uri_id")}
    """


_NEWEST_FIRST = "ORDER BY l.sort_at DESC, l.uri DESC LIMIT $3"
_OF_ACTOR = Statement(Seen.LISTING, lambda rules: f"{_lists(rules)} AND l.actor_id = $4 {_NEWEST_FIRST}")
_OF_ACTOR_FOR = Statement(
    Seen.LISTING, lambda rules: f"{_lists(rules)} AND l.actor_id = $4 AND l.purpose = $5 {_NEWEST_FIRST}"
)
# What somebody likes is told by likes.
_WITH_TRACK = Statement(
    Seen.LISTING,
    lambda rules: (
        f"""
    {_lists(rules)} AND l.purpose IS DISTINCT FROM 'liked'
        AND l.uri_id IN (SELECT uri_id FROM network.list_items WHERE subject_uri_id = $4) {_NEWEST_FIRST}
    """
    ),
)
# Of several albums with one name the first keeps its address.
_ALBUM = Statement(
    Seen.DIRECT,
    lambda rules: (
        f"""
    SELECT l.uri_id
    FROM network.lists l
    JOIN network.repos r ON r.actor_id = l.actor_id
    JOIN network.actors a ON a.actor_id = l.actor_id
    WHERE l.actor_id = $1 AND l.slug = $2 AND l.purpose = 'album' AND {rules.record("r", "a.did", "l.uri", "l.uri_id")}
    ORDER BY l.sort_at, l.uri LIMIT 1
    """
    ),
)
# A page goes on after the item that the last one ended with, wherever that is now; when it is gone, at its place.
_ITEMS = f"""
    WITH items AS (
        SELECT i.position, i.subject_uri_id, named.uri
        FROM network.list_items i
        JOIN network.uris u ON u.uri_id = i.subject_uri_id
        JOIN network.actors a ON a.actor_id = u.actor_id
        {NAMED}
        WHERE i.uri_id = $4
    ), last AS (
        SELECT position FROM items WHERE uri = $2 ORDER BY abs(position - $1::bigint), position DESC LIMIT 1
    )
    SELECT * FROM items
    WHERE position > coalesce((SELECT position FROM last), $1::bigint - 1)
    ORDER BY position
    LIMIT $3
"""


@dataclass(frozen=True, slots=True)
class Item:
    """A place in a list."""

    position: int
    subject_uri_id: int
    uri: str


async def of_actor(
    connection: asyncpg.Connection, asker: Asker, actor_id: int, purpose: str | None, limit: int, after: Key | None
) -> Page:
    """Return the lists of an account, the newest first; with a purpose only those of that."""
    arguments = (*before(after), limit + 1, actor_id)
    if purpose is None:
        rows = await connection.fetch(_OF_ACTOR.of(asker), *arguments)
    else:
        rows = await connection.fetch(_OF_ACTOR_FOR.of(asker), *arguments, *storable([purpose]))
    return page_by_time(rows, limit)


async def with_track(
    connection: asyncpg.Connection, asker: Asker, track_uri_id: int, limit: int, after: Key | None
) -> Page:
    """Return the lists that contain a track, the newest first."""
    rows = await connection.fetch(_WITH_TRACK.of(asker), *before(after), limit + 1, track_uri_id)
    return page_by_time(rows, limit)


async def album_of(connection: asyncpg.Connection, asker: Asker, actor_id: int, slug: str) -> int | None:
    """Return the number of the album of an account that has this name in its address."""
    found: int | None = await connection.fetchval(_ALBUM.of(asker), actor_id, *storable([slug]))
    return found


async def items(
    connection: asyncpg.Connection, list_uri_id: int, limit: int, after: Key | None
) -> tuple[list[Item], Key | None]:
    """Return the places of a list in order, and the key that the next page follows."""
    start = after or Key(-1, "")
    rows = await connection.fetch(_ITEMS, start.number, start.uri, limit + 1, list_uri_id)
    found = [Item(**row) for row in rows[:limit]]
    return found, Key(found[-1].position, found[-1].uri) if len(rows) > limit else None
