"""feed.getActorTracks: what an account published, or takes part in."""

from appview.api.actors import asked_actor
from appview.api.tracks import page_of_tracks
from appview.api.words import known_word
from appview.feeds.tracks import of_actor
from appview.service import Context
from appview.visibility import Seen
from appview.xrpc.call import Output

_FILTERS = ("tracks", "features", "all")


async def get_actor_tracks(context: Context) -> Output:
    """Return a page of the tracks of an account, newest first."""
    call = context.call
    which, after = known_word(call, "filter", _FILTERS), call.after()
    actor, _ = await asked_actor(context)
    page = await of_actor(context.connection, context.asker, actor.actor_id, which, call.integer("limit"), after)
    return await page_of_tracks(context, page, Seen.LISTING)
