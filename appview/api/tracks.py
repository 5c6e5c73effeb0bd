"""What every method does that answers with tracks: hydrate them, keep what is shown, make views."""

from collections.abc import Sequence

import orjson

from appview.feeds.pages import Page
from appview.rows import TrackState
from appview.service import Context
from appview.views.feed import track_view
from appview.views.formats import present
from appview.visibility import Seen, shown
from appview.xrpc.call import Output


async def tracks_of(
    context: Context, uri_ids: Sequence[int], seen: Seen, states: Sequence[TrackState] | None = None
) -> list[orjson.Fragment]:
    """Return views of the tracks with these numbers, as far as they are shown to whoever comes this way."""
    state = await context.hydrate(states, tracks=uri_ids)
    return [track_view(track, state) for track in shown(state.tracks, uri_ids, state, seen)]


async def page_of_tracks(context: Context, page: Page, seen: Seen) -> Output:
    """Return a page of tracks and where the next one begins."""
    tracks = await tracks_of(context, page.uri_ids, seen, page.states)
    return present({"cursor": context.call.cursor(page.last), "tracks": tracks})
