"""The SQL of the projections: rows out, rows in, for any number of records at once.

An update is a deletion and an insertion, for every table and counter alike, so there is one way in and one out. Which
tables a collection owns follows from the type of its projection.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from indexer import media_rows, search_rows
from indexer.collections.projection import (
    NO_UNAUTHENTICATED,
    Comment,
    Follow,
    Like,
    Profile,
    Projection,
    Subject,
    Track,
    TrackList,
)
from indexer.interning import Path

# In the order in which they are cleared; a record number stands in at most one family of them.
TABLES = (
    "tracks",
    "track_features",
    "track_search",
    "track_tags",
    "likes",
    "comments",
    "lists",
    "list_items",
    "list_search",
    "profiles",
    "follows",
    "labels",
    "blob_references",
)

_INSERT_TRACKS = """
    INSERT INTO network.tracks (uri_id, actor_id, uri, sort_at, created_at, title, artist, album, duration_seconds, file_type, audio_cid,
        audio_mime_type, audio_size_bytes, audio_url, image_cid, image_url, support_gate, visibility, says_visibility, tags)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
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
    INSERT INTO network.lists (uri_id, actor_id, uri, sort_at, created_at, name, slug, purpose, description, image_cid, item_count)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
"""
_INSERT_LIST_ITEMS = "INSERT INTO network.list_items (uri_id, position, subject_uri_id) VALUES ($1, $2, $3)"
_INSERT_PROFILES = """
    INSERT INTO network.profiles (uri_id, actor_id, source, created_at, display_name, bio, avatar_url, avatar_cid)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
_INSERT_FOLLOWS = """
    INSERT INTO network.follows (uri_id, actor_id, subject_actor_id)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])
"""
# Two records of one account may say the same, so that the record belongs to the key.
_INSERT_SELF_LABELS = """
    INSERT INTO network.labels (uri, src, val, cid, uri_id, created_at, sort_at) VALUES ($1, $2, $3, '', $4, $5, $6)
"""


@dataclass(frozen=True, slots=True)
class Shown:
    """A projection with what its rows need besides: its numbers, its URI, and when it sorts."""

    uri_id: int
    actor_id: int
    uri: str
    sort_at: datetime
    projection: Projection

    @property
    def is_profile(self) -> bool:
        """Tell whether this is what an account says of itself."""
        return isinstance(self.projection, Profile)


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
    match projection:
        case Track(features=features):
            return features
        case Follow(did=did):
            return (did,)
        case _:
            return ()


async def delete_rows(connection: asyncpg.Connection, uri_ids: Sequence[int], tables: Sequence[str] = TABLES) -> None:
    """Remove every projected row of these records."""
    for table in tables:
        # Nothing has the number 0, but for labels that no record states: their index leaves them out.
        statement = f"DELETE FROM network.{table} WHERE uri_id = ANY($1::bigint[]) AND uri_id <> 0"  # noqa: S608
        await connection.execute(statement, uri_ids)


async def insert_rows(
    connection: asyncpg.Connection, shown: Sequence[Shown], actors: Mapping[str, int], subjects: Mapping[Path, int]
) -> None:
    """Insert the rows of these projections; the numbers of all DIDs and subjects that they name are given."""
    tracks: list[tuple[object, ...]] = []
    features: list[tuple[object, ...]] = []
    likes: list[tuple[object, ...]] = []
    comments: list[tuple[object, ...]] = []
    lists: list[tuple[object, ...]] = []
    items: list[tuple[object, ...]] = []
    profiles: list[tuple[object, ...]] = []
    follows: list[tuple[object, ...]] = []
    self_labels: list[tuple[object, ...]] = []

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
                        track.says_visibility,
                        track.tags,
                    )
                )
                self_labels += _self_labels(each, track.self_labels, track.created_at)
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
                        found.slug,
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
                self_labels += _self_labels(each, profile.self_labels, profile.created_at)
            case Follow(did=did):
                follows.append((*head, actors[did]))
    for statement, rows in (
        (_INSERT_TRACKS, tracks),
        (_INSERT_FEATURES, features),
        (_INSERT_COMMENTS, comments),
        (_INSERT_LISTS, lists),
        (_INSERT_LIST_ITEMS, items),
        (_INSERT_PROFILES, profiles),
        (_INSERT_SELF_LABELS, self_labels),
    ):
        if rows:
            await connection.executemany(statement, rows)
    await search_rows.insert(connection, shown)
    await media_rows.insert(connection, shown)
    for statement, edges in ((_INSERT_LIKES, likes), (_INSERT_FOLLOWS, follows)):
        if edges:
            await connection.execute(statement, *(list(column) for column in zip(*edges, strict=True)))


def _self_labels(shown: Shown, values: Sequence[str], created_at: str | None) -> list[tuple[object, ...]]:
    """Return the labels that an author states in a record: about it, and the wish to stay among members about the account."""
    did = shown.uri.removeprefix("at://").partition("/")[0]
    at = created_at or shown.sort_at.isoformat()
    return [
        (
            did if value == NO_UNAUTHENTICATED and shown.is_profile else shown.uri,
            did,
            value,
            shown.uri_id,
            at,
            shown.sort_at,
        )
        for value in values
    ]
