"""feed.getTags: the tags that tracks have, with how many have each."""

from appview.service import Context
from appview.tags import tags
from appview.views.feed import tag_view
from appview.views.formats import present
from appview.xrpc.call import Output
from database.search_text import normalize


async def get_tags(context: Context) -> Output:
    """Return a page of tags in the order of their letters, of all or of those that begin with `q`."""
    call = context.call
    after, prefix = call.after(), normalize(call.text("q")) if "q" in call.parameters else ""
    if "q" in call.parameters and not prefix:
        return {"tags": []}
    found, last = await tags(context.connection, context.asker, prefix, call.integer("limit"), after)
    return present({"cursor": call.cursor(last), "tags": [tag_view(each.tag, each.track_count) for each in found]})
