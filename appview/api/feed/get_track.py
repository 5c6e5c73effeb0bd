"""feed.getTrack: one track on a page of its own."""

from appview.api.not_found import TRACK_NOT_FOUND, not_found
from appview.hydration import containing_lists, hydrate
from appview.lookup import uri_id_of
from appview.rows import State
from appview.service import Context
from appview.views.feed import track_view_detailed
from appview.visibility import Seen, shown
from appview.xrpc.call import Output

_LISTS = 10


async def get_track(context: Context) -> Output:
    """Return a track with its album, lists and credits."""
    connection, namespace = context.connection, context.settings.namespace
    uri_id = await uri_id_of(connection, context.call.text("uri"))
    uri_ids = [] if uri_id is None else [uri_id]
    state = await hydrate(connection, namespace, tracks=uri_ids)
    tracks = shown(state.tracks, uri_ids, state, Seen.DIRECT)
    if not tracks:
        raise not_found(TRACK_NOT_FOUND)
    album, lists = await containing_lists(connection, tracks[0], _LISTS)
    around = await hydrate(connection, namespace, lists=lists if album is None else [album, *lists])
    state = State(state.actors | around.actors, state.tracks, state.features, lists=around.lists)
    return track_view_detailed(tracks[0], state, album, lists)
