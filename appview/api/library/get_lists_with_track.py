"""library.getListsWithTrack: the lists that contain a track."""

from appview.api.feed.subject import subject_track
from appview.api.library.pages import page_of_lists
from appview.feeds.lists import with_track
from appview.service import Context
from appview.xrpc.call import Output


async def get_lists_with_track(context: Context) -> Output:
    """Return a page of the lists that contain a track, the newest first."""
    call = context.call
    after = call.after()
    track = await subject_track(context)
    page = await with_track(context.connection, context.asker, track.uri_id, call.integer("limit"), after)
    return await page_of_lists(context, page)
