"""The SQL of the projections: rows out, rows in, for any number of records at once.

An update is a deletion and an insertion, for every table and counter alike, so there is one way in and one out. Which
tables a collection owns follows from the type of its projection.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from indexer.collections.projection import Comment, Like, Profile, Projection, Subject, Track, TrackList
from indexer.interning import Path

# In the order in which they are cleared; a record number stands in at most one family of them.
TABLES = ("tracks", "track_features", "likes", "comments", "lists", "list_items", "profiles")

_INSERT_TRACKS = """
    INSERT INTO network.tracks (uri_id, actor_id, uri, sort_at, created_at, title, artist, album, duration_seconds, file_type, audio_cid,
        audio_mime_type, audio_size_bytes, audio_url, image_cid, image_url, support_gate, visibility, tags)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
"""
_INSERT_FEATURES = "INSERT INTO network.track_features (uri_id, position, actor_id) VALUES ($1, $2, $3)"
_INSERT_LIKES = """
    INSERT INTO network.likes (uri_id, actor_id, subject_uri_id, sort_at, created_at, counted)
    SELECT *, true FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::text[])
"""
_INSERT_COMMENTS = """
    INSERT INTO network.comments (uri_id, actor_id, subject_uri_id, sort_at, created_at, text, timestamp_ms)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
_INSERT_LISTS = """
    INSERT INTO network.lists (uri_id, actor_id, uri, sort_at, created_at, name, purpose, description, image_cid, item_count)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""
_INSERT_LIST_ITEMS = "INSERT INTO network.list_items (uri_id, position, subject_uri_id) VALUES ($1, $2, $3)"
_INSERT_PROFILES = """
    INSERT INTO network.profiles (uri_id, actor_id, source, created_at, display_name, bio, avatar_url, avatar_cid)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""


@dataclass(frozen=True, slots=True)
class Shown:
    """A projection with what its rows need besides: its numbers, its URI, and when it sorts."""

    uri_id: int
    actor_id: int
    uri: str
    sort_at: datetime
    projection: Projection


def subjects_of(projection: Projection) -> Sequence[Subject]:
    """Return the records that a projection refers to."""
    match projection:
        case Like(subject=subject) | Comment(subject=subject):
            return (subject,)
        case TrackList(items=items):
            return items
        case _:
            return ()


def credits_of(projection: Projection) -> Sequence[str]:
    """Return the DIDs that a projection refers to beside its subjects'."""
    return projection.features if isinstance(projection, Track) else ()


async def delete_rows(connection: asyncpg.Connection, uri_ids: Sequence[int], tables: Sequence[str] = TABLES) -> None:
    """Remove every projected row of these records."""
    for table in tables:
        await connection.execute(f"DELETE FROM network.{table} WHERE uri_id = ANY($1::bigint[])", uri_ids)  # noqa: S608


async def insert_rows(
    connection: asyncpg.Connection, shown: Sequence[Shown], actors: Mapping[str, int], subjects: Mapping[Path, int]
) -> None:
    """Insert the rows of these projections; the numbers of all DIDs and subjects that they name are given."""
    tracks: list[tuple[object, ...]] = []
    features: list[tuple[object, ...]] = []
    likes: list[tuple[int, int, int, datetime, str]] = []
    comments: list[tuple[object, ...]] = []
    lists: list[tuple[object, ...]] = []
    items: list[tuple[object, ...]] = []
    profiles: list[tuple[object, ...]] = []

    def number(subject: Subject) -> int:
        return subjects[actors[subject.did], subject.path]

    for each in shown:
        head = (each.uri_id, each.actor_id)
        match each.projection:
            case Track() as track:
                tracks.append(
                    (
                        *head,
                        each.uri,
                        each.sort_at,
                        track.created_at,
                        track.title,
                        track.artist,
                        track.album,
                        track.duration_seconds,
                        track.file_type,
                        track.audio_cid,
                        track.audio_mime_type,
                        track.audio_size_bytes,
                        track.audio_url,
                        track.image_cid,
                        track.image_url,
                        track.support_gate,
                        track.visibility,
                        track.tags,
                    )
                )
                features += [(each.uri_id, position, actors[did]) for position, did in enumerate(track.features)]
            case Like() as like:
                likes.append((*head, number(like.subject), each.sort_at, like.created_at))
            case Comment() as comment:
                comments.append(
                    (
                        *head,
                        number(comment.subject),
                        each.sort_at,
                        comment.created_at,
                        comment.text,
                        comment.timestamp_ms,
                    )
                )
            case TrackList() as found:
                lists.append(
                    (
                        *head,
                        each.uri,
                        each.sort_at,
                        found.created_at,
                        found.name,
                        found.purpose,
                        found.description,
                        found.image_cid,
                        len(found.items),
                    )
                )
                items += [(each.uri_id, position, number(subject)) for position, subject in enumerate(found.items)]
            case Profile() as profile:
                profiles.append(
                    (
                        *head,
                        profile.source,
                        profile.created_at,
                        profile.display_name,
                        profile.bio,
                        profile.avatar_url,
                        profile.avatar_cid,
                    )
                )
    for statement, rows in (
        (_INSERT_TRACKS, tracks),
        (_INSERT_FEATURES, features),
        (_INSERT_COMMENTS, comments),
        (_INSERT_LISTS, lists),
        (_INSERT_LIST_ITEMS, items),
        (_INSERT_PROFILES, profiles),
    ):
        if rows:
            await connection.executemany(statement, rows)
    if likes:
        await connection.execute(_INSERT_LIKES, *(list(column) for column in zip(*likes, strict=True)))
