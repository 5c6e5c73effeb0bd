"""Lists as JSON: library.defs."""

import orjson

from appview.rows import ListRow, State
from appview.views.actor import profile_view_basic
from appview.views.formats import cid_text, instant_text, present, updated_at, verbatim
from appview.views.labels import label_views
from appview.xrpc.call import Output


def list_view_basic(row: ListRow, state: State) -> Output:
    """Return a list as shown beside something else: library.defs#listViewBasic."""
    creator = state.actors[row.actor_id]
    return present({
        "uri": row.uri,
        "cid": cid_text(row.cid),
        "creator": profile_view_basic(creator, state),
        "name": row.name,
        "purpose": row.purpose,
        "slug": row.slug if row.purpose == "album" else None,
        "imageUrl": state.places.image("cover", creator.did, row.image_cid),
        "itemCount": row.item_count,
        "createdAt": row.created_at,
        "indexedAt": instant_text(row.indexed_at),
        "labels": label_views((row.uri,), state),
    })  # fmt: skip


def list_view(row: ListRow, state: State) -> Output:
    """Return a list without its items: library.defs#listView."""
    details = {
        "description": row.description,
        "record": verbatim(row.record),
        "updatedAt": updated_at(row.record),
    }
    return list_view_basic(row, state) | present(details)


def list_item_view(position: int, uri: str, track: orjson.Fragment | None) -> Output:
    """Return a place in a list: library.defs#listItemView. Without a track it does not say why."""
    return {"position": position, "uri": uri} | ({"unavailable": True} if track is None else {"track": track})
