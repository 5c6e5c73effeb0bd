"""feed.getTimeline: the tracks of those whom the viewer follows."""

from appview.api.tracks import page_of_tracks
from appview.feeds.pages import Page
from appview.feeds.tracks import timeline
from appview.service import Context
from appview.visibility import Seen
from appview.xrpc.call import Output


async def get_timeline(context: Context) -> Output:
    """Return a page of the newest tracks of those whom the viewer follows."""
    viewer, call = context.required_viewer(), context.call
    after = call.after()
    if viewer.actor_id is None:
        return await page_of_tracks(context, Page([], None), Seen.LISTING)
    page = await timeline(context.connection, context.asker, call.integer("limit"), after)
    return await page_of_tracks(context, page, Seen.LISTING)
