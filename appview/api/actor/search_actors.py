"""actor.searchActors: accounts by handle and display name."""

from appview import searches
from appview.hydration import add_viewer_follows
from appview.service import Context
from appview.views.actor import profile_view
from appview.views.formats import present
from appview.visibility import Seen, shown_actor
from appview.xrpc.call import Output
from database.search_text import query_of


async def search_actors(context: Context) -> Output:
    """Return a page of the accounts that are found."""
    call, after = context.call, context.call.after()
    query = query_of(call.text("q"))
    page = searches.NOTHING
    if query is not None:
        page = await searches.actors(context.connection, context.asker, query, call.integer("limit"), after)
    state = await context.hydrate(actors=page.uri_ids)
    await add_viewer_follows(context.connection, state)
    found = (shown_actor(actor_id, state, Seen.DISCOVERY) for actor_id in page.uri_ids)
    actors = [profile_view(actor, state) for actor in found if actor is not None]
    return present({"cursor": call.cursor(page.last), "actors": actors})
