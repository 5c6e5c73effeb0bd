"""index.resolveLegacyId: what an old link leads to, whose number an operator has imported."""

from appview.api.not_found import TRACK_NOT_FOUND, not_found
from appview.lookup import uri_id_of
from appview.service import Context
from appview.visibility import Seen, shown
from appview.xrpc.call import Output

_URI = "SELECT uri FROM plyr.track_overlays WHERE legacy_id = $1"


async def resolve_legacy_id(context: Context) -> Output:
    """Return the URI of the track that had a number."""
    connection = context.connection
    uri = await connection.fetchval(_URI, context.call.integer("id"))
    uri_id = None if uri is None else await uri_id_of(connection, uri)
    uri_ids = [] if uri_id is None else [uri_id]
    state = await context.hydrate(tracks=uri_ids)
    tracks = shown(state.tracks, uri_ids, state, Seen.DIRECT)
    if not tracks:
        raise not_found(TRACK_NOT_FOUND)
    return {"uri": tracks[0].uri}
