"""feed.getActivity: what happens."""

from collections.abc import Mapping

from appview.api.actors import asked_actor
from appview.feeds.activity import KINDS, Event, activity
from appview.rows import CommentRow, LikeRow, ListRow, State, TrackRow
from appview.service import Context
from appview.views.actor import profile_view_basic
from appview.views.feed import comment_view, track_view
from appview.views.formats import instant_text, present
from appview.views.library import list_view_basic
from appview.visibility import Seen, shown
from appview.xrpc.call import Output
from appview.xrpc.errors import InvalidRequest


async def get_activity(context: Context) -> Output:
    """Return a page of what happens, the latest first."""
    call, connection = context.call, context.connection
    kinds, after = call.texts("types"), call.after()
    if not set(kinds) <= set(KINDS):
        raise InvalidRequest(f"Parameter types: must be of {', '.join(KINDS)}")
    actor_id = (await asked_actor(context))[0].actor_id if "actor" in call.parameters else None
    events, last = await activity(connection, context.asker, kinds, actor_id, call.integer("limit"), after)
    by_kind = {kind: [event.uri_id for event in events if event.kind == kind] for kind in KINDS}
    subjects = [event.subject_uri_id for event in events if event.subject_uri_id is not None]
    state = await context.hydrate(
        tracks=list({*by_kind["track"], *subjects}),
        likes=by_kind["like"],
        comments=by_kind["comment"],
        lists=by_kind["list"],
    )
    views = [view for event in events if (view := _event_view(event, state)) is not None]
    return present({"cursor": call.cursor(last), "activity": views})


def _event_view(event: Event, state: State) -> Output | None:
    rows: dict[str, Mapping[int, TrackRow | LikeRow | CommentRow | ListRow]] = {
        "track": state.tracks,
        "like": state.likes,
        "comment": state.comments,
        "list": state.lists,
    }
    found = shown(rows[event.kind], [event.uri_id], state, Seen.DISCOVERY)
    subjects = [event.uri_id if event.subject_uri_id is None else event.subject_uri_id]
    tracks = shown(state.tracks, subjects, state, Seen.DISCOVERY)
    if not found or (not tracks and event.kind != "list"):
        return None
    row = found[0]
    return present({
        "type": event.kind,
        "uri": row.uri,
        "actor": profile_view_basic(state.actors[row.actor_id], state),
        "track": track_view(tracks[0], state) if tracks else None,
        "comment": comment_view(state.comments[event.uri_id], state) if event.kind == "comment" else None,
        "list": list_view_basic(state.lists[event.uri_id], state) if event.kind == "list" else None,
        "createdAt": row.created_at,
        "indexedAt": instant_text(row.indexed_at),
    })  # fmt: skip
