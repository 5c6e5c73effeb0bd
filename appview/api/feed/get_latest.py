"""feed.getLatest: the newest public tracks."""

from appview.api.tracks import page_of_tracks
from appview.feeds.tracks import latest
from appview.service import Context
from appview.visibility import UNWANTED_TAGS, Seen
from appview.xrpc.call import Output


async def get_latest(context: Context) -> Output:
    """Return a page of the newest tracks. Without a word on what to leave out, that is what most do not want."""
    call = context.call
    tags = call.texts("tags")
    has_chosen = "excludeTags" in call.parameters
    excluded = call.texts("excludeTags") if has_chosen else [tag for tag in UNWANTED_TAGS if tag not in tags]
    page = await latest(context.connection, context.asker, tags, excluded, call.integer("limit"), call.after())
    return await page_of_tracks(context, page, Seen.DISCOVERY)
