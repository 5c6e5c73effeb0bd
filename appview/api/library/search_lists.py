"""library.searchLists: albums, playlists and other lists by name."""

from appview import searches
from appview.api.library.pages import page_of_lists
from appview.service import Context
from appview.xrpc.call import Output
from database.search_text import query_of


async def search_lists(context: Context) -> Output:
    """Return a page of the lists that are found; with `purpose` only those of that type."""
    call, after = context.call, context.call.after()
    query, purpose = query_of(call.text("q")), call.optional_text("purpose")
    page = searches.NOTHING
    if query is not None:
        limit = call.integer("limit")
        page = await searches.lists(context.connection, context.asker, query, limit, after, purpose=purpose)
    return await page_of_lists(context, page)
