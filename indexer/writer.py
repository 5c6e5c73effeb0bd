"""The one writer: takes batches from the journal and commits each with its repositories and its cursor.

Rows, repository state and cursor are one transaction (law 1). What Postgres refuses as bad data is found again unit by
unit under savepoints: the culprit's repository becomes `error` and the rest is written. A lost connection or a full
disk is no verdict on the data: the same batch is tried again until it is written or the program ends.
"""

import asyncio
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg
import logfire

from indexer import counters, overlays, record_rows, repo_rows, search_rows
from indexer.cancellation import cancellations, end_if_cancelled
from indexer.decisions import Cause, SyncStatus
from indexer.interning import actor_ids
from indexer.journal import (
    AuditRow,
    Batch,
    CommitUnit,
    CursorMove,
    Journal,
    OverlaysUnit,
    PurgeUnit,
    RequestUnit,
    SnapshotUnit,
    Unit,
    instant_of,
)
from indexer.leadership import Lead, Superseded
from indexer.media_rows import NO_WISHES, MediaWishes
from indexer.metrics import Metrics
from indexer.record_rows import Outcome
from indexer.records import RecordReader
from indexer.repo_rows import RepoRow
from indexer.state import Repos

# Postgres says "this value", "this constraint" or "this is too big": the data are at fault, not the connection.
_DATA_ERRORS: Final = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    asyncpg.StatementTooComplexError,
)
_PASSING_ERRORS: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    # What asyncpg says when a connection is cut between two of its steps.
    asyncpg.InternalClientError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.TransactionRollbackError,
    asyncpg.CannotConnectNowError,
    asyncpg.LockNotAvailableError,
    asyncpg.PostgresIOError,
)
# So many records of a snapshot are read at a time: reading them all at once would hold up the stream for seconds.
SNAPSHOT_SLICE: Final = 500
RETRY_SECONDS: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
# How long the end of the program waits for a database that does not answer: the cursor still stands before what is lost.
LAST_WRITE_SECONDS: Final = 30.0

# From where this process left it, or where it is already: whether a commit was done is unknown when it is interrupted.
_MOVE_CURSOR = """
    INSERT INTO network.cursors AS stored (host, endpoint, seq, event_time) VALUES ($1, $2, $3, $4)
    ON CONFLICT (host, endpoint) DO UPDATE SET seq = excluded.seq, event_time = excluded.event_time, updated_at = now()
    WHERE stored.seq IN ($5, excluded.seq)
    RETURNING seq
"""
# Nothing is written upon a batch that is not there: neither beside another leader, who counts on under a number of its
# own, nor after a crash in which Postgres forgot the last batches. The row stays locked until the transaction ends.
_FENCE = "UPDATE network.leadership SET batch = $2::bigint + 1 WHERE epoch = $1 AND batch IN ($2::bigint, $2::bigint + 1) RETURNING batch"
_AUDIT = """
    INSERT INTO network.audits (requested_at, reason, started_at, finished_at, counts) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (requested_at) DO UPDATE
    SET started_at = excluded.started_at, finished_at = excluded.finished_at, counts = excluded.counts
"""
_FORGET_AUDITS = """
    DELETE FROM network.audits
    WHERE requested_at < (SELECT requested_at FROM network.audits ORDER BY requested_at DESC OFFSET 1000 LIMIT 1)
"""
_TAKE_REQUEST = "UPDATE plyr.sync_requests SET taken_at = now() WHERE did = $1"


@dataclass(frozen=True, slots=True)
class _Taken:
    """A batch as it was taken: its repositories' rows can no longer change under the writer."""

    units: Sequence[Unit]
    rows: dict[str, RepoRow]
    cursors: Sequence[CursorMove]
    audits: Sequence[AuditRow]
    frame_count: int
    taken_at: float
    began_at: float | None


class Writer:
    """Writes what the journal gathers."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        journal: Journal,
        repos: Repos,
        reader: RecordReader,
        metrics: Metrics,
        clock: Callable[[], datetime],
        lead: Lead,
        wishes: MediaWishes = NO_WISHES,
    ) -> None:
        """Take the parts; `lead` is the leadership under which to write, `wishes` what is to be done about blobs.

        Nothing is written before run() or flush().
        """
        self._pool = pool
        self._journal = journal
        self._repos = repos
        self._reader = reader
        self._metrics = metrics
        self._clock = clock
        self._lead = lead
        self._wishes = wishes
        self._batch_number = lead.batch
        # What was taken from the journal and is not known to be committed: nothing later may be written before it.
        self._in_hand: _Taken | None = None

    @property
    def is_idle(self) -> bool:
        """Tell whether no batch waits to be committed."""
        return self._in_hand is None

    async def run(self) -> None:
        """Write batches for ever; when cancelled, finish the batch in hand and what has gathered.

        Raises Superseded when another indexer leads: nothing was written then, nor will be.
        """
        try:
            while True:
                self._in_hand = self._capture(await self._journal.take())
                await self._write_in_hand()
        except asyncio.CancelledError:
            try:
                async with asyncio.timeout(LAST_WRITE_SECONDS):
                    await self.flush()
            except TimeoutError:
                self._metrics.event("indexer.ended_unwritten", waited_seconds=LAST_WRITE_SECONDS)
            raise

    async def flush(self) -> None:
        """Write what is in hand and what has gathered, now."""
        await self._write_in_hand()
        batch = self._journal.take_now()
        if batch.has_changes or batch.cursors:
            self._in_hand = self._capture(batch)
            await self._write_in_hand()

    async def _write_in_hand(self) -> None:
        """Write the batch in hand until it is committed; twice changes nothing more than once."""
        taken = self._in_hand
        if taken is None:
            return
        cancelled = cancellations()
        for attempt in itertools.count():
            try:
                with logfire.span(
                    "indexer.batch", frames=taken.frame_count, units=len(taken.units), repos=len(taken.rows)
                ):
                    await self._write_once(taken)
            except _PASSING_ERRORS as error:
                self._metrics.database_failed(error)
                end_if_cancelled(cancelled)
                await asyncio.sleep(RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)])
            else:
                self._in_hand = None
                self._batch_number += 1
                for unit in taken.units:
                    if isinstance(unit, RequestUnit):
                        unit.is_written = True
                written_at = self._journal.seconds()
                self._metrics.batch_written(
                    taken.frame_count,
                    len(taken.units),
                    taken.cursors,
                    written_at - taken.taken_at,
                    None if taken.began_at is None else written_at - taken.began_at,
                )
                return

    def _capture(self, batch: Batch) -> _Taken:
        """Fix the batch: the rows as they are now, without what was built upon units that the database refused."""
        refused = {
            unit.did
            for unit in batch.units
            if (repo := self._repos.by_did.get(unit.did)) and repo.sync_status is SyncStatus.ERROR
        }
        units = [
            unit for unit in batch.units if unit.did not in refused or isinstance(unit, RequestUnit | OverlaysUnit)
        ]
        now = self._clock()
        for repo in batch.repos.values():
            repo.note_wait(now)
        rows = {did: repo_rows.capture(repo) for did, repo in batch.repos.items()}
        return _Taken(
            units, rows, batch.cursors, batch.audits, batch.frame_count, self._journal.seconds(), batch.began_at
        )

    async def _write_once(self, taken: _Taken) -> None:
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                actors = await self._begin(connection, taken)
                await self._write_units(connection, taken.units, actors)
        except _DATA_ERRORS:
            actors = await self._write_one_by_one(taken)
        for did in taken.rows:
            self._repos.by_did[did].actor_id = actors[did]

    async def _write_one_by_one(self, taken: _Taken) -> dict[str, int]:
        refused: dict[str, str] = {}
        async with self._pool.acquire() as connection, connection.transaction():
            actors = await self._begin(connection, taken)
            for unit in taken.units:
                if unit.did in refused:
                    continue
                try:
                    async with connection.transaction():
                        await self._write_units(connection, [unit], actors)
                except _DATA_ERRORS as error:
                    refused[unit.did] = f"{type(error).__name__}: {error}"[:500]
            for did, detail in refused.items():
                repo = self._repos.by_did[did]
                repo.sync_status, repo.cause, repo.cause_detail = SyncStatus.ERROR, Cause.REFUSED_BY_DATABASE, detail
                repo.forget_commits()
                repo.forget_waiting()
            # Through the same gate as all others: an account may have been hidden while this was written.
            await _save(connection, {actors[did]: repo_rows.capture(self._repos.by_did[did]) for did in refused})
        for did, detail in refused.items():
            self._metrics.repo_refused(did, detail)
        return actors

    async def _begin(self, connection: asyncpg.Connection, taken: _Taken) -> dict[str, int]:
        """Write repositories and cursors, and number every account of the batch; refuse when another indexer leads."""
        if await connection.fetchval(_FENCE, self._lead.epoch, self._batch_number) is None:
            raise Superseded("another indexer has taken the lead, or the database lost what was written last")
        actors: dict[str, int] = {}
        unknown: set[str] = set()
        for did in {*taken.rows, *(unit.did for unit in taken.units)}:
            number = self._repos.by_did[did].actor_id
            if number is None:
                unknown.add(did)
            else:
                actors[did] = number
        actors |= await actor_ids(connection, unknown)
        await _save(connection, {actors[did]: row for did, row in taken.rows.items()})
        for move in taken.cursors:
            instant = instant_of(move.event_time)
            if (
                await connection.fetchval(_MOVE_CURSOR, move.host, move.endpoint, move.seq, instant, move.previous_seq)
                is None
            ):
                raise Superseded(f"the cursor of {move.host} was moved by somebody else")
        for row in taken.audits:
            counts = None if row.counts is None else json.dumps(row.counts)
            await connection.execute(_AUDIT, row.requested_at, row.reason, row.started_at, row.finished_at, counts)
            await connection.execute(_FORGET_AUDITS)
        return actors

    async def _write_units(self, connection: asyncpg.Connection, units: Sequence[Unit], actors: dict[str, int]) -> None:
        """Write units in their order; runs of commits are folded, so that each path is written once."""
        now = self._clock()
        folded: dict[tuple[str, str], Outcome] = {}

        async def write_folded() -> None:
            await record_rows.apply_outcomes(connection, list(folded.values()), actors, now, self._wishes)
            folded.clear()

        for unit in units:
            match unit:
                case CommitUnit(did=did, rev=rev, changes=changes):
                    for change in changes:
                        reading = self._reader.read(change.path, change.raw) if change.raw is not None else None
                        earlier = folded.get((did, change.path))
                        was_written = earlier is not None and (earlier.cid is not None or earlier.was_written)
                        folded[did, change.path] = Outcome(
                            did, change.path, rev, change.cid, change.raw, reading, was_written
                        )
                case SnapshotUnit():
                    await write_folded()
                    await self._write_snapshot(connection, unit, actors, now)
                case PurgeUnit(did=did):
                    await write_folded()
                    await record_rows.purge(connection, actors[did])
                case RequestUnit(did=did):
                    await connection.execute(_TAKE_REQUEST, did)
                case OverlaysUnit(imported_at=imported_at):
                    await write_folded()
                    await overlays.apply_since(connection, imported_at)
        await write_folded()

    async def _write_snapshot(
        self, connection: asyncpg.Connection, unit: SnapshotUnit, actors: dict[str, int], now: datetime
    ) -> None:
        """Write the difference between a repository and what the rows say of it: creates, updates and deletes."""
        stored = await record_rows.live_paths(connection, actors[unit.did])
        changed = [path for path, (cid, _) in unit.records.items() if stored.get(path) != cid]
        paths = sorted(stored.keys() - unit.records.keys()) + changed
        for start in range(0, len(paths), SNAPSHOT_SLICE):
            outcomes = []
            for path in paths[start : start + SNAPSHOT_SLICE]:
                cid, raw = unit.records.get(path, (None, None))
                reading = self._reader.read(path, raw) if raw is not None else None
                outcomes.append(Outcome(unit.did, path, unit.rev, cid, raw, reading))
            await record_rows.apply_outcomes(connection, outcomes, actors, now, self._wishes)
            await asyncio.sleep(0)


async def _save(connection: asyncpg.Connection, rows: Mapping[int, RepoRow]) -> None:
    """Write the rows of repositories, and count those in or out that become visible or cease to be."""
    before = await repo_rows.visibility(connection, list(rows)) if rows else {}
    renamed = await repo_rows.renamed(connection, rows)
    await repo_rows.save(connection, rows)
    await search_rows.refresh_actors(connection, renamed)
    after = await repo_rows.visibility(connection, list(before)) if before else {}
    await counters.count_actors(
        connection, [actor for actor, visible in after.items() if visible and not before[actor]], 1
    )
    await counters.count_actors(
        connection, [actor for actor, visible in after.items() if before[actor] and not visible], -1
    )
