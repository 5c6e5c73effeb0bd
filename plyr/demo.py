"""Play a recorded network into the indexer, a moment at a time, and name what can then be asked of the appview.

The indexer is the one that follows the live network, with every connection opened to the replay alone. A moment is over
when the cursor has passed its last frame and everything that can be synchronized is.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import asyncpg

from appview.media.places import MediaPlaces
from appview.media.settings import MediaSettings, Mirroring
from database.connect import parse_database_url
from indexer.consumer import StreamSettings
from indexer.repair import RepairSettings
from indexer.settings import IndexerSettings
from plyr.media_settings import MediaChoice
from plyr.outcome import CommandError
from plyr.recorded_network import Moment
from plyr.replay import Replay
from plyr.settings import DEFAULT_NAMESPACE, Settings
from plyr.status import Status, read_status

MOMENT_TIMEOUT_SECONDS = 60.0
POLL_SECONDS = 0.05
JSON = "application/json"

_BEST_LIKED = """
    SELECT t.uri, a.did, r.handle, t.audio_cid, t.image_cid
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
    """A request that answers, and what it shows; `media_type` is what comes, `asks_for` a range of bytes or None for all."""

    shows: str
    url: str
    media_type: str = JSON
    asks_for: str | None = None

    @property
    def curl(self) -> str:
        """Return the command for a shell: JSON as it is, the headers of anything else and what little was asked for of it."""
        if self.media_type == JSON:
            return f"curl -s '{self.url}'"
        if self.asks_for is None:
            return f"curl -sI -H 'Accept: {self.media_type}' '{self.url}'"
        return f"curl -si -r {self.asks_for} --output - '{self.url}'"


@dataclass(frozen=True, slots=True)
class Examples:
    """Requests that answer, and where the best liked track is heard; None where there is none."""

    requests: list[Example]
    audio_url: str | None


def settings_for(replay: Replay, settings: Settings, media_folder: Path) -> Settings:
    """Return settings under which nothing but the replay can be reached, and all audio and pictures are kept in a folder."""
    return replace(
        settings,
        relay_urls=(replay.url,),
        plc_url=replay.url,
        handle_resolver_url=replay.url,
        allowed_hosts=frozenset({("localhost", replay.port)}),
        namespace=DEFAULT_NAMESPACE,
        media=MediaChoice(MediaSettings(mirroring=Mirroring.ALWAYS), folder=media_folder),
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


async def examples(url: str, origin: str) -> Examples:
    """Return requests that show what was indexed, the rejected and the dangling included."""
    connection = await asyncpg.connect(parse_database_url(url).dsn)
    try:
        track = await connection.fetchrow(_BEST_LIKED)
        track_list = await connection.fetchval(_LONGEST_LIST)
        rejected = await connection.fetchval(_REJECTED)
    finally:
        await connection.close()
    found = [_asked(origin, "the newest tracks", "feed.getLatest", limit="3")]
    audio_url = None
    if track is not None:
        uri, did = track["uri"], track["did"]
        found += [
            _asked(origin, "one track, with its artist and counts", "feed.getTrack", uri=uri),
            _asked(origin, "where it is heard, and what was found out about its audio", "feed.getPlayback", uri=uri),
        ]
        places = MediaPlaces(origin)
        if track["audio_cid"] is not None:
            audio_url = places.audio(did, track["audio_cid"])
            found.append(Example("the first four bytes of its audio: a FLAC file", audio_url, "audio/flac", "0-3"))
        if (cover := places.image("cover", did, track["image_cid"])) is not None:
            found.append(Example("its cover", cover, "image/webp"))
        found += [
            _asked(origin, "what was said about it, along the track", "feed.getComments", uri=uri),
            _asked(origin, "who likes it", "feed.getLikes", uri=uri),
            _asked(origin, "its artist", "actor.getProfile", actor=track["handle"] or did),
            _asked(origin, "all tracks of the artist", "feed.getActorTracks", actor=did),
            _asked(origin, "how the artist's repository is synchronized", "index.getRepoStatus", did=did),
        ]
    if track_list is not None:
        found.append(_asked(origin, "a playlist, with a track that is gone", "library.getList", uri=track_list))
    if rejected is not None:
        found.append(_asked(origin, "why a record was rejected", "index.getRecordStatus", uri=rejected))
    found.append(_asked(origin, "the whole index in figures", "index.getStats"))
    return Examples(found, audio_url)


def _asked(origin: str, shows: str, name: str, **parameters: str) -> Example:
    query = "&".join(f"{key}={quote(value, safe=':/')}" for key, value in parameters.items())
    return Example(shows, f"{origin}/xrpc/{DEFAULT_NAMESPACE}.{name}{'?' if query else ''}{query}")
