"""The account that a method is asked about."""

from appview.api.not_found import ACTOR_NOT_FOUND, not_found
from appview.lookup import actor_id_of
from appview.rows import ActorRow, State
from appview.service import Context
from appview.visibility import shown_actor


async def asked_actor(context: Context) -> tuple[ActorRow, State]:
    """Return the account that the parameter `actor` names.

    Raises XrpcError when it is not there, or hidden.
    """
    actor_id = await actor_id_of(context.connection, context.call.text("actor"))
    if actor_id is None:
        raise not_found(ACTOR_NOT_FOUND)
    state = await context.hydrate(actors=[actor_id])
    actor = shown_actor(actor_id, state)
    if actor is None:
        raise not_found(ACTOR_NOT_FOUND)
    return actor, state
