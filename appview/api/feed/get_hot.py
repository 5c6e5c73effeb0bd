"""feed.getHot: what is liked now."""

from appview.api.tracks import page_of_tracks
from appview.feeds.ranked import HOT, ranked
from appview.service import Context
from appview.visibility import Seen
from appview.xrpc.call import Output


async def get_hot(context: Context) -> Output:
    """Return a page of the tracks that are hottest."""
    call = context.call
    page = await ranked(context.connection, context.asker, HOT, call.integer("limit"), call.after())
    return await page_of_tracks(context, page, Seen.DISCOVERY)
