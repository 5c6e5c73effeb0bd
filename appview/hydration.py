"""Load everything that an answer shows, with as many statements for a hundred items as for one.

One statement for each kind of record, one for all accounts that any of them names, one for labels where there are any, and
one for what the viewer likes. What a track's record says is read once for each version of its row. Whether something may be
shown is not decided here: the rows carry the facts.
"""

from collections.abc import Sequence
from typing import Any, Final

import asyncpg

from appview.media.places import MediaPlaces
from appview.rows import (
    ActorRow,
    CommentRow,
    LabelRow,
    LikeRow,
    ListRow,
    State,
    TrackContent,
    TrackRow,
    TrackState,
)
from appview.track_contents import TrackContents
from appview.viewer import Asker
from appview.visibility import SQL_LABEL_HOLDS, Seen, SqlRules

BLUESKY_PROFILE_PATH = "app.bsky.actor.profile/self"
_OWN_PROFILE = "actor.profile/self"

# How a track `t` stands, and what that is read from.
SQL_TRACK_STATE: Final = """
    t.uri_id, t.xmin AS version, coalesce(c.like_count, 0) AS like_count,
    coalesce(c.comment_count, 0) AS comment_count,
    coalesce(p.play_count, 0) AS own_play_count, coalesce(o.play_count, 0) AS imported_play_count,
    CASE WHEN o.visibility = 'unlisted' AND NOT t.says_visibility THEN 'unlisted' ELSE t.visibility END AS visibility,
    o.album_image_url,
    EXISTS (SELECT FROM plyr.takedowns WHERE subject = t.uri) AS is_taken_down,
    EXISTS (SELECT FROM network.labels WHERE uri = t.uri) AS has_labels
"""
SQL_TRACK_STANDING: Final = """
    LEFT JOIN network.track_counters c ON c.uri_id = t.uri_id
    LEFT JOIN plyr.play_counters p ON p.subject = t.uri
    LEFT JOIN plyr.track_overlays o ON o.uri = t.uri
"""
_TRACK_STATES = f"""
    SELECT {SQL_TRACK_STATE} FROM network.tracks t {SQL_TRACK_STANDING} WHERE t.uri_id = ANY($1::bigint[])
"""
_TRACK_CONTENTS = """
    SELECT t.uri_id, t.xmin AS version, t.actor_id, t.uri, d.cid, d.json AS record, d.indexed_at, t.created_at, t.title,
        t.artist, t.album, t.duration_seconds, t.audio_cid, t.audio_mime_type, t.audio_size_bytes, t.audio_url, t.image_cid,
        t.image_url, t.support_gate, t.tags,
        ARRAY(SELECT f.actor_id FROM network.track_features f WHERE f.uri_id = t.uri_id ORDER BY f.position) AS features
    FROM network.tracks t
    JOIN network.records d ON d.uri_id = t.uri_id AND d.json IS NOT NULL
    WHERE t.uri_id = ANY($1::bigint[])
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
    SELECT l.uri_id, l.actor_id, l.uri, d.cid, d.json AS record, d.indexed_at, l.created_at, l.name, l.slug, l.purpose,
        l.description, l.image_cid, l.item_count,
        EXISTS (SELECT FROM plyr.takedowns WHERE subject = l.uri) AS is_taken_down
    FROM network.lists l
    JOIN network.records d ON d.uri_id = l.uri_id AND d.json IS NOT NULL
    WHERE l.uri_id = ANY($1::bigint[])
"""
# What is absent in an account's own profile is taken from its other one. A profile that is taken down, here or by a label,
# shows nothing.
_PROFILE_SHOWN = SqlRules(Seen.DIRECT, is_anonymous=False).record_of_shown
_ACTORS = f"""
    SELECT a.actor_id, a.did, CASE WHEN r.handle_verified_at IS NOT NULL THEN r.handle END AS handle, r.pds,
        r.visible AS is_visible,
        EXISTS (SELECT FROM plyr.takedowns WHERE subject = a.did) AS is_taken_down,
        coalesce(nullif(own.display_name, ''), nullif(bluesky.display_name, '')) AS display_name,
        coalesce(nullif(own.bio, ''), nullif(bluesky.bio, '')) AS bio,
        own.avatar_url, own.avatar_cid, bluesky.avatar_cid AS bluesky_avatar_cid,
        EXISTS (
            SELECT FROM network.labels
            WHERE uri IN (a.did, 'at://' || a.did || '/' || $2::text, 'at://' || a.did || '/' || $3::text)
        ) AS has_labels
    FROM network.repos r
    JOIN network.actors a ON a.actor_id = r.actor_id
    LEFT JOIN network.profiles own ON own.actor_id = r.actor_id AND own.source = 'own'
        AND {_PROFILE_SHOWN("'at://' || a.did || '/' || $2::text", "own.uri_id")}
    LEFT JOIN network.profiles bluesky ON bluesky.actor_id = r.actor_id AND bluesky.source = 'bluesky'
        AND {_PROFILE_SHOWN("'at://' || a.did || '/' || $3::text", "bluesky.uri_id")}
    WHERE r.actor_id = ANY($1::bigint[])
"""
_LABELS = f"""
    SELECT l.uri, l.src, l.val, l.cid, l.created_at, l.expires_at
    FROM network.labels l
    WHERE l.uri = ANY($1::text[]) AND {SQL_LABEL_HOLDS}
    ORDER BY l.uri, l.src, l.val
"""
_VIEWER_LIKES = """
    SELECT l.subject_uri_id, 'at://' || a.did || '/' || u.path AS uri
    FROM network.likes l
    JOIN network.uris u ON u.uri_id = l.uri_id
    JOIN network.actors a ON a.actor_id = l.actor_id
    WHERE l.actor_id = $1 AND l.subject_uri_id = ANY($2::bigint[]) AND l.counted
"""
_VIEWER_FOLLOWS = """
    SELECT f.actor_id = $1 AS is_viewers, CASE WHEN f.actor_id = $1 THEN f.subject_actor_id ELSE f.actor_id END AS actor_id,
        min('at://' || a.did || '/' || u.path) AS uri
    FROM (
        SELECT * FROM network.follows WHERE actor_id = $1 AND subject_actor_id = ANY($2::bigint[])
        UNION SELECT * FROM network.follows WHERE actor_id = ANY($2::bigint[]) AND subject_actor_id = $1
    ) f
    JOIN network.uris u ON u.uri_id = f.uri_id
    JOIN network.actors a ON a.actor_id = f.actor_id
    GROUP BY 1, 2
"""


async def add_viewer_follows(connection: asyncpg.Connection, state: State) -> None:
    """Load by which records the viewer follows the accounts of the state, and they the viewer."""
    if state.asker.actor_id is None or not state.actors:
        return
    for is_viewers, actor_id, uri in await connection.fetch(_VIEWER_FOLLOWS, state.asker.actor_id, list(state.actors)):
        (state.following if is_viewers else state.followed_by)[actor_id] = uri


async def hydrate(
    connection: asyncpg.Connection,
    namespace: str,
    asker: Asker,
    contents: TrackContents,
    places: MediaPlaces,
    *,
    tracks: Sequence[int] = (),
    likes: Sequence[int] = (),
    comments: Sequence[int] = (),
    lists: Sequence[int] = (),
    actors: Sequence[int] = (),
    track_states: Sequence[TrackState] | None = None,
) -> State:
    """Return the rows of these numbers, of every account that they name, their labels, and what the viewer likes.

    How the tracks stand is asked unless it is known already.
    """
    own_path = f"{namespace}.{_OWN_PROFILE}"
    state = State(asker, places, profile_paths=(own_path, BLUESKY_PROFILE_PATH))
    actor_ids = set(actors)
    if tracks:
        state.tracks = await _tracks(connection, contents, tracks, track_states)
        for track in state.tracks.values():
            actor_ids.add(track.content.actor_id)
            if track.content.features:
                actor_ids.update(track.content.features)
        if asker.actor_id is not None:
            state.viewer_likes = dict(await connection.fetch(_VIEWER_LIKES, asker.actor_id, tracks))
    if likes:
        state.likes = {row.uri_id: row for row in map(LikeRow._make, await connection.fetch(_LIKES, likes))}
    if comments:
        state.comments = {row.uri_id: row for row in map(CommentRow._make, await connection.fetch(_COMMENTS, comments))}
    if lists:
        state.lists = {row.uri_id: row for row in map(ListRow._make, await connection.fetch(_LISTS, lists))}
    records: tuple[dict[int, Any], ...] = (state.likes, state.comments, state.lists)
    for rows in records:
        actor_ids.update(row.actor_id for row in rows.values())
    if actor_ids:
        found = await connection.fetch(_ACTORS, list(actor_ids), own_path, BLUESKY_PROFILE_PATH)
        state.actors = {row.actor_id: row for row in map(ActorRow._make, found)}
        await _add_labels(connection, state)
    return state


async def _tracks(
    connection: asyncpg.Connection,
    contents: TrackContents,
    uri_ids: Sequence[int],
    states: Sequence[TrackState] | None,
) -> dict[int, TrackRow]:
    if states is None:
        states = [TrackState._make(row) for row in await connection.fetch(_TRACK_STATES, uri_ids)]
    found: dict[int, TrackRow] = {}
    unread: dict[int, TrackState] = {}
    for each in states:
        content = contents.get(each.uri_id, each.version)
        if content is None:
            unread[each.uri_id] = each
        else:
            found[each.uri_id] = TrackRow(content, each)
    if unread:
        read = [TrackContent(*row) for row in await connection.fetch(_TRACK_CONTENTS, list(unread))]
        contents.put(read)
        found |= {content.uri_id: TrackRow(content, unread[content.uri_id]) for content in read}
    return found


async def _add_labels(connection: asyncpg.Connection, state: State) -> None:
    """Load what is stated about everything in the state; a label of another version of a record is left out."""
    subjects = [row.uri for row in state.tracks.values() if row.state.has_labels]
    for rows in (state.likes, state.comments, state.lists):
        subjects += [row.uri for row in rows.values()]
    for actor in state.actors.values():
        if actor.has_labels:
            subjects += state.subjects_of(actor)
    if not subjects:
        return
    versions = {row.uri: row.cid for rows in (state.tracks, state.comments, state.lists) for row in rows.values()}
    for row in await connection.fetch(_LABELS, subjects):
        label = LabelRow._make(row)
        if not label.cid or label.uri not in versions or label.cid == versions[label.uri]:
            state.labels.setdefault(label.uri, []).append(label)
