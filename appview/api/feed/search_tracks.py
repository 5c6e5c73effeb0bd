"""feed.searchTracks: tracks by what they, their artists, albums and tags are called."""

from appview import searches
from appview.api.actors import asked_actor
from appview.api.tracks import page_of_tracks
from appview.service import Context
from appview.visibility import Seen
from appview.xrpc.call import Output
from database.search_text import normalize, query_of


async def search_tracks(context: Context) -> Output:
    """Return a page of the tracks that are found; with `actor` or `tag` only those of an account, or with a tag."""
    call = context.call
    query, after = query_of(call.text("q")), call.after()
    actor_id = (await asked_actor(context))[0].actor_id if "actor" in call.parameters else None
    tag_key = normalize(call.text("tag")) if "tag" in call.parameters else None
    page = searches.NOTHING
    # A tag that says nothing is on no track.
    if query is not None and tag_key != "":
        limit = call.integer("limit")
        page = await searches.tracks(
            context.connection, context.asker, query, limit, after, tag_key=tag_key, actor_id=actor_id
        )
    return await page_of_tracks(context, page, Seen.LISTING)
