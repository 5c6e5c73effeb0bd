"""Play a recorded network into the indexer, a moment at a time, and name what can then be asked of the appview.

The indexer is the one that follows the live network, with every connection opened to the replay alone. A moment is over
when the cursor has passed its last frame and everything that can be synchronized is.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import quote

import asyncpg

from database.connect import parse_database_url
from indexer.consumer import StreamSettings
from indexer.repair import RepairSettings
from indexer.settings import IndexerSettings
from plyr.outcome import CommandError
from plyr.recorded_network import Moment
from plyr.replay import Replay
from plyr.settings import DEFAULT_NAMESPACE, Settings
from plyr.status import Status, read_status

MOMENT_TIMEOUT_SECONDS = 60.0
POLL_SECONDS = 0.05

_BEST_LIKED = """
    SELECT t.uri, a.did, r.handle
    FROM network.tracks t
    JOIN network.actors a USING (actor_id)
    JOIN network.repos r USING (actor_id)
    LEFT JOIN network.track_counters c ON c.uri_id = t.uri_id
    WHERE t.visibility = 'public' AND r.visible
    ORDER BY coalesce(c.like_count, 0) + coalesce(c.comment_count, 0) DESC, t.uri
    LIMIT 1
"""
_LONGEST_LIST = "SELECT uri FROM network.lists ORDER BY item_count DESC, uri LIMIT 1"
_REJECTED = """
    SELECT 'at://' || a.did || '/' || u.path
    FROM network.records r JOIN network.uris u USING (uri_id) JOIN network.actors a USING (actor_id)
    JOIN network.repos o USING (actor_id)
    WHERE r.verdict = 'rejected' AND o.visible
    ORDER BY 1
    LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Example:
    """A request that answers, and what it shows."""

    shows: str
    url: str


def settings_for(replay: Replay, settings: Settings) -> Settings:
    """Return settings under which nothing but the replay can be reached."""
    return replace(
        settings,
        relay_urls=(replay.url,),
        plc_url=replay.url,
        handle_resolver_url=replay.url,
        allowed_hosts=frozenset({("localhost", replay.port)}),
        namespace=DEFAULT_NAMESPACE,
    )


def indexer_settings(replay: Replay) -> IndexerSettings:
    """Return the indexer's settings: from the first frame on, and quick to try again."""
    return IndexerSettings(
        relay_urls=(replay.url,),
        namespace=DEFAULT_NAMESPACE,
        stream=StreamSettings(first_cursor=0),
        poll_seconds=0.2,
        repair=RepairSettings(first_retry_seconds=0.2, longest_retry_seconds=2.0),
    )


async def play(url: str, replay: Replay, on_moment: Callable[[Moment, Status], None]) -> None:
    """Let every moment come, each once the one before is indexed. Raises CommandError when one never is."""
    connection = await asyncpg.connect(parse_database_url(url).dsn)
    try:
        while (moment := await replay.advance()) is not None:
            on_moment(moment, await _indexed(connection, moment))
    finally:
        await connection.close()


async def _indexed(connection: asyncpg.Connection, moment: Moment) -> Status:
    deadline = time.monotonic() + MOMENT_TIMEOUT_SECONDS
    while True:
        status = await read_status(connection)
        if status["idle"] and any(upstream["seq"] >= moment.seq for upstream in status["upstreams"]):
            return status
        if time.monotonic() > deadline:
            raise CommandError(
                f"“{moment.title}” was not indexed within {MOMENT_TIMEOUT_SECONDS:g} s: {status['repos']}, {status['upstreams']}"
            )
        await asyncio.sleep(POLL_SECONDS)


async def examples(url: str, origin: str) -> list[Example]:
    """Return requests that show what was indexed, the rejected and the dangling included."""
    connection = await asyncpg.connect(parse_database_url(url).dsn)
    try:
        track = await connection.fetchrow(_BEST_LIKED)
        track_list = await connection.fetchval(_LONGEST_LIST)
        rejected = await connection.fetchval(_REJECTED)
    finally:
        await connection.close()
    found = [("the newest tracks", "feed.getLatest", {"limit": "3"})]
    if track is not None:
        found += [
            ("one track, with its artist and counts", "feed.getTrack", {"uri": track["uri"]}),
            ("what was said about it, along the track", "feed.getComments", {"uri": track["uri"]}),
            ("who likes it", "feed.getLikes", {"uri": track["uri"]}),
            ("its artist", "actor.getProfile", {"actor": track["handle"] or track["did"]}),
            ("all tracks of the artist", "feed.getActorTracks", {"actor": track["did"]}),
            ("how the artist's repository is synchronized", "index.getRepoStatus", {"did": track["did"]}),
        ]
    if track_list is not None:
        found.append(("a playlist, with a track that is gone", "library.getList", {"uri": track_list}))
    if rejected is not None:
        found.append(("why a record was rejected", "index.getRecordStatus", {"uri": rejected}))
    found.append(("the whole index in figures", "index.getStats", {}))
    return [Example(shows, _request(origin, name, parameters)) for shows, name, parameters in found]


def _request(origin: str, name: str, parameters: dict[str, str]) -> str:
    query = "&".join(f"{key}={quote(value, safe=':/')}" for key, value in parameters.items())
    return f"{origin}/xrpc/{DEFAULT_NAMESPACE}.{name}{'?' if query else ''}{query}"
