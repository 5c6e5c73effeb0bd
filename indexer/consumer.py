"""Follow one upstream: connect, judge its numbering, hand every frame to the processor, connect again.

The cursor that is stored covers what is in the database; a connection begins after what was received last, which the
journal will store. A sequence that restarted, a cursor that the upstream no longer has, and frames that cannot be
decoded are told apart here. Sources: https://atproto.com/specs/event-stream, https://atproto.com/specs/sync
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import asyncpg

from atprotocol import frames
from atprotocol.errors import FrameError, NetworkError
from atprotocol.frames import ErrorFrame, InfoFrame
from atprotocol.net.firehose import Backoff
from indexer.decisions import Cause, SyncStatus
from indexer.journal import Journal, Position
from indexer.metrics import Metrics
from indexer.processor import Processor, Upstream
from indexer.state import Repo, Repos

ENDPOINT = "com.atproto.sync.subscribeRepos"
KEPT_FRAME_BYTES = 65_536
RECONNECTS_BELOW_CURSOR = 3

_LOAD_CURSOR = "SELECT seq FROM network.cursors WHERE host = $1 AND endpoint = $2"
_KEEP_HISTORY = "INSERT INTO network.cursor_history (host, endpoint, seq, reason) VALUES ($1, $2, $3, $4)"
_DROP_CURSOR = "DELETE FROM network.cursors WHERE host = $1 AND endpoint = $2"
_KEEP_FRAME = "INSERT INTO network.undecodable_frames (host, after_seq, reason, content) VALUES ($1, $2, $3, $4)"

# Opens the stream after a cursor; the frames end when the upstream closes in order.
Connect = Callable[[int | None], AbstractAsyncContextManager[AsyncIterator[bytes]]]


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
        wake: Callable[[Repo], None],
        first_cursor: int | None = None,
    ) -> None:
        """Take the parts; nothing runs before run()."""
        self._upstream = upstream
        self._connect = connect
        self._pool = pool
        self._repos = repos
        self._journal = journal
        self._processor = processor
        self._metrics = metrics
        self._backoff = backoff
        self._wake = wake
        self._position = Position(upstream.host, ENDPOINT, first_cursor)
        journal.follow(self._position)
        self._below_cursor = 0
        self._undecodable: tuple[int | None, bytes] | None = None

    @property
    def cursor(self) -> int | None:
        """Return the seq of the last frame that was processed."""
        return self._position.seq

    async def run(self) -> None:
        """Follow the stream; every end of a connection is followed by a wait and a new one.

        Raises StreamRefused when the upstream serves no such stream.
        """
        stored = await self._pool.fetchval(_LOAD_CURSOR, self._upstream.host, ENDPOINT)
        if stored is not None:
            self._position.seq = stored
        while True:
            wait: float | None = None
            try:
                async with self._connect(self._position.seq) as connection:
                    await self._follow(connection)
            except _Reconnect as error:
                self._metrics.event("indexer.reconnect", host=self._upstream.host, reason=str(error))
            except NetworkError as error:
                self._metrics.event("indexer.disconnected", host=self._upstream.host, reason=str(error)[:200])
                wait = error.retry_after_seconds
            except FrameError as error:
                self._metrics.event("indexer.disconnected", host=self._upstream.host, reason=str(error)[:200])
            await asyncio.sleep(self._backoff.failed(wait))

    async def _follow(self, connection: AsyncIterator[bytes]) -> None:
        process, split, upstream, journal, position = (
            self._processor.process,
            frames.split,
            self._upstream,
            self._journal,
            self._position,
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
                    if await self._is_repetition(seq):
                        continue
                    self._backoff.succeeded()
                elif seq <= last_seq:
                    raise _Reconnect(f"seq {seq} after {last_seq}")
                last_seq = seq
            word = process(kind, payload, upstream)
            if word is not None:
                await self._heed(word)
                continue
            position.seq, position.event_time = seq, payload.get("time")
            position.frame_count += 1
            if journal.is_full:
                await journal.room()

    async def _is_repetition(self, seq: int) -> bool:
        """Judge the first seq of a connection: the cursor's own is a repetition, one below it a rollback.

        An upstream that answers below our cursor three times has restarted its numbering.
        """
        cursor = self._position.seq
        if cursor is None or seq >= cursor:
            self._below_cursor = 0
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
                self._metrics.event("indexer.outdated_cursor", host=self._upstream.host, cursor=self._position.seq)
                self._desynchronize_all(Cause.OUTDATED_CURSOR)
            case InfoFrame(name=name):
                self._metrics.event("indexer.info", host=self._upstream.host, name=name[:60])
            case ErrorFrame(error="FutureCursor"):
                await self._restarted("it says FutureCursor")
                raise _Reconnect("FutureCursor")
            case ErrorFrame(error=error, message=message):
                raise _Reconnect(f"{error[:60]}: {(message or '')[:120]}")

    async def _restarted(self, reason: str) -> None:
        """Go live on an upstream that counts anew: its old cursor is history, and every chain is in doubt."""
        self._metrics.event(
            "indexer.upstream_restarted", host=self._upstream.host, cursor=self._position.seq, reason=reason
        )
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_KEEP_HISTORY, self._upstream.host, ENDPOINT, self._position.seq or 0, reason)
            await connection.execute(_DROP_CURSOR, self._upstream.host, ENDPOINT)
        self._position.seq = None
        self._below_cursor = 0
        for repo in self._repos.by_did.values():
            repo.account_seq = None
        self._desynchronize_all(Cause.UPSTREAM_RESTARTED)

    def _desynchronize_all(self, cause: Cause) -> None:
        for repo in self._repos.by_did.values():
            if repo.sync_status is SyncStatus.SYNCHRONIZED:
                repo.desynchronize(cause)
                self._metrics.desynchronize(cause)
                self._wake(repo)
            self._journal.touch(repo)

    async def _undecoded(self, raw: bytes, error: FrameError) -> None:
        """Drop the connection for a frame that cannot be read; when it comes again, keep it and go on."""
        known = (self._position.seq, raw[:KEPT_FRAME_BYTES])
        if self._undecodable != known:
            self._undecodable = known
            raise _Reconnect(f"a frame that cannot be decoded: {error}")
        self._undecodable = None
        await self._pool.execute(
            _KEEP_FRAME, self._upstream.host, self._position.seq, str(error)[:500], raw[:KEPT_FRAME_BYTES]
        )
        self._metrics.event(
            "indexer.undecodable_frame", host=self._upstream.host, after_seq=self._position.seq, size_bytes=len(raw)
        )
