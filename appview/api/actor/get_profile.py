"""actor.getProfile: one account, with counts."""

from appview.api.actors import asked_actor
from appview.hydration import add_viewer_follows
from appview.profile_facts import profile_facts
from appview.service import Context
from appview.views.actor import profile_view_detailed
from appview.xrpc.call import Output


async def get_profile(context: Context) -> Output:
    """Return the profile of an account."""
    actor, state = await asked_actor(context)
    await add_viewer_follows(context.connection, state)
    return profile_view_detailed(actor, await profile_facts(context.connection, context.asker, actor), state)
