"""actor.getProfile: one account, with counts."""

from appview.api.not_found import ACTOR_NOT_FOUND, not_found
from appview.hydration import hydrate, profile_facts
from appview.lookup import actor_id_of
from appview.service import Context
from appview.views.actor import profile_view_detailed
from appview.visibility import shown_actor
from appview.xrpc.call import Output


async def get_profile(context: Context) -> Output:
    """Return the profile of an account."""
    actor_id = await actor_id_of(context.connection, context.call.text("actor"))
    actor_ids = [] if actor_id is None else [actor_id]
    state = await hydrate(context.connection, context.settings.namespace, actors=actor_ids)
    actor = None if actor_id is None else shown_actor(actor_id, state)
    if actor is None:
        raise not_found(ACTOR_NOT_FOUND)
    return profile_view_detailed(actor, await profile_facts(context.connection, actor))
