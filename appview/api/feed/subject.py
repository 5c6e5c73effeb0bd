"""The track that a method is asked about."""

from appview.api.not_found import TRACK_NOT_FOUND, not_found
from appview.lookup import uri_id_of
from appview.rows import State, TrackRow
from appview.service import Context
from appview.visibility import Seen, shown


async def subject_track(context: Context) -> TrackRow:
    """Return the track that the parameter `uri` names.

    Raises XrpcError when it is not there, or hidden.
    """
    return (await subject_track_of(context))[0]


async def subject_track_of(context: Context) -> tuple[TrackRow, State]:
    """Return the same, and what was loaded with it."""
    uri_id = await uri_id_of(context.connection, context.call.text("uri"))
    uri_ids = [] if uri_id is None else [uri_id]
    state = await context.hydrate(tracks=uri_ids)
    tracks = shown(state.tracks, uri_ids, state, Seen.DIRECT)
    if not tracks:
        raise not_found(TRACK_NOT_FOUND)
    return tracks[0], state
