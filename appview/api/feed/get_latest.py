"""feed.getLatest: the newest public tracks."""

from appview import feeds
from appview.hydration import hydrate
from appview.service import Context
from appview.views.feed import track_view
from appview.views.formats import present
from appview.visibility import Seen, shown
from appview.xrpc.call import Output


async def get_latest(context: Context) -> Output:
    """Return a page of the newest tracks."""
    call = context.call
    page = await feeds.latest(
        context.connection, call.texts("tags"), call.texts("excludeTags"), call.integer("limit"), call.after()
    )
    state = await hydrate(context.connection, context.settings.namespace, tracks=page.uri_ids)
    tracks = shown(state.tracks, page.uri_ids, state, Seen.LISTING)
    return present({"cursor": call.cursor(page.last), "tracks": [track_view(track, state) for track in tracks]})
