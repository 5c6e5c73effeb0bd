"""What an operator knows of tracks and no record says, laid over the rows that the records made.

An overlay speaks where the record is silent, and never makes public what the record does not: what its author says
later counts. Only `plyr` is read; the appview hides what an overlay calls unlisted before this has heard of it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import asyncpg

from indexer import search_rows

# Nobody's import takes longer; its rows bear the time at which it began.
OVERLAP = timedelta(minutes=10)

# A record may hold U+0000, on which Postgres refuses to look into JSON at all. Which fields there are does not depend on it.
_LAY_OVER = """
    UPDATE network.tracks t
    SET visibility = over.visibility, tags = over.tags
    FROM (
        SELECT t.uri_id,
            CASE WHEN t.says_visibility THEN t.visibility WHEN o.visibility = 'public' THEN 'public'
                WHEN o.visibility IS NULL THEN 'public' ELSE 'unlisted' END AS visibility,
            CASE WHEN replace(d.json::text, '\\u0000', '\\u0020')::json -> 'tags' IS NULL THEN coalesce(o.tags, '{}') ELSE t.tags END AS tags
        FROM plyr.track_overlays o
        JOIN network.tracks t ON t.uri = o.uri
        JOIN network.records d ON d.uri_id = t.uri_id
        WHERE %s
    ) over
    WHERE t.uri_id = over.uri_id AND (t.visibility <> over.visibility OR t.tags <> over.tags)
    RETURNING t.uri_id
"""
_OF_TRACKS = _LAY_OVER % "t.uri_id = ANY($1::bigint[])"
_OF_IMPORTS = _LAY_OVER % "o.imported_at >= $1"
_NEWEST = "SELECT max(imported_at) FROM plyr.track_overlays"


async def apply_to(connection: asyncpg.Connection, uri_ids: Sequence[int]) -> None:
    """Lay what is known of these tracks over their rows, which were just made from their records."""
    if uri_ids:
        await _lay_over(connection, _OF_TRACKS, uri_ids)


async def newest_import(connection: asyncpg.Connection) -> datetime | None:
    """Return when overlays were last imported; None while there are none."""
    found: datetime | None = await connection.fetchval(_NEWEST)
    return found


async def apply_since(connection: asyncpg.Connection, instant: datetime) -> None:
    """Lay over what was imported from a little before an instant on; twice changes nothing more."""
    await _lay_over(connection, _OF_IMPORTS, instant - OVERLAP)


async def _lay_over(connection: asyncpg.Connection, statement: str, argument: object) -> None:
    changed = [row["uri_id"] for row in await connection.fetch(statement, argument)]
    await search_rows.refresh_tracks(connection, changed)
