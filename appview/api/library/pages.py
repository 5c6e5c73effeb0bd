"""What every method does that answers with lists: hydrate them, keep what is shown, make views."""

from appview.feeds.pages import Page
from appview.service import Context
from appview.views.formats import present
from appview.views.library import list_view_basic
from appview.visibility import Seen, shown
from appview.xrpc.call import Output


async def page_of_lists(context: Context, page: Page) -> Output:
    """Return a page of lists and where the next one begins."""
    state = await context.hydrate(lists=page.uri_ids)
    lists = [list_view_basic(row, state) for row in shown(state.lists, page.uri_ids, state, Seen.LISTING)]
    return present({"cursor": context.call.cursor(page.last), "lists": lists})
