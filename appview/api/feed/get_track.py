"""feed.getTrack: one track on a page of its own."""

from appview.api.feed.subject import subject_track_of
from appview.profile_facts import containing_lists
from appview.service import Context
from appview.views.feed import track_view_detailed
from appview.xrpc.call import Output

_LISTS = 10


async def get_track(context: Context) -> Output:
    """Return a track with its album, lists and credits."""
    connection, asker = context.connection, context.asker
    track, state = await subject_track_of(context)
    album, lists = await containing_lists(connection, asker, track, _LISTS)
    numbers = lists if album is None else [album, *lists]
    around = await context.hydrate(lists=numbers)
    state.actors |= around.actors
    state.labels |= around.labels
    state.lists = around.lists
    return track_view_detailed(track, state, album, lists)
