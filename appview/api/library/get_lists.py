"""library.getLists: several lists by their URIs."""

from appview.lookup import uri_ids_of
from appview.service import Context
from appview.views.library import list_view
from appview.visibility import Seen, shown
from appview.xrpc.call import Output


async def get_lists(context: Context) -> Output:
    """Return those of the lists that are there, in the order in which they were asked for; each without its items."""
    found = await uri_ids_of(context.connection, context.call.texts("uris"))
    known = list({uri_id: None for uri_id in found if uri_id is not None})
    state = await context.hydrate(lists=known)
    return {"lists": [list_view(row, state) for row in shown(state.lists, known, state, Seen.DIRECT)]}
