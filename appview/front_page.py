"""Load what the page at / shows. What is hidden is hidden here too."""

from collections.abc import Mapping
from datetime import datetime

import asyncpg

from appview.asking import Statement
from appview.feeds.tracks import latest
from appview.hydration import hydrate
from appview.settings import AppviewSettings, places_of
from appview.status import stats
from appview.track_contents import TrackContents
from appview.viewer import ANONYMOUS
from appview.views.front_page import Examples, front_page
from appview.views.index import lag_seconds
from appview.visibility import UNWANTED_TAGS, Seen, shown
from atprotocol.lexicon.methods import Method

_TRACKS = 10
_NEWEST_LIST = Statement(
    Seen.DISCOVERY,
    lambda rules: (
        f"""
    SELECT l.uri
    FROM network.lists l
    JOIN network.repos r ON r.actor_id = l.actor_id
    JOIN network.actors a ON a.actor_id = l.actor_id
    WHERE l.uri_id = (SELECT max(uri_id) FROM network.lists)
        AND {rules.record("r", "a.did", "l.uri", "l.uri_id")}
    """
    ),
)


async def load_front_page(
    connection: asyncpg.Connection,
    contents: TrackContents,
    settings: AppviewSettings,
    methods: Mapping[str, Method],
    unlinked: frozenset[str],
    now: datetime,
) -> str:
    """Return the page as HTML; `unlinked` methods answer nobody who follows a link."""
    page = await latest(connection, ANONYMOUS, [], UNWANTED_TAGS, _TRACKS, None)
    state = await hydrate(connection, settings.namespace, ANONYMOUS, contents, places_of(settings), tracks=page.uri_ids)
    tracks = shown(state.tracks, page.uri_ids, state, Seen.DISCOVERY)
    list_uri = await connection.fetchval(_NEWEST_LIST.of(ANONYMOUS))
    numbers = await stats(connection)
    figures: dict[str, int | None] = {
        name.rpartition(".")[2] + "s": numbers.collections.get(settings.nsid(name), (0, 0))[0]
        for name in ("track", "like", "comment", "list", "actor.profile")
    }
    figures["repositories"] = sum(numbers.repos.values())
    lags = [lag for each in numbers.upstreams if (lag := lag_seconds(each.event_time, now)) is not None]
    figures["seconds since the last event"] = max(lags, default=None)
    first = tracks[0] if tracks else None
    examples = Examples(
        track_uri=first.uri if first else None,
        list_uri=list_uri,
        did=state.actors[first.actor_id].did if first else None,
        unlinked=unlinked,
    )
    return front_page(settings.namespace, figures, tracks, state, methods, examples)
