"""actor.getProfiles: several accounts."""

from appview.hydration import add_viewer_follows
from appview.lookup import actor_ids_of
from appview.service import Context
from appview.views.actor import profile_view
from appview.visibility import shown_actor
from appview.xrpc.call import Output


async def get_profiles(context: Context) -> Output:
    """Return those of the accounts that are there, in the order in which they were asked for."""
    found = await actor_ids_of(context.connection, context.call.texts("actors"))
    known = list({actor_id: None for actor_id in found if actor_id is not None})
    state = await context.hydrate(actors=known)
    await add_viewer_follows(context.connection, state)
    shown = (shown_actor(actor_id, state) for actor_id in known)
    return {"profiles": [profile_view(actor, state) for actor in shown if actor is not None]}
