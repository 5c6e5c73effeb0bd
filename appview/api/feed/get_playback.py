"""feed.getPlayback: whether and where a track can be played.

Whether it may be, whether it is there and how sure that is are three answers: `access`, `sources`, `integrity`. Nothing
is mirrored yet, so every source is somebody else's host.
"""

from appview.api.feed.subject import subject_track_of
from appview.rows import ActorRow, TrackRow
from appview.service import Context
from appview.views.formats import blob_url, present, web_url
from appview.xrpc.call import Output

_GRANTED, _SUPPORT_REQUIRED, _UNAVAILABLE = "granted", "supportRequired", "unavailable"


async def get_playback(context: Context) -> Output:
    """Return how to play a track."""
    track, state = await subject_track_of(context)
    is_own = context.asker.actor_id == track.actor_id
    if track.content.support_gate is not None and not is_own:
        return {"uri": track.uri, "access": _SUPPORT_REQUIRED, "sources": []}
    sources = _sources(track, state.actors[track.actor_id])
    return {"uri": track.uri, "access": _GRANTED if sources else _UNAVAILABLE, "sources": sources}


def _sources(track: TrackRow, author: ActorRow) -> list[Output]:
    sources: list[Output] = []
    if (url := blob_url(author.pds, author.did, track.content.audio_cid)) is not None:
        sources.append(_source(url, "pds", track))
    if (url := web_url(track.content.audio_url)) is not None:
        sources.append(_source(url, "external", track))
    return sources


def _source(url: str, origin: str, track: TrackRow) -> Output:
    is_blob = origin == "pds"
    return present({
        "url": url,
        "mimeType": track.content.audio_mime_type if is_blob else None,
        "kind": "original",
        "origin": origin,
        "integrity": "unverified",
        "cid": track.content.audio_cid if is_blob else None,
    })  # fmt: skip
