"""feed.getActorTracks: what an account published, or takes part in."""

from appview import feeds
from appview.api.not_found import ACTOR_NOT_FOUND, not_found
from appview.api.words import known_word
from appview.hydration import hydrate
from appview.lookup import actor_id_of
from appview.service import Context
from appview.views.feed import track_view
from appview.views.formats import present
from appview.visibility import Seen, shown, shown_actor
from appview.xrpc.call import Output

_FILTERS = ("tracks", "features", "all")


async def get_actor_tracks(context: Context) -> Output:
    """Return a page of the tracks of an account, newest first."""
    call, connection, namespace = context.call, context.connection, context.settings.namespace
    which, after = known_word(call, "filter", _FILTERS), call.after()
    actor_id = await actor_id_of(connection, call.text("actor"))
    if actor_id is None:
        raise not_found(ACTOR_NOT_FOUND)
    page = await feeds.actor_tracks(connection, actor_id, which, call.integer("limit"), after)
    state = await hydrate(connection, namespace, tracks=page.uri_ids, actors=[actor_id])
    if shown_actor(actor_id, state) is None:
        raise not_found(ACTOR_NOT_FOUND)
    tracks = shown(state.tracks, page.uri_ids, state, Seen.LISTING)
    return present({"cursor": call.cursor(page.last), "tracks": [track_view(track, state) for track in tracks]})
