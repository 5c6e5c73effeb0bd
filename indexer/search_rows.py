"""The rows by which tracks, lists and accounts are found, kept by the transaction that writes what they are made of.

A record's rows come and go with its projection. An account's row is made anew of its repository and profiles whenever
one of them may have changed: the handle while it is verified, and its own display name, or else the one at Bluesky.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Protocol

import asyncpg

from database.search_text import actor_row, list_row, tag_keys, track_row
from indexer.collections.projection import Projection, Track, TrackList

_INSERT = """
    INSERT INTO network.{} (uri_id, sort_at, uri, words, terms) VALUES ($1, $2, $3, $4, array_to_tsvector($5::text[]))
"""
_INSERT_TRACKS = _INSERT.format("track_search")
_INSERT_LISTS = _INSERT.format("list_search")
_INSERT_ACTORS = """
    INSERT INTO network.actor_search (actor_id, words, terms) VALUES ($1, $2, array_to_tsvector($3::text[]))
"""
_INSERT_TAGS = "INSERT INTO network.track_tags (uri_id, tag_key, tag) VALUES ($1, $2, $3)"
_DELETE_ACTORS = "DELETE FROM network.actor_search WHERE actor_id = ANY($1::bigint[])"
_NAMES = """
    SELECT r.actor_id, CASE WHEN r.handle_verified_at IS NOT NULL THEN r.handle END AS handle,
        coalesce(nullif(own.display_name, ''), bluesky.display_name) AS display_name
    FROM network.repos r
    LEFT JOIN network.profiles own ON own.actor_id = r.actor_id AND own.source = 'own'
    LEFT JOIN network.profiles bluesky ON bluesky.actor_id = r.actor_id AND bluesky.source = 'bluesky'
    WHERE r.actor_id = ANY($1::bigint[])
"""
_TRACKS = """
    SELECT uri_id, sort_at, uri, title, artist, album, tags FROM network.tracks WHERE uri_id = ANY($1::bigint[])
"""
_ALL_ACTORS = "SELECT actor_id FROM network.repos WHERE actor_id > $1 ORDER BY actor_id LIMIT $2"


class _Found(Protocol):
    """A projection with what its row needs besides."""

    @property
    def uri_id(self) -> int:
        """Return the number of the record."""
        ...

    @property
    def uri(self) -> str:
        """Return the record's URI."""
        ...

    @property
    def sort_at(self) -> datetime:
        """Return when it sorts."""
        ...

    @property
    def projection(self) -> Projection:
        """Return the projection."""
        ...


async def insert(connection: asyncpg.Connection, found: Iterable[_Found]) -> None:
    """Insert the rows by which these projections are found."""
    tracks: list[tuple[Any, ...]] = []
    lists: list[tuple[object, ...]] = []
    for each in found:
        head = (each.uri_id, each.sort_at, each.uri)
        match each.projection:
            case Track() as track:
                tracks.append((*head, track.title, track.artist, track.album, track.tags))
            case TrackList() as listed:
                if row := list_row(listed.name, listed.purpose):
                    lists.append((*head, row.words, row.terms))
    await _insert_tracks(connection, tracks)
    if lists:
        await connection.executemany(_INSERT_LISTS, lists)


async def _insert_tracks(connection: asyncpg.Connection, tracks: Sequence[tuple[Any, ...]]) -> None:
    """Insert the rows of tracks, each given by number, time, URI, title, artist, album and tags."""
    rows: list[tuple[object, ...]] = []
    tags_of: list[tuple[int, str, str]] = []
    for uri_id, sort_at, uri, title, artist, album, tags in tracks:
        tags_of += [(uri_id, key, tag) for key, tag in tag_keys(tags).items()]
        if row := track_row(title, artist, album, tags):
            rows.append((uri_id, sort_at, uri, row.words, row.terms))
    for statement, values in ((_INSERT_TRACKS, rows), (_INSERT_TAGS, tags_of)):
        if values:
            await connection.executemany(statement, values)


async def refresh_tracks(connection: asyncpg.Connection, uri_ids: Sequence[int]) -> None:
    """Make the rows of these tracks say what the tracks say now: their tags may be others than their records have."""
    if not uri_ids:
        return
    for table in ("track_search", "track_tags"):
        await connection.execute(f"DELETE FROM network.{table} WHERE uri_id = ANY($1::bigint[])", uri_ids)  # noqa: S608
    await _insert_tracks(connection, [tuple(row) for row in await connection.fetch(_TRACKS, uri_ids)])


async def refresh_actors(connection: asyncpg.Connection, actor_ids: Sequence[int]) -> None:
    """Make the rows of these accounts say what their repositories and profiles say now."""
    if not actor_ids:
        return
    rows = [
        (names["actor_id"], row.words, row.terms)
        for names in await connection.fetch(_NAMES, actor_ids)
        if (row := actor_row(names["handle"], names["display_name"]))
    ]
    await connection.execute(_DELETE_ACTORS, actor_ids)
    if rows:
        await connection.executemany(_INSERT_ACTORS, rows)


async def next_actors(connection: asyncpg.Connection, after: int, limit: int) -> list[int]:
    """Return the numbers of the accounts with a repository that follow a number."""
    return [row["actor_id"] for row in await connection.fetch(_ALL_ACTORS, after, limit)]
