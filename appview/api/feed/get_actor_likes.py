"""feed.getActorLikes: what an account likes."""

from appview.api.actors import asked_actor
from appview.api.tracks import page_of_tracks
from appview.feeds.tracks import liked_by
from appview.service import Context
from appview.visibility import Seen
from appview.xrpc.call import Output


async def get_actor_likes(context: Context) -> Output:
    """Return a page of the tracks that an account likes, the latest like first."""
    call = context.call
    after = call.after()
    actor, _ = await asked_actor(context)
    page = await liked_by(context.connection, context.asker, actor.actor_id, call.integer("limit"), after)
    return await page_of_tracks(context, page, Seen.LISTING)
