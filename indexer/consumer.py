"""Follow one upstream: connect, judge its numbering, hand every frame to the processor, connect again.

The cursor that is stored covers what is in the database; a connection begins after what was received last, which the
journal will store. A sequence that restarted, a cursor that the upstream no longer has, and frames that cannot be
decoded are told apart here, and a gap is noticed although nobody speaks of it: what may be missing is found by an audit.
Sources: https://atproto.com/specs/event-stream, https://atproto.com/specs/sync
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from atprotocol import frames
from atprotocol.errors import FrameError, NetworkError
from atprotocol.frames import ErrorFrame, InfoFrame
from atprotocol.net.firehose import Backoff
from indexer.journal import Journal, Position, instant_of
from indexer.metrics import Metrics
from indexer.overlap import Connect, overlapping_cursor
from indexer.processor import Processor, Upstream
from indexer.state import Repos
from indexer.verdicts import is_gap

ENDPOINT = "com.atproto.sync.subscribeRepos"
KEPT_FRAME_BYTES = 65_536
KEPT_FRAMES = 1000
RECONNECTS_BELOW_CURSOR = 3

_LOAD_CURSOR = """
    SELECT seq, event_time, now() - updated_at AS age FROM network.cursors WHERE host = $1 AND endpoint = $2
"""
_OTHER_CURSORS = """
    SELECT max(event_time) FILTER (WHERE isfinite(event_time)) AS event_time, min(now() - updated_at) AS age
    FROM network.cursors WHERE endpoint = $1 AND host <> $2
    HAVING count(*) > 0
"""
_KEEP_HISTORY = "INSERT INTO network.cursor_history (host, endpoint, seq, reason) VALUES ($1, $2, $3, $4)"
_KEEP_FRAME = """
    INSERT INTO network.undecodable_frames (host, after_seq, reason, content)
    SELECT $1, $2, $3, $4 WHERE (SELECT count(*) FROM network.undecodable_frames) < $5
"""


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """Where to begin, and what counts as an outage."""

    # On a stream that was never followed: None is from now on.
    first_cursor: int | None = None
    # After a longer outage every repository is compared with its host.
    outage: timedelta = timedelta(hours=1)
    # After a longer one the stream is not replayed: going live and comparing costs less.
    replay: timedelta = timedelta(hours=6)
    # Whether accounts that first appear in what is not replayed can be found otherwise.
    may_skip_replay: bool = False


class _Reconnect(Exception):
    """This connection is of no more use."""


class Consumer:
    """Follows one upstream for ever."""

    def __init__(
        self,
        upstream: Upstream,
        connect: Connect,
        pool: asyncpg.Pool,
        repos: Repos,
        journal: Journal,
        processor: Processor,
        metrics: Metrics,
        backoff: Backoff,
        request_audit: Callable[[str], None],
        clock: Callable[[], datetime],
        settings: StreamSettings,
    ) -> None:
        """Take the parts; `request_audit` has every repository compared, for a reason. Nothing runs before run()."""
        self._upstream = upstream
        self._connect = connect
        self._pool = pool
        self._repos = repos
        self._journal = journal
        self._processor = processor
        self._metrics = metrics
        self._backoff = backoff
        self._request_audit = request_audit
        self._clock = clock
        self._settings = settings
        self.position = Position(upstream.host, ENDPOINT, settings.first_cursor)
        journal.follow(self.position)
        self._below_cursor = 0
        self._lost_at: datetime | None = None
        # Hashes of the frames after `_undecodable_after` that could not be decoded; True once one was kept.
        self._undecodable: dict[bytes, bool] = {}
        self._undecodable_after: int | None = None

    @property
    def cursor(self) -> int | None:
        """Return the seq of the last frame that was processed."""
        return self.position.seq

    async def run(self) -> None:
        """Follow the stream; every end of a connection is followed by a wait and a new one.

        Raises StreamRefused when the upstream serves no such stream.
        """
        await self._begin()
        while True:
            wait: float | None = None
            try:
                async with self._connect(self.position.seq) as connection:
                    self.position.is_open = True
                    await self._follow(connection)
            except _Reconnect as error:
                self._metrics.event("indexer.reconnect", host=self._upstream.host, reason=str(error))
            except NetworkError as error:
                self._metrics.event("indexer.disconnected", host=self._upstream.host, reason=str(error)[:200])
                wait = error.retry_after_seconds
            except FrameError as error:
                self._metrics.event("indexer.disconnected", host=self._upstream.host, reason=str(error)[:200])
            self.position.is_open = False
            self._lost_at = self._lost_at or self._clock()
            await asyncio.sleep(self._backoff.failed(wait))

    async def _begin(self) -> None:
        """Go on from the stored cursor, or find a place to begin at."""
        host, settings, position = self._upstream.host, self._settings, self.position
        stored = await self._pool.fetchrow(_LOAD_CURSOR, host, ENDPOINT)
        if stored is None:
            await self._begin_anew()
            return
        position.seq = position.stored_seq = stored["seq"]
        if stored["event_time"] is not None:
            # Whoever wrote a time that lies ahead would hide the next gap with it.
            position.event_time = min(stored["event_time"], self._clock() - stored["age"]).isoformat()
        if stored["age"] > settings.outage:
            self._request_audit(f"outage of {stored['age'].total_seconds():.0f} s at {host}")
        if stored["age"] > settings.replay and settings.may_skip_replay:
            await self._pool.execute(
                _KEEP_HISTORY, host, ENDPOINT, position.seq, "the outage was too long for a replay"
            )
            self._metrics.event("indexer.replay_skipped", host=host, cursor=position.seq)
            position.seq = None

    async def _begin_anew(self) -> None:
        """Begin on a stream that was never followed: with some overlap when another one was followed until lately."""
        other = await self._pool.fetchrow(_OTHER_CURSORS, ENDPOINT, self._upstream.host)
        if other is None:
            return
        self._request_audit(f"new upstream {self._upstream.host}")
        if self.position.seq is None and other["event_time"] is not None and other["age"] <= self._settings.replay:
            self.position.seq = await overlapping_cursor(self._connect, other["event_time"])
            self._metrics.note("indexer.overlap", host=self._upstream.host, cursor=self.position.seq)

    async def _follow(self, connection: AsyncIterator[bytes]) -> None:
        process, split, upstream, journal, position = (
            self._processor.process,
            frames.split,
            self._upstream,
            self._journal,
            self.position,
        )
        last_seq: int | None = None
        async for raw in connection:
            try:
                kind, payload = split(raw)
            except FrameError as error:
                await self._undecoded(raw, error)
                continue
            if kind is None:
                continue
            seq: int = payload.get("seq", 0)
            if kind not in (frames.INFO, frames.ERROR):
                if last_seq is None:
                    last_seq = seq
                    if await self._is_repetition(seq, payload.get("time")):
                        continue
                    self._backoff.succeeded()
                elif seq <= last_seq:
                    # What the smaller one said may never come again.
                    self._request_audit(f"{upstream.host} went back in its numbering")
                    raise _Reconnect(f"seq {seq} after {last_seq}")
                last_seq = seq
            word = process(kind, payload, upstream)
            if kind in (frames.INFO, frames.ERROR):
                # Of the stream itself, readable or not: no place in it.
                if word is not None:
                    await self._heed(word)
                continue
            time = payload.get("time")
            position.seq, position.event_time = seq, time if isinstance(time, str) else None
            position.frame_count += 1
            if journal.is_full:
                await journal.room()

    async def _is_repetition(self, seq: int, time: object) -> bool:
        """Judge the first seq of a connection: the cursor's own is a repetition, one below it a rollback.

        An upstream that answers below our cursor three times has restarted its numbering. One that answers far beyond
        it no longer had what lies between.
        """
        cursor, host = self.position.seq, self._upstream.host
        if cursor is None or seq >= cursor:
            self._below_cursor = 0
            last = instant_of(self.position.event_time)
            if last is not None and self._lost_at is not None:
                last = min(last, self._lost_at)
            if cursor is not None and is_gap(cursor, last, seq, instant_of(time)):
                self._metrics.event("indexer.gap", host=host, cursor=cursor, first_seq=seq)
                self._request_audit(f"gap at {host}: seq {seq} after {cursor}")
            elif self._lost_at is not None and self._clock() - self._lost_at > self._settings.outage:
                self._request_audit(f"{host} was lost at {self._lost_at:%Y-%m-%dT%H:%M:%SZ}")
            self._lost_at = None
            return seq == cursor
        self._below_cursor += 1
        if self._below_cursor < RECONNECTS_BELOW_CURSOR:
            raise _Reconnect(f"seq {seq} below the cursor {cursor}")
        await self._restarted(f"it answers with seq {seq} below the cursor {cursor}")
        raise _Reconnect("its numbering restarted")

    async def _heed(self, word: InfoFrame | ErrorFrame) -> None:
        """Act on what the upstream says of the stream itself."""
        match word:
            case InfoFrame(name="OutdatedCursor"):
                self._metrics.event("indexer.outdated_cursor", host=self._upstream.host, cursor=self.position.seq)
                self._request_audit(f"{self._upstream.host} says OutdatedCursor")
            case InfoFrame(name=name):
                self._metrics.event("indexer.info", host=self._upstream.host, name=name[:60])
            case ErrorFrame(error="FutureCursor"):
                await self._restarted("it says FutureCursor")
                raise _Reconnect("FutureCursor")
            case ErrorFrame(error="ConsumerTooSlow"):
                self._metrics.event("indexer.consumer_too_slow", host=self._upstream.host, cursor=self.position.seq)
                raise _Reconnect("ConsumerTooSlow")
            case ErrorFrame(error=error, message=message):
                raise _Reconnect(f"{error[:60]}: {(message or '')[:120]}")

    async def _restarted(self, reason: str) -> None:
        """Go live on an upstream that counts anew: its old cursor is history, and whatever it did not say is in doubt."""
        self._metrics.event(
            "indexer.upstream_restarted", host=self._upstream.host, cursor=self.position.seq, reason=reason
        )
        await self._pool.execute(_KEEP_HISTORY, self._upstream.host, ENDPOINT, self.position.seq or 0, reason)
        # The stored cursor stays until the batch that holds this audit, or a later one, replaces it: a process that
        # dies before that meets the same answer again, and no gap goes unnoticed.
        self.position.seq = self.position.event_time = None
        self._below_cursor = 0
        self._forget_account_seqs()
        self._request_audit(f"{self._upstream.host} restarted its numbering")

    def _forget_account_seqs(self) -> None:
        """Let the next #account of every repository count: the numbers that are stored are of a stream that is no more."""
        for repo in self._repos.by_did.values():
            if repo.account_seq is not None and repo.account_host in (None, self._upstream.host):
                repo.account_seq, repo.account_host = None, self._upstream.host
                self._journal.touch(repo)

    async def _undecoded(self, raw: bytes, error: FrameError) -> None:
        """Drop the connection for a frame that cannot be read; when it comes again, keep it and go on."""
        if self._undecodable_after != self.position.seq:
            self._undecodable, self._undecodable_after = {}, self.position.seq
        known = hashlib.sha256(raw).digest()
        if known not in self._undecodable:
            self._undecodable[known] = False
            raise _Reconnect(f"a frame that cannot be decoded: {error}")
        if self._undecodable[known]:
            return
        self._undecodable[known] = True
        reason = str(error)[:500].replace("\0", "\ufffd")
        content = raw[:KEPT_FRAME_BYTES]
        await self._pool.execute(_KEEP_FRAME, self._upstream.host, self.position.seq, reason, content, KEPT_FRAMES)
        self._metrics.event(
            "indexer.undecodable_frame", host=self._upstream.host, after_seq=self.position.seq, size_bytes=len(raw)
        )
