"""feed.getTagged: the newest tracks with a tag."""

from appview.api.tracks import page_of_tracks
from appview.feeds.tracks import latest
from appview.service import Context
from appview.visibility import UNWANTED_TAGS, Seen
from appview.xrpc.call import Output


async def get_tagged(context: Context) -> Output:
    """Return a page of the newest tracks with a tag, as it is written."""
    call = context.call
    tag = call.text("tag")
    excluded = [unwanted for unwanted in UNWANTED_TAGS if unwanted != tag]
    page = await latest(context.connection, context.asker, [tag], excluded, call.integer("limit"), call.after())
    return await page_of_tracks(context, page, Seen.DISCOVERY)
