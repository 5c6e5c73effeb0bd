"""Numbers for DIDs and record URIs: everything else refers to them by number.

The mapping only grows, and a number never changes its meaning while the schema lives.
"""

from collections.abc import Collection

import asyncpg

Path = tuple[int, str]  # (actor_id, path)

_INSERT_ACTORS = "INSERT INTO network.actors (did) SELECT unnest($1::text[]) ON CONFLICT (did) DO NOTHING"
_SELECT_ACTORS = "SELECT did, actor_id FROM network.actors WHERE did = ANY($1::text[])"
_SELECT_URIS = """
    SELECT u.actor_id, u.path, u.uri_id
    FROM unnest($1::bigint[], $2::text[]) AS wanted (actor_id, path)
    JOIN network.uris u ON u.actor_id = wanted.actor_id AND u.path = wanted.path
"""
_INSERT_URIS = """
    INSERT INTO network.uris (actor_id, path)
    SELECT * FROM unnest($1::bigint[], $2::text[])
    ON CONFLICT (actor_id, path) DO NOTHING
    RETURNING actor_id, path, uri_id
"""


async def actor_ids(connection: asyncpg.Connection, dids: Collection[str]) -> dict[str, int]:
    """Return the numbers of these DIDs, making the missing ones."""
    if not dids:
        return {}
    wanted = sorted(set(dids))
    found = {row["did"]: row["actor_id"] for row in await connection.fetch(_SELECT_ACTORS, wanted)}
    missing = [did for did in wanted if did not in found]
    if missing:
        await connection.execute(_INSERT_ACTORS, missing)
        found |= {row["did"]: row["actor_id"] for row in await connection.fetch(_SELECT_ACTORS, missing)}
    return found


async def known_uri_ids(connection: asyncpg.Connection, paths: Collection[Path]) -> dict[Path, int]:
    """Return the numbers of those of these URIs that have one."""
    if not paths:
        return {}
    rows = await connection.fetch(_SELECT_URIS, [actor_id for actor_id, _ in paths], [path for _, path in paths])
    return {(row["actor_id"], row["path"]): row["uri_id"] for row in rows}


async def uri_ids(connection: asyncpg.Connection, paths: Collection[Path]) -> dict[Path, int]:
    """Return the numbers of these URIs, making the missing ones."""
    found = await known_uri_ids(connection, paths)
    missing = sorted(set(paths) - found.keys())
    if missing:
        rows = await connection.fetch(
            _INSERT_URIS, [actor_id for actor_id, _ in missing], [path for _, path in missing]
        )
        found |= {(row["actor_id"], row["path"]): row["uri_id"] for row in rows}
    return found
