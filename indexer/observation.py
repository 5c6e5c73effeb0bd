"""What a running indexer shows of itself: every declared metric at one moment, and whether it does its work.

Nothing here is counted: the counts are `indexer.metrics`', the rest is read off the living parts when somebody asks, on
their own event loop. The repositories are gone through in slices, so that a scrape holds up no frame.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeAlias

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from indexer import instruments as declared
from indexer.decisions import SyncStatus
from indexer.growth import Growth
from indexer.instruments import INSTRUMENTS, Instrument, Kind
from indexer.journal import Journal, Position, instant_of
from indexer.metrics import Histogram, Metrics
from indexer.repair import Repair
from indexer.state import Repo, Repos
from indexer.writer import Writer

TICK_SECONDS = 1.0
# What has gathered is written at once; after so long without a batch something is wrong.
UNWRITTEN_LIMIT = timedelta(seconds=60)
SLICE = 5000

Values: TypeAlias = Mapping[tuple[str, ...], float]
Reading: TypeAlias = Values | Histogram


@dataclass(slots=True)
class _Survey:
    """What a walk over all repositories found."""

    by_status: Counter[str] = field(default_factory=lambda: _zeros(declared.REPOS))
    by_cause: Counter[str] = field(default_factory=lambda: _zeros(declared.UNSYNCHRONIZED))
    oldest: datetime | None = None

    def add(self, repos: Sequence[Repo]) -> None:
        synchronized = SyncStatus.SYNCHRONIZED
        rest = [repo for repo in repos if repo.sync_status is not synchronized or not repo.active]
        self.by_status[synchronized] += len(repos) - len(rest)
        for repo in rest:
            self.by_status[repo.sync_status if repo.active else declared.INACTIVE] += 1
            if repo.active and repo.sync_status is SyncStatus.DESYNCHRONIZED:
                self._add_waiting(repo)

    def _add_waiting(self, repo: Repo) -> None:
        if repo.cause is not None:
            self.by_cause[repo.cause] += 1
        since = repo.desynchronized_at
        if since is not None and (self.oldest is None or since < self.oldest):
            self.oldest = since


@dataclass(slots=True)
class _Arrivals:
    """How many frames an upstream had brought, and when that number was last seen to grow."""

    count: int
    at: datetime


class Observation:
    """Reads the living parts."""

    def __init__(
        self,
        metrics: Metrics,
        repos: Repos,
        journal: Journal,
        writer: Writer,
        repair: Repair,
        growth: Growth,
        clock: Callable[[], datetime],
    ) -> None:
        """Take the parts; `run` keeps the times of what came and what was written."""
        self._metrics = metrics
        self._repos = repos
        self._journal = journal
        self._writer = writer
        self._repair = repair
        self._growth = growth
        self._clock = clock
        self._arrivals: dict[str, _Arrivals] = {}
        self._batches = 0
        self._written_at = clock()

    async def run(self) -> None:
        """Look once a second for ever."""
        while True:
            self.tick()
            await asyncio.sleep(TICK_SECONDS)

    def tick(self) -> None:
        """Remember when frames last came, and when all was last written or a batch was."""
        now = self._clock()
        for position in self._journal.positions:
            count, seen = _received(position), self._arrivals.get(position.host)
            if seen is None or count != seen.count:
                self._arrivals[position.host] = _Arrivals(count, now)
        is_all_written = self._journal.is_empty and self._writer.is_idle
        if is_all_written or self._metrics.batches_written != self._batches:
            self._batches, self._written_at = self._metrics.batches_written, now

    def trouble(self) -> str | None:
        """Return why the indexer does not do its work; None when it does, a quiet stream included."""
        self.tick()
        unwritten = self._clock() - self._written_at
        if unwritten <= UNWRITTEN_LIMIT:
            return None
        return f"nothing was written for {unwritten.total_seconds():.0f} s although something waits to be"

    def silence(self) -> dict[str, float]:
        """Return for each upstream the seconds since it brought a frame, or since it was first looked at."""
        now = self._clock()
        return {host: _seconds(now - arrivals.at) for host, arrivals in self._arrivals.items()}

    async def families(self) -> list[Metric]:
        """Return every declared metric as it is now, in the order of the declarations."""
        survey, repos = _Survey(), list(self._repos.by_did.values())
        for start in range(0, len(repos), SLICE):
            survey.add(repos[start : start + SLICE])
            await asyncio.sleep(0)
        self.tick()
        readings = self._streams() | self._counted() | self._waiting(survey) | self._labels()
        return [_family(instrument, readings[instrument]) for instrument in INSTRUMENTS]

    def _streams(self) -> dict[Instrument, Reading]:
        now, positions, metrics = self._clock(), self._journal.positions, self._metrics
        written = {position.host: metrics.cursors.get(position.host) for position in positions}
        lags: dict[tuple[str, ...], float] = {}
        for position in positions:
            move = written[position.host]
            instant = instant_of(position.event_time if move is None else move.event_time)
            if instant is not None:
                lags[position.host,] = _seconds(now - instant)
        cursors = {
            (each.host,): each.stored_seq if (move := written[each.host]) is None else move.seq for each in positions
        }
        events: dict[tuple[str, ...], float] = {
            (each.host, name): 0 for each in positions for name in declared.STREAM_EVENTS
        }
        events.update(metrics.stream_events.items())
        return {
            declared.RECEIVED: {(each.host,): _received(each) for each in positions},
            declared.LAG: lags,
            declared.LAST_FRAME: {(host,): seconds for host, seconds in self.silence().items()},
            declared.CURSOR: {host: seq for host, seq in cursors.items() if seq is not None},
            declared.RECEIVED_SEQ: {(each.host,): each.seq for each in positions if each.seq is not None},
            declared.GAPS: {(host,): count for (host, name), count in events.items() if name == "indexer.gap"},
            declared.STREAM: events,
        }

    def _counted(self) -> dict[Instrument, Reading]:
        metrics = self._metrics
        finished_at, share = metrics.audit_finished_at, metrics.share_of_same
        return {
            declared.FRAMES: _labelled(metrics.frames),
            declared.IGNORED: _labelled(metrics.ignored),
            declared.EVENT: _labelled(metrics.events),
            declared.LEADS: {(): 1},
            declared.VERIFIED: {(): metrics.commits_verified},
            declared.UNVERIFIED: _labelled(metrics.unverified),
            declared.LEGACY: _labelled(metrics.legacy_commits),
            declared.DESYNCHRONIZED: _labelled(metrics.desynchronized),
            declared.REPAIRS: _labelled(metrics.repairs),
            declared.REPAIR_SECONDS: metrics.repair_seconds,
            declared.FETCHES: _labelled(metrics.fetches),
            declared.FETCH_REQUESTS: _labelled(metrics.fetch_requests),
            declared.FETCHED_BYTES: _labelled(metrics.fetched_bytes),
            declared.TOO_MANY: _labelled(metrics.too_many_requests),
            declared.REFUSED: {(): metrics.events["indexer.growth_refused"]},
            declared.AUDIT_REPOS: {} if finished_at is None else _labelled(metrics.audit_counts),
            declared.AUDIT_SHARE: {} if share is None else {(): share},
            declared.AUDIT_AGE: {} if finished_at is None else {(): _seconds(self._clock() - finished_at)},
            declared.BATCHES: {(): metrics.batches_written},
            declared.BATCH_SECONDS: metrics.batch_seconds,
            declared.VISIBLE_SECONDS: metrics.visible_seconds,
        }

    def _waiting(self, survey: _Survey) -> dict[Instrument, Reading]:
        waits, turns = self._repair.waits_seconds(), self._repair.turns
        overdue = [seconds for seconds in waits if seconds >= 0]
        oldest = 0.0 if survey.oldest is None else _seconds(self._clock() - survey.oldest)
        return {
            declared.REPOS: _labelled(survey.by_status),
            declared.UNSYNCHRONIZED: _labelled(survey.by_cause),
            declared.OLDEST: {(): oldest},
            declared.QUEUE: {
                ("due",): len(overdue),
                ("later",): len(waits) - len(overdue),
                ("held",): turns.held_count,
            },
            declared.QUEUE_AGE: {(): max(overdue, default=0.0)},
            declared.PAUSED: {(): turns.paused_count},
            declared.WAITING_BYTES: {(): self._repos.waiting_bytes},
            declared.WAITLIST: {(): self._growth.waiting_count},
            declared.FORGOTTEN: {(): self._growth.forgotten},
        }

    def _labels(self) -> dict[Instrument, Reading]:
        metrics, now = self._metrics, self._clock()
        labelers = metrics.labelers.items()
        return {
            declared.LABELS_STORED: {(did,): metrics.labels_stored[did] for did, _ in labelers},
            declared.LABELS_REFUSED: _labelled(metrics.labels_refused),
            declared.LABELER_CONNECTED: {(did,): float(view.is_connected) for did, view in labelers},
            declared.LABELER_SEQ: {(did,): view.seq for did, view in labelers},
            declared.LABELER_SILENCE: {
                (did,): _seconds(now - view.last_message_at)
                for did, view in labelers
                if view.last_message_at is not None
            },
        }


def families_of_a_standby() -> list[Metric]:
    """Return what an indexer shows that does not lead: that, and nothing that could be mistaken for figures."""
    return [_family(declared.LEADS, {(): 0.0})]


def _family(instrument: Instrument, reading: Reading) -> Metric:
    """Return a metric in the library's form; a counter with one closed label has all its values, if only as 0."""
    labels = [label.name for label in instrument.labels]
    if isinstance(reading, Histogram):
        histogram = HistogramMetricFamily(instrument.name, instrument.help)
        counts, buckets = 0, []
        for bound, count in zip((*map(str, reading.bounds), "+Inf"), reading.counts, strict=True):
            counts += count
            buckets.append((bound, float(counts)))
        histogram.add_metric([], buckets, reading.total)
        return histogram
    is_counter = instrument.kind is Kind.COUNTER
    family = (CounterMetricFamily if is_counter else GaugeMetricFamily)(instrument.name, instrument.help, labels=labels)
    values = dict(reading)
    if is_counter and len(labels) == 1:
        values = dict(_labelled(_zeros(instrument))) | values
    for given, value in values.items():
        family.add_metric([str(each) for each in given], value)
    return family


def _labelled(counts: Mapping[str, int]) -> Values:
    return {(name,): count for name, count in counts.items()}


def _zeros(instrument: Instrument) -> Counter[str]:
    """Return a count of 0 for each value of a metric's closed label."""
    return Counter(dict.fromkeys(instrument.labels[0].values or (), 0))


def _received(position: Position) -> int:
    return position.taken_count + position.frame_count


def _seconds(duration: timedelta) -> float:
    """Return a duration; a clock that is ahead of ours makes none negative."""
    return max(0.0, duration.total_seconds())
