"""library.getActorLists: the albums, playlists and other lists of an account."""

from appview.api.actors import asked_actor
from appview.api.library.pages import page_of_lists
from appview.feeds.lists import of_actor
from appview.service import Context
from appview.xrpc.call import Output


async def get_actor_lists(context: Context) -> Output:
    """Return a page of the lists of an account, the newest first."""
    call = context.call
    after = call.after()
    actor, _ = await asked_actor(context)
    purpose = call.optional_text("purpose")
    page = await of_actor(context.connection, context.asker, actor.actor_id, purpose, call.integer("limit"), after)
    return await page_of_lists(context, page)
