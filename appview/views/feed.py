"""Tracks, likes and comments as JSON: feed.defs. The record goes into a view byte for byte."""

from typing import Final

import orjson

from appview.rows import ActorRow, CommentRow, LikeRow, State, TrackContent, TrackRow
from appview.views.actor import profile_view_basic
from appview.views.formats import cid_text, instant_text, present, updated_at, verbatim, web_url
from appview.views.labels import label_views
from appview.views.library import list_view_basic
from appview.visibility import Seen, shown, shown_actor
from appview.xrpc.call import Output

# The size in which covers are shown.
COVER: Final = "cover"


def track_view(track: TrackRow, state: State) -> orjson.Fragment:
    """Return a track: feed.defs#trackView.

    What is the same for everybody is written once for as long as all that it is made of stays the same.
    """
    content, standing = track.content, track.state
    author, features = state.actors[content.actor_id], _features(content, state)
    made_of = (author, features, standing[2:8], _labels_of(track, author, features, state))
    if content.rendered is None or content.rendered[0] != made_of:
        content.rendered = made_of, orjson.dumps(_track_fields(track, author, features, state))
    written = content.rendered[1]
    if state.viewer is None:
        return orjson.Fragment(written)
    return orjson.Fragment(written[:-1] + b',"viewer":' + orjson.dumps(_viewer_state(track, state)) + b"}")


def track_view_detailed(track: TrackRow, state: State, album: int | None, lists: list[int]) -> Output:
    """Return a track with the album and lists that contain it, by number, and its credits: feed.defs#trackViewDetailed."""
    author, features = state.actors[track.actor_id], _features(track.content, state)
    albums = shown(state.lists, [] if album is None else [album], state, Seen.DIRECT)
    containing = shown(state.lists, lists, state, Seen.DIRECT)
    credited: list[Output] = [
        {"role": "artist", "name": track.content.artist, "actor": profile_view_basic(author, state)}
    ]
    for actor in features:
        credit = {"role": "featured", "name": actor.display_name, "actor": profile_view_basic(actor, state)}
        credited.append(present(credit))
    details = {
        "viewer": None if state.viewer is None else _viewer_state(track, state),
        "albumList": list_view_basic(albums[0], state) if albums else None,
        "lists": [list_view_basic(row, state) for row in containing],
        "credits": credited,
    }
    return _track_fields(track, author, features, state) | present(details)


def _track_fields(track: TrackRow, author: ActorRow, features: tuple[ActorRow, ...], state: State) -> Output:
    content, standing = track.content, track.state
    return present({
        "uri": content.uri,
        "cid": cid_text(content.cid),
        "author": profile_view_basic(author, state),
        "record": verbatim(content.record),
        "audio": _audio_view(content, author, state),
        "imageUrl": state.places.image(COVER, author.did, content.image_cid)
        or state.places.believed(content.image_url)
        or web_url(standing.album_image_url),
        "title": content.title,
        "artist": content.artist,
        "album": content.album,
        "durationSeconds": content.duration_seconds,
        "tags": content.tags,
        "features": [profile_view_basic(actor, state) for actor in features],
        "visibility": standing.visibility,
        "supportGate": None if content.support_gate is None else {"type": content.support_gate},
        "likeCount": standing.like_count,
        "commentCount": standing.comment_count,
        "playCount": track.play_count,
        "createdAt": content.created_at,
        "indexedAt": instant_text(content.indexed_at),
        "labels": label_views((content.uri,), state),
    })  # fmt: skip


def _labels_of(track: TrackRow, author: ActorRow, features: tuple[ActorRow, ...], state: State) -> object:
    """Return all that decides about the labels in a view."""
    if not state.labels:
        return None
    subjects = [track.uri, *state.subjects_of(author)]
    for actor in features:
        subjects += state.subjects_of(actor)
    return state.asker.labelers, [state.labels.get(subject) for subject in subjects]


def tag_view(tag: str, track_count: int) -> Output:
    """Return a tag and how many tracks have it: feed.getTags#tagView."""
    return {"tag": tag, "trackCount": track_count}


def like_view(like: LikeRow, state: State) -> Output:
    """Return a like: feed.defs#likeView."""
    return {
        "uri": like.uri,
        "actor": profile_view_basic(state.actors[like.actor_id], state),
        "createdAt": like.created_at,
        "indexedAt": instant_text(like.indexed_at),
    }


def comment_view(comment: CommentRow, state: State) -> Output:
    """Return a comment: feed.defs#commentView."""
    return present({
        "uri": comment.uri,
        "cid": cid_text(comment.cid),
        "author": profile_view_basic(state.actors[comment.actor_id], state),
        "record": verbatim(comment.record),
        "text": comment.text,
        "timestampMs": comment.timestamp_ms,
        "createdAt": comment.created_at,
        "updatedAt": updated_at(comment.record),
        "indexedAt": instant_text(comment.indexed_at),
        "labels": label_views((comment.uri,), state),
    })  # fmt: skip


def _viewer_state(track: TrackRow, state: State) -> Output:
    return present({"like": state.viewer_likes.get(track.uri_id)})


def _audio_view(content: TrackContent, author: ActorRow, state: State) -> Output:
    url = None
    # Where a gated track is heard is for feed.getPlayback to say, to whoever may.
    if content.support_gate is None:
        if content.audio_cid is not None:
            url = state.places.audio(author.did, content.audio_cid)
        else:
            url = state.places.believed(content.audio_url)
    return present({
        "cid": content.audio_cid,
        "mimeType": content.audio_mime_type,
        "sizeBytes": content.audio_size_bytes,
        "url": url,
    })  # fmt: skip


def _features(content: TrackContent, state: State) -> tuple[ActorRow, ...]:
    if not content.features:
        return ()
    credited = (shown_actor(actor_id, state) for actor_id in content.features)
    return tuple(actor for actor in credited if actor is not None)
