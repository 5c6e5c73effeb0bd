"""feed.getForYou: what the viewer may like.

The whole order is made for the first page; the cursor carries the rest of it, so that pages agree whatever happens
between them.
"""

from appview.api.tracks import tracks_of
from appview.feeds import suggestions
from appview.feeds.ranked import HOT, ranked
from appview.service import Context
from appview.views.formats import present
from appview.visibility import Seen
from appview.xrpc.call import Output
from appview.xrpc.cursor import Rest


async def get_for_you(context: Context) -> Output:
    """Return a page of suggestions; of what is hot, and say so, while nothing is known of the viewer's taste."""
    context.required_viewer()
    call, connection, asker = context.call, context.connection, context.asker
    rest = call.rest()
    if rest is None:
        found = await suggestions.for_viewer(connection, asker, call.called_at)
        is_cold_start = not found
        if is_cold_start:
            found = (await ranked(connection, asker, HOT, suggestions.LONGEST, None)).uri_ids
        rest = Rest(tuple(found), is_cold_start)
    else:
        rest = Rest(tuple(await suggestions.still_shown(connection, asker, rest.uri_ids)), rest.flag)
    limit = call.integer("limit")
    tracks = await tracks_of(context, rest.uri_ids[:limit], Seen.DISCOVERY)
    cursor = call.rest_cursor(Rest(rest.uri_ids[limit:], rest.flag))
    return present({"cursor": cursor, "tracks": tracks, "coldStart": rest.flag})
