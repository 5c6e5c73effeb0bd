"""The list that a method is asked about: by its URI, or as an album of an account by its name in addresses."""

from appview.feeds.lists import album_of
from appview.lookup import actor_id_of, uri_id_of
from appview.service import Context
from appview.xrpc.errors import InvalidRequest


async def named_list(context: Context) -> int | None:
    """Return the number of the list, None where nothing is known by that name.

    Raises InvalidRequest unless it is named in one way.
    """
    call, connection = context.call, context.connection
    uri, actor, slug = (call.optional_text(name) for name in ("uri", "actor", "slug"))
    if uri is not None and actor is None and slug is None:
        return await uri_id_of(connection, uri)
    if uri is None and actor is not None and slug is not None:
        actor_id = await actor_id_of(connection, actor)
        return None if actor_id is None else await album_of(connection, context.asker, actor_id, slug)
    raise InvalidRequest("A list is named by uri, or by actor and slug")
