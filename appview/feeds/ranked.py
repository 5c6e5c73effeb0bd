"""Tracks in an order that changes: paged through as it was when the first page was asked for.

The indexer keeps orders as lists for a while; a page names the list that it goes on with. What has been hidden since is
left out all the same.
"""

from datetime import datetime

import asyncpg

from appview.asking import Statement
from appview.feeds.pages import Page
from appview.viewer import Asker
from appview.visibility import Seen, sql_without_unwanted_tags
from appview.xrpc.cursor import Key
from appview.xrpc.errors import InvalidRequest

HOT = "hot"
_NEWEST = "SELECT max(as_of) FROM network.rankings WHERE ranking = $1"
_IS_KEPT = "SELECT EXISTS (SELECT FROM network.rankings WHERE ranking = $1 AND as_of = $2)"
_RANKED = Statement(
    Seen.DISCOVERY,
    lambda rules: (
        f"""
    SELECT k.position, t.uri_id, t.uri
    FROM network.rankings k
    JOIN network.tracks t ON t.uri_id = k.uri_id
    JOIN network.repos r ON r.actor_id = t.actor_id
    JOIN network.actors a ON a.actor_id = t.actor_id
    WHERE k.ranking = $1 AND k.as_of = $2 AND k.position > $3
        AND {rules.track("t", "r", "a.did")} AND {sql_without_unwanted_tags("t")}
    ORDER BY k.position
    LIMIT $4
    """
    ),
)


async def ranked(connection: asyncpg.Connection, asker: Asker, ranking: str, limit: int, after: Key | None) -> Page:
    """Return a page of an order that is kept. The key's time is that of the order, its number the place in it.

    Raises InvalidRequest when the order that a page goes on with is kept no more.
    """
    as_of = await _order_of(connection, ranking, after)
    if as_of is None:
        return Page([], None)
    position = -1 if after is None else after.number
    rows = await connection.fetch(_RANKED.of(asker), ranking, as_of, position, limit + 1)
    page = rows[:limit]
    last = Key(page[-1]["position"], page[-1]["uri"]).at(as_of) if len(rows) > limit else None
    return Page([row["uri_id"] for row in page], last)


async def _order_of(connection: asyncpg.Connection, ranking: str, after: Key | None) -> datetime | None:
    if after is None:
        newest: datetime | None = await connection.fetchval(_NEWEST, ranking)
        return newest
    if not await connection.fetchval(_IS_KEPT, ranking, after.as_of_instant):
        raise InvalidRequest("The cursor is too old: begin again without it")
    return after.as_of_instant
