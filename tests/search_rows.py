"""What the rows of search must be, from the rows that they follow from; and what they are."""

from typing import Any

import asyncpg

from database.search_text import SearchRow, actor_row, list_row, tag_keys, track_row

_TRACKS = "SELECT uri_id, sort_at, uri, title, artist, album, tags FROM network.tracks"
_LISTS = "SELECT uri_id, sort_at, uri, name, purpose FROM network.lists"
_ACTORS = """
    SELECT r.actor_id, r.handle, r.handle_verified_at, p.source, p.display_name
    FROM network.repos r LEFT JOIN network.profiles p USING (actor_id)
"""
_STORED = {
    "tracks": "SELECT uri_id, sort_at, uri, words, tsvector_to_array(terms) FROM network.track_search",
    "tags": "SELECT uri_id, tag_key, tag FROM network.track_tags",
    "lists": "SELECT uri_id, sort_at, uri, words, tsvector_to_array(terms) FROM network.list_search",
    "actors": "SELECT actor_id, words, tsvector_to_array(terms) FROM network.actor_search",
}

Tables = dict[str, list[tuple[Any, ...]]]


async def stored_search(connection: asyncpg.Connection | asyncpg.Pool) -> Tables:
    """Return the rows of search as they are."""
    return {name: sorted(map(_listed, await connection.fetch(query))) for name, query in _STORED.items()}


async def expected_search(connection: asyncpg.Connection | asyncpg.Pool) -> Tables:
    """Return the rows of search as they must be."""
    tracks: list[tuple[Any, ...]] = []
    tags: list[tuple[Any, ...]] = []
    for track in await connection.fetch(_TRACKS):
        found = track_row(track["title"], track["artist"], track["album"], track["tags"])
        tracks += _row((track["uri_id"], track["sort_at"], track["uri"]), found)
        tags += [(track["uri_id"], key, tag) for key, tag in tag_keys(track["tags"]).items()]
    lists: list[tuple[Any, ...]] = []
    for each in await connection.fetch(_LISTS):
        lists += _row((each["uri_id"], each["sort_at"], each["uri"]), list_row(each["name"], each["purpose"]))
    names: dict[int, dict[str, str | None]] = {}
    for row in await connection.fetch(_ACTORS):
        known = names.setdefault(row["actor_id"], {})
        known["handle"] = row["handle"] if row["handle_verified_at"] else None
        if row["source"]:
            known[row["source"]] = row["display_name"]
    actors: list[tuple[Any, ...]] = []
    for actor_id, known in names.items():
        actors += _row((actor_id,), actor_row(known["handle"], known.get("own") or known.get("bluesky")))
    return {"tracks": sorted(tracks), "tags": sorted(tags), "lists": sorted(lists), "actors": sorted(actors)}


def _row(head: tuple[Any, ...], row: SearchRow | None) -> list[tuple[Any, ...]]:
    return [] if row is None else [(*head, row.words, sorted(row.terms))]


def _listed(row: asyncpg.Record) -> tuple[Any, ...]:
    return tuple(sorted(value) if isinstance(value, list) else value for value in row)
