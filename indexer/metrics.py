"""What the indexer counts: plain numbers, cheap to move, and one canonical line for what an operator should know.

`indexer.instruments` declares the names, `indexer.observation` shows the counts under them. One line is logged for each
batch that changed something and for each repair, never one for a frame; DIDs stand in log lines only.
"""

import logging
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from indexer.decisions import Cause, Ignored
from indexer.instruments import (
    BATCH_SECONDS,
    HOSTS_LIMIT,
    OTHER_HOSTS,
    REPAIR_SECONDS,
    STREAM_EVENTS,
    VISIBLE_SECONDS,
    Fetch,
    Instrument,
)
from indexer.journal import CursorMove

_logger = logging.getLogger("plyr.indexer")


class Histogram:
    """How many observations fell below each bound of an instrument."""

    def __init__(self, instrument: Instrument) -> None:
        """Start with none."""
        self.bounds = instrument.buckets
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class HostCounter(Counter[str]):
    """Counts by names of hosts, which strangers choose: so many names, then one for all others."""

    def count(self, host: str) -> None:
        """Count one."""
        self[host if host in self or len(self) < HOSTS_LIMIT else OTHER_HOSTS] += 1


@dataclass(slots=True)
class LabelerView:
    """How it stands with one labeler: whether its stream is open, and when it last said anything; `seq` is stored."""

    is_connected: bool = False
    seq: int = 0
    last_message_at: datetime | None = None


class Metrics:
    """Counts since the start of this process."""

    def __init__(self) -> None:
        """Start at zero."""
        self.frames: Counter[str] = Counter()
        self.ignored: Counter[str] = Counter()
        self.desynchronized: Counter[str] = Counter()
        self.unverified: Counter[str] = Counter()
        self.repairs: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self.stream_events: Counter[tuple[str, str]] = Counter()
        self.legacy_commits = HostCounter()
        self.too_many_requests = HostCounter()
        self.fetches: Counter[str] = Counter()
        self.fetch_requests: Counter[str] = Counter()
        self.fetched_bytes: Counter[str] = Counter()
        self.commits_verified = 0
        self.batches_written = 0
        self.cursors: dict[str, CursorMove] = {}
        self.repair_seconds = Histogram(REPAIR_SECONDS)
        self.batch_seconds = Histogram(BATCH_SECONDS)
        self.visible_seconds = Histogram(VISIBLE_SECONDS)
        self.audit_counts: Mapping[str, int] = {}
        self.audit_finished_at: datetime | None = None
        self.share_of_same: float | None = None
        self.labels_stored: Counter[str] = Counter()
        self.labels_refused: Counter[str] = Counter()
        self.labelers: dict[str, LabelerView] = {}

    def frame(self, kind: str) -> None:
        """Count a frame that concerns us, by kind."""
        self.frames[kind] += 1

    def ignore(self, reason: Ignored) -> None:
        """Count a message that changed nothing."""
        self.ignored[reason] += 1

    def desynchronize(self, cause: Cause) -> None:
        """Count a repository that needs repair."""
        self.desynchronized[cause] += 1

    def legacy_commit(self, pds: str | None) -> None:
        """Count a verified commit without prevData, by the account's host."""
        self.legacy_commits.count(urlsplit(pds or "").netloc or OTHER_HOSTS)

    def fetched(self, *, is_sparse: bool, requests: int, size_bytes: int) -> None:
        """Count a repository that was fetched, in part or whole."""
        how = Fetch.SPARSE if is_sparse else Fetch.WHOLE
        self.fetches[how] += 1
        self.fetch_requests[how] += requests
        self.fetched_bytes[how] += size_bytes

    def event(self, name: str, /, **fields: object) -> None:
        """Count something rare that an operator should know of, and log it."""
        self._count(name, fields)
        _logger.warning(_line(name, fields))

    def often(self, name: str, /, **fields: object) -> None:
        """Count what a stranger can bring about with every frame; a line for the first and for every thousandth."""
        self._count(name, fields)
        if self.events[name] % 1000 == 1:
            _logger.warning(_line(name, {"count": self.events[name]} | fields))

    def note(self, name: str, /, **fields: object) -> None:
        """Count something ordinary, and log it."""
        self._count(name, fields)
        _logger.info(_line(name, fields))

    def _count(self, name: str, fields: Mapping[str, object]) -> None:
        self.events[name] += 1
        if name in STREAM_EVENTS:
            self.stream_events[str(fields["host"]), name] += 1

    def batch_written(
        self,
        frames: int,
        units: int,
        cursors: Sequence[CursorMove],
        seconds: float = 0.0,
        visible_seconds: float | None = None,
    ) -> None:
        """Count a batch; one line when it changed records.

        `visible_seconds` passed since its first change was entered: None for one that only moves cursors.
        """
        self.batches_written += 1
        self.cursors |= {move.host: move for move in cursors}
        if visible_seconds is not None:
            self.batch_seconds.observe(seconds)
            self.visible_seconds.observe(visible_seconds)
        if units:
            _logger.info(
                _line(
                    "indexer.batch",
                    {"frames": frames, "units": units} | {f"cursor[{move.host}]": move.seq for move in cursors},
                )
            )

    def remember_audit(self, counts: Mapping[str, int], share_of_same: float | None, finished_at: datetime) -> None:
        """Take what the last audit found, which an earlier process may have done."""
        self.audit_counts, self.share_of_same, self.audit_finished_at = counts, share_of_same, finished_at

    def audited(self, counts: Mapping[str, int], share_of_same: float | None, finished_at: datetime) -> None:
        """Count an audit, and log its one line."""
        self.remember_audit(counts, share_of_same, finished_at)
        self.note("indexer.audited", share_of_same=share_of_same, **counts)

    def database_failed(self, error: BaseException) -> None:
        """Count a batch that is tried again."""
        self.event("indexer.database_failed", error=f"{type(error).__name__}: {error}"[:200])

    def repo_refused(self, did: str, detail: str) -> None:
        """Count a repository whose data the database refused."""
        self.event("indexer.repo_refused", did=did, detail=detail[:200])

    def repaired(
        self, did: str, outcome: str, cause: str | None, *, seconds: float, size_bytes: int, detail: str | None = None
    ) -> None:
        """Count a repair by outcome, and log its one line."""
        self.repairs[outcome] += 1
        self.repair_seconds.observe(seconds)
        _logger.info(
            _line(
                "indexer.resync",
                {
                    "did": did,
                    "outcome": outcome,
                    "cause": cause,
                    "seconds": round(seconds, 3),
                    "size_bytes": size_bytes,
                    "detail": detail,
                },
            )
        )


def _line(name: str, fields: Mapping[str, object]) -> str:
    return " ".join([name, *(f"{key}={value}" for key, value in fields.items() if value is not None)])
