"""Load everything that an answer shows, with as many statements for a hundred items as for one.

One statement for each kind of record, one for credits, and one for all accounts that any of them names. Whether
something may be shown is not decided here: the rows carry the facts.
"""

from collections.abc import Sequence
from typing import Any

import asyncpg

from appview.rows import ActorRow, CommentRow, LikeRow, ListRow, ProfileFacts, State, TrackRow
from appview.visibility import sql_not_taken_down, sql_record_shown, sql_track_listed

BLUESKY_PROFILE_PATH = "app.bsky.actor.profile/self"
_OWN_PROFILE = "actor.profile/self"

_TRACKS = """
    SELECT t.uri_id, t.actor_id, t.uri, d.cid, d.json AS record, d.indexed_at, t.created_at, t.title, t.artist, t.album,
        t.duration_seconds, t.audio_cid, t.audio_mime_type, t.audio_size_bytes, t.audio_url, t.image_cid, t.image_url,
        t.support_gate, t.visibility, t.tags, coalesce(c.like_count, 0) AS like_count,
        coalesce(c.comment_count, 0) AS comment_count,
        EXISTS (SELECT FROM plyr.takedowns WHERE subject = t.uri) AS is_taken_down
    FROM network.tracks t
    JOIN network.records d ON d.uri_id = t.uri_id AND d.json IS NOT NULL
    LEFT JOIN network.track_counters c ON c.uri_id = t.uri_id
    WHERE t.uri_id = ANY($1::bigint[])
"""
_FEATURES = """
    SELECT uri_id, actor_id FROM network.track_features WHERE uri_id = ANY($1::bigint[]) ORDER BY uri_id, position
"""
_LIKES = """
    SELECT l.uri_id, l.actor_id, named.uri, d.indexed_at, l.created_at,
        EXISTS (SELECT FROM plyr.takedowns WHERE subject = named.uri) AS is_taken_down
    FROM network.likes l
    JOIN network.records d ON d.uri_id = l.uri_id
    JOIN network.uris u ON u.uri_id = l.uri_id
    JOIN network.actors a ON a.actor_id = l.actor_id
    CROSS JOIN LATERAL (SELECT 'at://' || a.did || '/' || u.path AS uri) named
    WHERE l.uri_id = ANY($1::bigint[])
"""
_COMMENTS = """
    SELECT c.uri_id, c.actor_id, named.uri, d.cid, d.json AS record, d.indexed_at, c.created_at, c.text, c.timestamp_ms,
        EXISTS (SELECT FROM plyr.takedowns WHERE subject = named.uri) AS is_taken_down
    FROM network.comments c
    JOIN network.records d ON d.uri_id = c.uri_id AND d.json IS NOT NULL
    JOIN network.uris u ON u.uri_id = c.uri_id
    JOIN network.actors a ON a.actor_id = c.actor_id
    CROSS JOIN LATERAL (SELECT 'at://' || a.did || '/' || u.path AS uri) named
    WHERE c.uri_id = ANY($1::bigint[])
"""
_LISTS = """
    SELECT l.uri_id, l.actor_id, l.uri, d.cid, d.json AS record, d.indexed_at, l.created_at, l.name, l.purpose,
        l.description, l.image_cid, l.item_count,
        EXISTS (SELECT FROM plyr.takedowns WHERE subject = l.uri) AS is_taken_down
    FROM network.lists l
    JOIN network.records d ON d.uri_id = l.uri_id AND d.json IS NOT NULL
    WHERE l.uri_id = ANY($1::bigint[])
"""
# What is absent in an account's own profile is taken from its other one. A profile that is taken down shows nothing.
_ACTORS = f"""
    SELECT a.actor_id, a.did, CASE WHEN r.handle_verified_at IS NOT NULL THEN r.handle END AS handle, r.pds,
        r.visible AS is_visible,
        EXISTS (SELECT FROM plyr.takedowns WHERE subject = a.did) AS is_taken_down,
        coalesce(nullif(own.display_name, ''), nullif(bluesky.display_name, '')) AS display_name,
        coalesce(nullif(own.bio, ''), nullif(bluesky.bio, '')) AS bio,
        own.avatar_url, own.avatar_cid, bluesky.avatar_cid AS bluesky_avatar_cid
    FROM network.repos r
    JOIN network.actors a ON a.actor_id = r.actor_id
    LEFT JOIN network.profiles own ON own.actor_id = r.actor_id AND own.source = 'own'
        AND {sql_not_taken_down("'at://' || a.did || '/' || $2::text")}
    LEFT JOIN network.profiles bluesky ON bluesky.actor_id = r.actor_id AND bluesky.source = 'bluesky'
        AND {sql_not_taken_down("'at://' || a.did || '/' || $3::text")}
    WHERE r.actor_id = ANY($1::bigint[])
"""  # noqa: S608
# Each count is of what a listing of the same things would show.
_PROFILE_FACTS = f"""
    WITH mine AS (SELECT purpose FROM network.lists WHERE actor_id = $1 AND {sql_not_taken_down("uri")})
    SELECT
        (SELECT count(*) FROM network.tracks WHERE actor_id = $1 AND visibility = 'public'
            AND {sql_not_taken_down("uri")}) AS tracks_count,
        (SELECT count(*) FROM mine WHERE purpose = 'album') AS albums_count,
        (SELECT count(*) FROM mine WHERE purpose = 'playlist') AS playlists_count,
        (SELECT count(*)
            FROM network.likes l
            JOIN network.uris u ON u.uri_id = l.uri_id
            JOIN network.tracks t ON t.uri_id = l.subject_uri_id
            JOIN network.repos r ON r.actor_id = t.actor_id
            JOIN network.actors a ON a.actor_id = t.actor_id
            WHERE l.actor_id = $1 AND l.counted AND {sql_not_taken_down("'at://' || $2::text || '/' || u.path")}
                AND {sql_track_listed("t", "r", "a.did")}) AS likes_given_count,
        profile.created_at, profile.indexed_at
    FROM (VALUES (1)) AS one
    LEFT JOIN LATERAL (
        SELECT p.created_at, d.indexed_at
        FROM network.profiles p
        JOIN network.records d ON d.uri_id = p.uri_id
        JOIN network.uris u ON u.uri_id = p.uri_id
        WHERE p.actor_id = $1 AND {sql_not_taken_down("'at://' || $2::text || '/' || u.path")}
        ORDER BY p.source = 'own' DESC
        LIMIT 1
    ) profile ON true
"""  # noqa: S608
# Lists that contain a track, an album of the track's own author first. What somebody likes is told by likes.
_CONTAINING_LISTS = f"""
    SELECT DISTINCT l.uri_id, l.purpose IS NOT DISTINCT FROM 'album' AND l.actor_id = $2 AS is_album, l.sort_at, l.uri
    FROM network.list_items i
    JOIN network.lists l ON l.uri_id = i.uri_id
    JOIN network.repos r ON r.actor_id = l.actor_id
    JOIN network.actors a ON a.actor_id = l.actor_id
    WHERE i.subject_uri_id = $1 AND l.purpose IS DISTINCT FROM 'liked' AND {sql_record_shown("r", "a.did", "l.uri")}
    ORDER BY is_album DESC, l.sort_at DESC, l.uri DESC
    LIMIT $3
"""  # noqa: S608


async def hydrate(
    connection: asyncpg.Connection,
    namespace: str,
    *,
    tracks: Sequence[int] = (),
    likes: Sequence[int] = (),
    comments: Sequence[int] = (),
    lists: Sequence[int] = (),
    actors: Sequence[int] = (),
) -> State:
    """Return the rows of these numbers and of every account that they name."""
    state = State()
    actor_ids = set(actors)
    if tracks:
        state.tracks = {row.uri_id: row for row in map(TrackRow._make, await connection.fetch(_TRACKS, tracks))}
        for row in await connection.fetch(_FEATURES, tracks):
            state.features.setdefault(row["uri_id"], []).append(row["actor_id"])
            actor_ids.add(row["actor_id"])
    if likes:
        state.likes = {row.uri_id: row for row in map(LikeRow._make, await connection.fetch(_LIKES, likes))}
    if comments:
        state.comments = {row.uri_id: row for row in map(CommentRow._make, await connection.fetch(_COMMENTS, comments))}
    if lists:
        state.lists = {row.uri_id: row for row in map(ListRow._make, await connection.fetch(_LISTS, lists))}
    records: tuple[dict[int, Any], ...] = (state.tracks, state.likes, state.comments, state.lists)
    for rows in records:
        actor_ids.update(row.actor_id for row in rows.values())
    if actor_ids:
        found = await connection.fetch(_ACTORS, list(actor_ids), f"{namespace}.{_OWN_PROFILE}", BLUESKY_PROFILE_PATH)
        state.actors = {row.actor_id: row for row in map(ActorRow._make, found)}
    return state


async def profile_facts(connection: asyncpg.Connection, actor: ActorRow) -> ProfileFacts:
    """Return the counts of an account and the times of its profile."""
    return ProfileFacts(**await connection.fetchrow(_PROFILE_FACTS, actor.actor_id, actor.did))


async def containing_lists(connection: asyncpg.Connection, track: TrackRow, limit: int) -> tuple[int | None, list[int]]:
    """Return the author's album that contains a track, if there is one, and other lists that do, newest first."""
    rows = await connection.fetch(_CONTAINING_LISTS, track.uri_id, track.actor_id, limit)
    album = rows[0]["uri_id"] if rows and rows[0]["is_album"] else None
    return album, [row["uri_id"] for row in rows if row["uri_id"] != album]
