"""feed.recordPlay: a track was played.

Of one listener a track counts once in the time that it lasts. Whoever is not signed in is told from others by their
address, which is kept as a hash under a key that no disk has seen, and only for as long as it is needed.
"""

from appview.api.not_found import TRACK_NOT_FOUND, not_found
from appview.lookup import uri_id_of
from appview.plays import Play, record
from appview.service import Context
from appview.visibility import Seen, shown
from appview.xrpc.call import Output


async def record_play(context: Context) -> Output:
    """Count a play, unless it is one too many."""
    connection, body = context.connection, context.call.body
    uri_id = await uri_id_of(connection, str(body["uri"]))
    uri_ids = [] if uri_id is None else [uri_id]
    state = await context.hydrate(tracks=uri_ids)
    tracks = shown(state.tracks, uri_ids, state, Seen.DIRECT)
    if not tracks:
        raise not_found(TRACK_NOT_FOUND)
    track = tracks[0]
    play = Play(
        track.uri,
        None if context.viewer is None else context.viewer.did,
        context.call.address,
        str(body["idempotencyKey"]),
        track.content.duration_seconds,
        context.call.called_at,
        context.listener_key,
    )
    is_counted, count = await record(connection, play)
    # What was imported from the time before counts besides.
    return {"counted": is_counted, "playCount": count + track.state.imported_play_count}
