"""The one ordered stream of everything that changes the database, and its batches.

Whoever changes a repository's state enters it here in the same step, without awaiting anything between. The
writer takes all that has gathered whenever it is free, so batches grow under load and are small when it is quiet; a
batch that only moves the cursor is taken once a second. The cursor of a batch covers exactly what is in it.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from atprotocol.errors import InvalidSyntax
from atprotocol.syntax.datetime import parse_datetime
from indexer.state import Repo

FULL_CHANGES = 4000
FULL_BYTES = 32_000_000


@dataclass(frozen=True, slots=True)
class AuditRow:
    """An audit that was asked for, with what came of it once it has ended."""

    requested_at: datetime
    reason: str
    started_at: datetime | None = None
    finished_at: datetime | None = None
    counts: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class RecordChange:
    """A record's new bytes at a path, or None for its deletion; `cid` is binary."""

    path: str
    cid: bytes | None
    raw: bytes | None


@dataclass(frozen=True, slots=True)
class CommitUnit:
    """The changes of one verified commit in our collections."""

    did: str
    rev: str
    changes: tuple[RecordChange, ...]


@dataclass(frozen=True, slots=True)
class SnapshotUnit:
    """All records of a repository in our collections at a rev: what is not among them is deleted."""

    did: str
    rev: str
    records: Mapping[str, tuple[bytes, bytes]]  # path: (cid, raw)


@dataclass(frozen=True, slots=True)
class PurgeUnit:
    """The account is gone for good: nothing of it stays but its status row."""

    did: str


@dataclass(slots=True)
class RequestUnit:
    """Somebody's request to fetch the account is taken up; the writer says when that is committed."""

    did: str
    is_written: bool = False


@dataclass(frozen=True, slots=True)
class OverlaysUnit:
    """An operator's overlays were imported, the last at an instant; `did` is any account's, as every unit has one."""

    did: str
    imported_at: datetime


Unit: TypeAlias = CommitUnit | SnapshotUnit | PurgeUnit | RequestUnit | OverlaysUnit


@dataclass(slots=True)
class Position:
    """How far a stream has been processed; its consumer moves it after every frame."""

    host: str
    endpoint: str
    seq: int | None = None
    event_time: str | None = None
    frame_count: int = 0
    # Frames of the batches that were taken; those of the present one come on top.
    taken_count: int = 0
    # Whether a connection is open just now.
    is_open: bool = False
    # What the database holds once every batch taken so far is written.
    stored_seq: int | None = None


@dataclass(frozen=True, slots=True)
class CursorMove:
    """How far a stream is applied by a batch, and from where; `event_time` as the upstream wrote it."""

    host: str
    endpoint: str
    seq: int
    event_time: str | None
    previous_seq: int | None = None


@dataclass(slots=True)
class Batch:
    """What the writer commits in one transaction; the repositories' rows are captured when it is taken."""

    units: list[Unit] = field(default_factory=list)
    repos: dict[str, Repo] = field(default_factory=dict)
    cursors: list[CursorMove] = field(default_factory=list)
    audits: list[AuditRow] = field(default_factory=list)
    frame_count: int = 0
    change_count: int = 0
    bytes_count: int = 0
    # When its first change was entered, on the journal's clock.
    began_at: float | None = None

    @property
    def has_changes(self) -> bool:
        """Tell whether more than a cursor moves."""
        return bool(self.units or self.repos or self.audits)


class Journal:
    """Gathers the present batch; one writer takes, anybody enters."""

    def __init__(self, cursor_seconds: float = 1.0, seconds: Callable[[], float] = time.monotonic) -> None:
        """Start empty; a batch that only moves cursors is due after `cursor_seconds`. `seconds` is a clock."""
        self._cursor_seconds = cursor_seconds
        self.seconds = seconds
        self._batch = Batch()
        self._positions: list[Position] = []
        self._changed = asyncio.Event()
        self._taken = asyncio.Event()

    @property
    def is_full(self) -> bool:
        """Tell whether whoever can wait should wait for the writer."""
        return self._batch.change_count >= FULL_CHANGES or self._batch.bytes_count >= FULL_BYTES

    @property
    def positions(self) -> Sequence[Position]:
        """Return the streams that are followed."""
        return self._positions

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing has gathered."""
        return not self._batch.has_changes and not any(position.frame_count for position in self._positions)

    async def room(self) -> None:
        """Wait until the writer has taken a full batch."""
        while self.is_full:
            self._taken.clear()
            await self._taken.wait()

    def enter(self, unit: Unit) -> None:
        """Add changes of records."""
        batch = self._batch
        batch.units.append(unit)
        match unit:
            case CommitUnit(changes=changes):
                batch.change_count += 1 + len(changes)
                batch.bytes_count += sum(len(change.raw) for change in changes if change.raw is not None)
            case SnapshotUnit(records=records):
                batch.change_count += 1 + len(records)
                batch.bytes_count += sum(len(raw) for _, raw in records.values())
            case _:
                batch.change_count += 1
        self._begin(batch)

    def _begin(self, batch: Batch) -> None:
        if batch.began_at is None:
            batch.began_at = self.seconds()
        self._changed.set()

    def touch(self, repo: Repo) -> None:
        """Have the repository's state written."""
        if repo.did not in self._batch.repos:
            self._batch.repos[repo.did] = repo
            self._batch.change_count += 1
        self._begin(self._batch)

    def audit(self, row: AuditRow) -> None:
        """Have an audit written down that was asked for or has ended, after all that was entered before."""
        self._batch.audits.append(row)
        self._batch.change_count += 1
        self._begin(self._batch)

    def follow(self, position: Position) -> None:
        """Store how far this stream has been processed, with every batch."""
        self._positions.append(position)

    async def take(self) -> Batch:
        """Return the gathered batch, waiting for the first change or, at most, for a cursor to be due."""
        while not self._batch.has_changes:
            try:
                async with asyncio.timeout(self._cursor_seconds):
                    await self._changed.wait()
            except TimeoutError:
                if any(position.frame_count for position in self._positions):
                    break
        return self.take_now()

    def take_now(self) -> Batch:
        """Return what has gathered, which may be nothing."""
        batch, self._batch = self._batch, Batch()
        for position in self._positions:
            if position.frame_count and position.seq is not None:
                move = CursorMove(
                    position.host, position.endpoint, position.seq, position.event_time, position.stored_seq
                )
                batch.cursors.append(move)
                position.stored_seq = position.seq
                batch.frame_count += position.frame_count
            position.taken_count += position.frame_count
            position.frame_count = 0
        self._changed.clear()
        self._taken.set()
        return batch


def instant_of(event_time: object) -> datetime | None:
    """Return when an upstream says that an event happened, if it says so readably."""
    try:
        return parse_datetime(event_time).instant if isinstance(event_time, str) else None
    except InvalidSyntax:
        return None
