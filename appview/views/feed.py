"""Tracks, likes and comments as JSON: feed.defs. The record goes into a view byte for byte."""

from appview.rows import ActorRow, CommentRow, LikeRow, State, TrackRow
from appview.views.actor import profile_view_basic
from appview.views.formats import blob_url, cid_text, instant_text, present, updated_at, verbatim, web_url
from appview.views.labels import label_views
from appview.views.library import list_view_basic
from appview.visibility import Seen, shown, shown_actor
from appview.xrpc.call import Output


def track_view(track: TrackRow, state: State) -> Output:
    """Return a track: feed.defs#trackView."""
    author = state.actors[track.actor_id]
    return present({
        "uri": track.uri,
        "cid": cid_text(track.cid),
        "author": profile_view_basic(author, state),
        "record": verbatim(track.record),
        "audio": _audio_view(track, author),
        "imageUrl": web_url(track.image_url)
        or blob_url(author.pds, author.did, track.image_cid)
        or web_url(track.album_image_url),
        "title": track.title,
        "artist": track.artist,
        "album": track.album,
        "durationSeconds": track.duration_seconds,
        "tags": track.tags,
        "features": [profile_view_basic(actor, state) for actor in _features(track, state)],
        "visibility": track.visibility,
        "supportGate": None if track.support_gate is None else {"type": track.support_gate},
        "likeCount": track.like_count,
        "commentCount": track.comment_count,
        "playCount": track.play_count,
        "createdAt": track.created_at,
        "indexedAt": instant_text(track.indexed_at),
        "labels": label_views((track.uri,), state),
        "viewer": _viewer_state(track, state),
    })  # fmt: skip


def track_view_detailed(track: TrackRow, state: State, album: int | None, lists: list[int]) -> Output:
    """Return a track with the album and lists that contain it, by number, and its credits: feed.defs#trackViewDetailed."""
    author = state.actors[track.actor_id]
    albums = shown(state.lists, [] if album is None else [album], state, Seen.DIRECT)
    containing = shown(state.lists, lists, state, Seen.DIRECT)
    credited: list[Output] = [{"role": "artist", "name": track.artist, "actor": profile_view_basic(author, state)}]
    for actor in _features(track, state):
        credit = {"role": "featured", "name": actor.display_name, "actor": profile_view_basic(actor, state)}
        credited.append(present(credit))
    details = {
        "albumList": list_view_basic(albums[0], state) if albums else None,
        "lists": [list_view_basic(row, state) for row in containing],
        "credits": credited,
    }
    return track_view(track, state) | present(details)


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


def _viewer_state(track: TrackRow, state: State) -> Output | None:
    return None if state.viewer is None else present({"like": state.viewer_likes.get(track.uri_id)})


def _audio_view(track: TrackRow, author: ActorRow) -> Output:
    return present({
        "cid": track.audio_cid,
        "mimeType": track.audio_mime_type,
        "sizeBytes": track.audio_size_bytes,
        "url": web_url(track.audio_url) or blob_url(author.pds, author.did, track.audio_cid),
    })  # fmt: skip


def _features(track: TrackRow, state: State) -> list[ActorRow]:
    credited = (shown_actor(actor_id, state) for actor_id in state.features.get(track.uri_id, []))
    return [actor for actor in credited if actor is not None]
