"""feed.getTracks: several tracks by their URIs."""

from appview.lookup import uri_ids_of
from appview.service import Context
from appview.views.feed import track_view
from appview.views.formats import typed
from appview.visibility import Seen, shown
from appview.xrpc.call import Output


async def get_tracks(context: Context) -> Output:
    """Return one item for every URI, in order: the track, or that there is none to show."""
    uris, settings = context.call.texts("uris"), context.settings
    uri_ids = await uri_ids_of(context.connection, uris)
    known = list({uri_id: None for uri_id in uri_ids if uri_id is not None})
    state = await context.hydrate(tracks=known)
    kind = settings.nsid("feed.defs#trackView")
    views = {
        track.uri_id: typed(kind, track_view(track, state)) for track in shown(state.tracks, known, state, Seen.DIRECT)
    }
    missing = settings.nsid("feed.defs#notFoundTrack")
    return {
        "tracks": [
            views[uri_id]
            if uri_id is not None and uri_id in views
            else {"$type": missing, "uri": uri, "notFound": True}
            for uri, uri_id in zip(uris, uri_ids, strict=True)
        ]
    }
