"""feed.getLikes: who likes a track."""

from appview.api.feed.subject import subject_track
from appview.feeds import reactions
from appview.service import Context
from appview.views.feed import like_view
from appview.views.formats import present
from appview.visibility import Seen, shown
from appview.xrpc.call import Output


async def get_likes(context: Context) -> Output:
    """Return a page of the likes of a track, newest first."""
    call, after = context.call, context.call.after()
    track = await subject_track(context)
    page = await reactions.likes(context.connection, context.asker, track.uri_id, call.integer("limit"), after)
    state = await context.hydrate(likes=page.uri_ids)
    likes = shown(state.likes, page.uri_ids, state, Seen.LISTING)
    views = [like_view(like, state) for like in likes]
    return present({"uri": track.uri, "cursor": call.cursor(page.last), "likes": views})
