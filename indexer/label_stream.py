"""Follow one labeler: connect, take the labels of every message, write them with the cursor, connect again.

A labeler that was never followed is read from the beginning. Order does not matter, as the later label holds: what comes
twice or late is taken, and only the cursor never goes back, but for a labeler that numbers anew, which is read from the
beginning again. Text instead of frames ends the connection: labels without signatures are nobody's.
Sources: https://atproto.com/specs/label, https://atproto.com/specs/event-stream
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

import asyncpg

from atprotocol.data_model import Value
from atprotocol.errors import FrameError, NetworkError, ProtocolError, StreamRefused
from atprotocol.frames import ErrorFrame, InfoFrame
from atprotocol.labels import Label, LabelsMessage, decode_message
from atprotocol.net.firehose import Backoff
from atprotocol.syntax.did import DID
from indexer.cancellation import cancellations, end_if_cancelled
from indexer.label_checks import LabelChecks
from indexer.label_repair import LabelRepair
from indexer.label_rows import LabelRows
from indexer.label_scope import Refusal
from indexer.metrics import LabelerView, Metrics

# Messages that wait while others are written; each may have megabytes.
WAITING_LIMIT = 32
# A message that changes nothing moves the stored cursor so much later.
CURSOR_SECONDS = 1.0
# A labeler that says that it serves no stream is asked again after so long.
REFUSED_SECONDS = 600.0

Connect: TypeAlias = Callable[[str, int], AbstractAsyncContextManager[AsyncIterator[bytes]]]


class _Reconnect(Exception):
    """This connection is of no more use."""


class _Restarted(_Reconnect):
    """The labeler numbers anew."""


class _Ended(_Reconnect):
    """The labeler closed the connection in order."""


_End: TypeAlias = Exception | None


@dataclass(slots=True)
class _Taken:
    """What a few messages held, before it is judged; `seq` is the highest, None where there was none."""

    labels: list[Value]
    seq: int | None = None


class LabelStream:
    """Follows one labeler for ever."""

    def __init__(
        self,
        did: DID,
        connect: Connect,
        checks: LabelChecks,
        rows: LabelRows,
        repair: LabelRepair,
        metrics: Metrics,
        backoff: Backoff,
        clock: Callable[[], datetime],
    ) -> None:
        """Take the parts; `connect` opens the stream at an origin after a cursor. Nothing runs before run()."""
        self._did = did
        self._connect = connect
        self._checks = checks
        self._rows = rows
        self._repair = repair
        self._metrics = metrics
        self._backoff = backoff
        self._clock = clock
        self._view = metrics.labelers.setdefault(did, LabelerView())
        # Every label up to here is stored; the cursor of the rows may stand before it.
        self._position = 0
        self._is_first = True

    async def run(self) -> None:
        """Follow the stream; every end of a connection is followed by a wait and a new one.

        Raises Superseded when the database is not as this process left it.
        """
        is_loaded, cancelled = False, cancellations()
        while True:
            wait: float | None = None
            try:
                if not is_loaded:
                    self._position = self._view.seq = await self._rows.load()
                    is_loaded = True
                await self._follow_once()
                reason = "the stream ended"
            except StreamRefused as error:
                reason, wait = str(error), REFUSED_SECONDS
            except NetworkError as error:
                reason, wait = str(error), error.retry_after_seconds
            except (ProtocolError, _Reconnect) as error:
                reason = str(error)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
                # What was not written comes again.
                end_if_cancelled(cancelled)
                reason = "the database failed"
                self._metrics.event("indexer.labels_unwritten", labeler=self._did, reason=str(error)[:200])
            self._view.is_connected = False
            self._metrics.event("indexer.labeler_disconnected", labeler=self._did, reason=reason[:200])
            await asyncio.sleep(self._backoff.failed(wait))

    async def _follow_once(self) -> None:
        """Follow one connection, and raise what ended it."""
        endpoint = (await self._checks.identify()).endpoint
        async with self._connect(endpoint, self._position) as connection:
            self._view.is_connected = self._is_first = True
            waiting = asyncio.Queue[bytes | Exception](WAITING_LIMIT)
            reading = asyncio.create_task(_read(connection, waiting))
            try:
                await self._write(waiting)
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)

    async def _write(self, waiting: "asyncio.Queue[bytes | Exception]") -> None:
        """Write what waits, again and again; raise what ended the connection once everything before it is written."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            is_behind = self._position > self._rows.seq
            try:
                async with asyncio.timeout_at(due if is_behind else None):
                    first = await waiting.get()
            except TimeoutError:
                await self._store([], self._position)
                due = loop.time() + CURSOR_SECONDS
                continue
            taken, end = self._take_up(first, waiting)
            labels = await self._checks.accepted(taken.labels)
            position = max(self._position, taken.seq or 0)
            if labels or (position > self._rows.seq and loop.time() >= due):
                await self._store(labels, position)
                due = loop.time() + CURSOR_SECONDS
            self._position = position
            if end is not None:
                await self._heed(end)

    def _take_up(self, first: bytes | Exception, waiting: "asyncio.Queue[bytes | Exception]") -> tuple[_Taken, _End]:
        """Return what the messages that wait by now hold, up to the first that ends the connection."""
        taken, item = _Taken([]), first
        while True:
            if isinstance(item, Exception):
                return taken, item
            self._view.last_message_at = self._clock()
            if (end := self._decode(item, taken)) is not None:
                return taken, end
            if waiting.empty():
                return taken, None
            item = waiting.get_nowait()

    def _decode(self, raw: bytes, taken: _Taken) -> _End:
        """Add what one message holds; return what ends the connection."""
        try:
            message = decode_message(raw)
        except FrameError as error:
            # It would come again the same: what it held is asked for in another way.
            self._metrics.labels_refused[Refusal.UNREADABLE] += 1
            self._metrics.often(
                "indexer.label_refused", labeler=self._did, refusal=Refusal.UNREADABLE, reason=str(error)[:200]
            )
            self._repair.want()
            return None
        match message:
            case LabelsMessage(seq=seq, labels=labels):
                is_first, self._is_first = self._is_first, False
                if is_first and seq < self._position:
                    return _Restarted(f"it answers with seq {seq} below the cursor {self._position}")
                if not is_first and seq <= max(self._position, taken.seq or 0):
                    self._metrics.often("indexer.labeler_out_of_order", labeler=self._did, seq=seq)
                self._backoff.succeeded()
                taken.labels += labels
                taken.seq = max(taken.seq or 0, seq)
            case InfoFrame(name="OutdatedCursor"):
                self._metrics.event("indexer.labeler_outdated_cursor", labeler=self._did, cursor=self._position)
                self._repair.want()
            case InfoFrame(name=name):
                self._metrics.event("indexer.labeler_info", labeler=self._did, name=name[:60])
            case ErrorFrame(error="FutureCursor"):
                return _Restarted("it says FutureCursor")
            case ErrorFrame(error=name, message=said):
                return _Reconnect(f"{name[:60]}: {(said or '')[:120]}")
        return None

    async def _heed(self, end: Exception) -> None:
        """Do what the end of a connection asks for, and raise it."""
        if isinstance(end, _Restarted):
            self._metrics.event("indexer.labeler_restarted", labeler=self._did, cursor=self._position, reason=str(end))
            await self._rows.store([], 0)
            self._position = self._view.seq = 0
        raise end

    async def _store(self, labels: list[Label], position: int) -> None:
        """Write labels, and the cursor unless a repair is still to bring what lies before it."""
        if not labels and self._repair.is_pending:
            return
        changed = await self._rows.store(labels, None if self._repair.is_pending else position)
        self._metrics.labels_stored[self._did] += changed
        self._view.seq = self._rows.seq


async def _read(connection: AsyncIterator[bytes], waiting: "asyncio.Queue[bytes | Exception]") -> None:
    """Hand on every message, and then what ended the connection."""
    try:
        async for raw in connection:
            await waiting.put(raw)
    except (NetworkError, FrameError) as error:
        await waiting.put(error)
    else:
        await waiting.put(_Ended("the labeler ended the stream"))
