"""feed.getComments: what is said about a track."""

from appview.api.feed.subject import subject_track
from appview.api.words import known_word
from appview.feeds.reactions import comments_by_moment, comments_newest_first
from appview.service import Context
from appview.views.feed import comment_view
from appview.views.formats import present
from appview.visibility import Seen, shown
from appview.xrpc.call import Output

_SORTS = {"timestamp": comments_by_moment, "recent": comments_newest_first}


async def get_comments(context: Context) -> Output:
    """Return a page of the comments on a track, by its moments or newest first."""
    call, after = context.call, context.call.after()
    comments_of = _SORTS[known_word(call, "sort", _SORTS)]
    track = await subject_track(context)
    page = await comments_of(context.connection, context.asker, track.uri_id, call.integer("limit"), after)
    state = await context.hydrate(comments=page.uri_ids)
    comments = shown(state.comments, page.uri_ids, state, Seen.LISTING)
    views = [comment_view(comment, state) for comment in comments]
    return present({"uri": track.uri, "cursor": call.cursor(page.last), "comments": views})
