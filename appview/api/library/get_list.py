"""library.getList: a list and every place in it."""

from appview.api.library.named import named_list
from appview.api.not_found import LIST_NOT_FOUND, not_found
from appview.feeds.lists import items as items_of
from appview.service import Context
from appview.views.feed import track_view
from appview.views.formats import present
from appview.views.library import list_item_view, list_view
from appview.visibility import Seen, shown
from appview.xrpc.call import Output


async def get_list(context: Context) -> Output:
    """Return a list and a page of its places; one that cannot be shown stays, and does not say why."""
    call, connection = context.call, context.connection
    after = call.after()
    uri_id = await named_list(context)
    if uri_id is None:
        raise not_found(LIST_NOT_FOUND)
    items, last = await items_of(connection, uri_id, call.integer("limit"), after)
    subjects = list({item.subject_uri_id: None for item in items})
    state = await context.hydrate(tracks=subjects, lists=[uri_id])
    lists = shown(state.lists, [uri_id], state, Seen.DIRECT)
    if not lists:
        raise not_found(LIST_NOT_FOUND)
    views = {track.uri_id: track_view(track, state) for track in shown(state.tracks, subjects, state, Seen.DIRECT)}
    places = [list_item_view(item.position, item.uri, views.get(item.subject_uri_id)) for item in items]
    return present({"list": list_view(lists[0], state), "cursor": call.cursor(last), "items": places})
