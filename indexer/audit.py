"""Audit beats replay: after a gap, and daily, compare every repository with its host and repair those that differ.

An audit that is asked for is written down with the cursor that it is about, so that no crash forgets it, and its end is
written after the repairs that it asked for. It begins once the streams are live: what comes meanwhile is dealt with as
ever. A host that is down changes nothing.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import asyncpg

from atprotocol.errors import NetworkError
from atprotocol.syntax.did import DID
from indexer.comparing import Comparing, ComparingSettings, Finding
from indexer.decisions import Cause, SyncStatus, is_withheld
from indexer.identities import Identities
from indexer.journal import AuditRow, Journal, Position, instant_of
from indexer.metrics import Metrics
from indexer.repair_outcomes import RepairFailed
from indexer.state import Repo, Repos
from indexer.verdicts import DIFFERENT, HostView, share_of_same

_OPEN = "SELECT requested_at, reason FROM network.audits WHERE finished_at IS NULL ORDER BY requested_at"
# One that was made by hand reads no DID document anew, and may have had nothing fetched.
_LAST = """
    SELECT finished_at, counts FROM network.audits WHERE finished_at IS NOT NULL AND reason <> 'plyr audit'
    ORDER BY finished_at DESC LIMIT 1
"""
REPORT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """When to audit, and how gently."""

    every: timedelta = timedelta(days=1)
    # A stream is live when its events are so recent, or when it brings nothing for so long.
    live_within: timedelta = timedelta(seconds=60)
    quiet_seconds: float = 2.0
    # An upstream that is not live after so long does not hold up the audit any more.
    wait_seconds: float = 600.0
    comparing: ComparingSettings = field(default_factory=ComparingSettings)


class Audit:
    """Runs audits, one at a time; several that are asked for meanwhile become one."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        repos: Repos,
        journal: Journal,
        look: Callable[[str, DID], Awaitable[HostView]],
        identities: Identities,
        metrics: Metrics,
        clock: Callable[[], datetime],
        wake: Callable[[Repo], None],
        settings: AuditSettings,
    ) -> None:
        """Take the parts; nothing runs before run()."""
        self._pool = pool
        self._repos = repos
        self._journal = journal
        self._look = look
        self._identities = identities
        self._metrics = metrics
        self._clock = clock
        self._wake = wake
        self._settings = settings
        self._positions: list[Position] = []
        self._expected_count = 0
        self._open: list[AuditRow] = []
        self._under_way: list[AuditRow] = []
        self._asked = asyncio.Event()
        self._last_requested: datetime | None = None
        self._asked_at = clock()

    @property
    def is_idle(self) -> bool:
        """Tell whether no audit is asked for or under way."""
        return not self._open

    def expect(self, count: int) -> None:
        """Wait, before each audit, for so many streams to be followed."""
        self._expected_count = count

    def follow(self, position: Position) -> None:
        """Wait, before each audit, until this stream is live."""
        self._positions.append(position)

    def request(self, reason: str) -> None:
        """Have an audit done; it is written down with the batch that is being gathered.

        One that was asked for with the same reason, and has not begun, is the one that is asked for now.
        """
        now = self._clock()
        if self._last_requested is not None and now <= self._last_requested:
            now = self._last_requested + timedelta(microseconds=1)
        self._last_requested = now
        if any(row.reason == reason for row in self._open if row not in self._under_way):
            return
        row = AuditRow(now, reason)
        self._open.append(row)
        self._journal.audit(row)
        self._metrics.note("indexer.audit_requested", reason=reason)
        self._asked.set()

    async def run(self) -> None:
        """Audit for ever: what the last process left undone, what is asked for, and daily."""
        self._open += [AuditRow(row["requested_at"], row["reason"]) for row in await self._pool.fetch(_OPEN)]
        last = await self._pool.fetchrow(_LAST)
        if last is None:
            due = self._clock() + (timedelta(0) if self._repos.by_did else self._settings.every)
        else:
            due = last["finished_at"] + self._settings.every
            counts: dict[str, int] = json.loads(last["counts"] or "{}")
            self._metrics.remember_audit(counts, share_of_same(counts), last["finished_at"])
        while True:
            if not self._open:
                await self._wait(due)
                if not self._open:
                    self.request("daily")
            await self._until_live()
            await self.audit()
            due = self._clock() + self._settings.every

    async def _wait(self, due: datetime) -> None:
        self._asked.clear()
        try:
            async with asyncio.timeout(max(0.0, (due - self._clock()).total_seconds())):
                await self._asked.wait()
        except TimeoutError:
            return

    async def audit(self) -> None:
        """Do now what is asked for, in one comparison."""
        rows, started_at = self._open.copy(), self._clock()
        self._under_way = rows
        # A change of identity may have been missed before any of them was asked for.
        self._asked_at = self._last_requested or max(row.requested_at for row in rows)
        comparing = Comparing(
            self._look, self._settings.comparing, prepare=self._refresh_identity, present=self._present
        )
        repos = list(self._repos.by_did.values())
        for repo in repos:
            if repo.sync_status is SyncStatus.DESYNCHRONIZED:
                # What waits may lack what was missed: only its host's word will do.
                repo.doubt(Cause.AUDIT)
                self._journal.touch(repo)
            elif repo.sync_status is SyncStatus.ERROR and repo.active:
                # What was given up is tried again now and then: the fault may have been ours.
                repo.desynchronize(Cause.AUDIT)
                self._journal.touch(repo)
                self._wake(repo)
        reporter = asyncio.create_task(self._report(comparing, len(repos)))
        try:
            await comparing.run(repos, self._found)
        finally:
            reporter.cancel()
        counts = dict(comparing.counts)
        finished_at = self._clock()
        for row in rows:
            self._journal.audit(AuditRow(row.requested_at, row.reason, started_at, finished_at, counts))
        self._open, self._under_way = [row for row in self._open if row not in rows], []
        self._metrics.audited(counts, share_of_same(counts), finished_at)

    def _found(self, finding: Finding) -> None:
        repo = self._repos.by_did[finding.did]
        self._metrics.often(f"indexer.audit_{finding.verdict}", did=finding.did, detail=finding.detail)
        if finding.verdict in DIFFERENT:
            repo.desynchronize(Cause.AUDIT, finding.detail)
            self._metrics.desynchronize(Cause.AUDIT)
            self._journal.touch(repo)
            self._wake(repo)

    async def _present(self, did: str) -> Repo | None:
        return self._repos.by_did.get(did)

    async def _refresh_identity(self, repo: Repo) -> None:
        # Also of a hidden account: it may be active at another host by now. What an upstream withholds stays as it is.
        if (repo.active or not is_withheld(repo)) and (repo.identity_at is None or repo.identity_at < self._asked_at):
            try:
                await self._identities.refresh(repo)
            except RepairFailed as failure:
                raise NetworkError(failure.detail) from failure

    async def _report(self, comparing: Comparing, total: int) -> None:
        while True:
            before = comparing.done_count
            await asyncio.sleep(REPORT_SECONDS)
            done, rate = comparing.done_count, (comparing.done_count - before) / REPORT_SECONDS
            remaining = round((total - done) / rate) if rate else None
            self._metrics.note(
                "indexer.auditing", done=done, total=total, per_second=round(rate, 1), remaining_seconds=remaining
            )

    async def _until_live(self) -> None:
        """Wait until every stream is live: what differs from a host before that is mostly on its way."""
        try:
            async with asyncio.timeout(self._settings.wait_seconds):
                while not await self._are_live(self._positions.copy()):
                    pass
        except TimeoutError:
            self._metrics.event("indexer.audit_not_live", waited_seconds=self._settings.wait_seconds)

    async def _are_live(self, positions: Sequence[Position]) -> bool:
        before = [position.seq for position in positions]
        await asyncio.sleep(self._settings.quiet_seconds)
        return len(positions) >= self._expected_count and all(
            position.is_open and (position.seq == seq or self._is_recent(position))
            for position, seq in zip(positions, before, strict=True)
        )

    def _is_recent(self, position: Position) -> bool:
        time = instant_of(position.event_time)
        return time is not None and self._clock() - time < self._settings.live_within
