"""Follow one upstream: connect, judge its numbering, hand every frame to the processor, connect again.

The cursor that is stored covers what is in the database; a connection begins after what was received last, which the
journal will store. A sequence that restarted, a cursor that the upstream no longer has, and frames that cannot be
decoded are told apart here. Sources: https://atproto.com/specs/event-stream, https://atproto.com/specs/sync
"""

import asyncio
import hashlib
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
KEPT_FRAMES = 1000
RECONNECTS_BELOW_CURSOR = 3

_LOAD_CURSOR = "SELECT seq FROM network.cursors WHERE host = $1 AND endpoint = $2"
_LAST_HOST = "SELECT host FROM network.cursors WHERE endpoint = $1 ORDER BY updated_at DESC LIMIT 1"
_KEEP_HISTORY = "INSERT INTO network.cursor_history (host, endpoint, seq, reason) VALUES ($1, $2, $3, $4)"
_KEEP_FRAME = """
    INSERT INTO network.undecodable_frames (host, after_seq, reason, content)
    SELECT $1, $2, $3, $4 WHERE (SELECT count(*) FROM network.undecodable_frames) < $5
"""

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
        # Hashes of the frames after `_undecodable_after` that could not be decoded; True once one was kept.
        self._undecodable: dict[bytes, bool] = {}
        self._undecodable_after: int | None = None

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
        if await self._pool.fetchval(_LAST_HOST, ENDPOINT) != self._upstream.host:
            self._forget_account_seqs()
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
        await self._pool.execute(_KEEP_HISTORY, self._upstream.host, ENDPOINT, self._position.seq or 0, reason)
        # The stored cursor stays until the batch that holds these marks, or a later one, replaces it: a process that
        # dies before that meets the same answer again, and no gap goes unnoticed.
        self._position.seq = None
        self._below_cursor = 0
        self._forget_account_seqs()
        self._desynchronize_all(Cause.UPSTREAM_RESTARTED)

    def _forget_account_seqs(self) -> None:
        """Let the next #account of every repository count: the numbers that are stored are another stream's."""
        for repo in self._repos.by_did.values():
            if repo.account_seq is not None:
                repo.account_seq = None
                self._journal.touch(repo)

    def _desynchronize_all(self, cause: Cause) -> None:
        for repo in self._repos.by_did.values():
            if repo.sync_status is SyncStatus.SYNCHRONIZED:
                repo.desynchronize(cause)
                self._metrics.desynchronize(cause)
                self._wake(repo)
                self._journal.touch(repo)
            elif repo.sync_status is SyncStatus.DESYNCHRONIZED:
                # Its chain may have a gap now: the waiting commits alone will not do, nor what is being fetched.
                repo.doubt(cause)
                self._journal.touch(repo)

    async def _undecoded(self, raw: bytes, error: FrameError) -> None:
        """Drop the connection for a frame that cannot be read; when it comes again, keep it and go on."""
        if self._undecodable_after != self._position.seq:
            self._undecodable, self._undecodable_after = {}, self._position.seq
        known = hashlib.sha256(raw).digest()
        if known not in self._undecodable:
            self._undecodable[known] = False
            raise _Reconnect(f"a frame that cannot be decoded: {error}")
        if self._undecodable[known]:
            return
        self._undecodable[known] = True
        reason = str(error)[:500].replace("\0", "\ufffd")
        content = raw[:KEPT_FRAME_BYTES]
        await self._pool.execute(_KEEP_FRAME, self._upstream.host, self._position.seq, reason, content, KEPT_FRAMES)
        self._metrics.event(
            "indexer.undecodable_frame", host=self._upstream.host, after_seq=self._position.seq, size_bytes=len(raw)
        )
