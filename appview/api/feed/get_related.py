"""feed.getRelated: what those like who like a track."""

from appview.api.feed.subject import subject_track
from appview.api.tracks import tracks_of
from appview.feeds import suggestions
from appview.service import Context
from appview.visibility import Seen
from appview.xrpc.call import Output


async def get_related(context: Context) -> Output:
    """Return tracks that go with one; while nobody's likes tell, those with its tags or its artist, and say so."""
    call, connection, asker = context.call, context.connection, context.asker
    track, limit = await subject_track(context), call.integer("limit")
    found = await suggestions.related(connection, asker, track.uri_id, call.called_at, limit)
    is_cold_start = not found
    if is_cold_start:
        found = await suggestions.alike(connection, asker, track.uri_id, call.called_at, limit)
    tracks = await tracks_of(context, found, Seen.DISCOVERY)
    return {"uri": track.uri, "tracks": tracks, "coldStart": is_cold_start}
