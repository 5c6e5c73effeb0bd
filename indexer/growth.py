"""Caps on how fast strangers may make us grow (law 13): in all, and from each host.

A bucket of admissions that fills at a steady rate: a burst is taken, a flood is not. A DID that is not admitted waits in
a bounded list for its turn; beyond that bound its next record, or the next discovery, asks again.
"""

from collections.abc import Callable
from datetime import datetime

WAITLIST_LIMIT = 100_000
HOSTS_LIMIT = 50_000
LONGEST_WAIT_SECONDS = 3600.0


class Growth:
    """Admissions of new repositories."""

    def __init__(
        self,
        per_minute: float,
        burst: int,
        clock: Callable[[], datetime],
        *,
        total: int | None = None,
        count: Callable[[], int] = lambda: 0,
        waitlist_limit: int = WAITLIST_LIMIT,
    ) -> None:
        """Allow `burst` at once and `per_minute` in the long run, while `count` says less than `total` (None: any)."""
        self._bucket = _Bucket(per_minute, burst, clock())
        self._clock = clock
        self._total = total
        self._count = count
        self._waitlist: dict[str, None] = {}  # dictionaries keep the order
        self._waitlist_limit = waitlist_limit
        self.refused = 0
        self.forgotten = 0

    def admit(self) -> bool:
        """Take one admission if there is one left."""
        if (self._total is not None and self._count() >= self._total) or self._bucket.wait_seconds(self._clock()) > 0:
            self.refused += 1
            return False
        self._bucket.take()
        return True

    @property
    def waiting_count(self) -> int:
        """Return how many DIDs wait for their turn."""
        return len(self._waitlist)

    def wait(self, did: str) -> None:
        """Have a DID that was not admitted wait for its turn, unless too many do."""
        if did in self._waitlist:
            return
        if len(self._waitlist) >= self._waitlist_limit:
            self.forgotten += 1
            return
        self._waitlist[did] = None

    def next_admitted(self) -> str | None:
        """Return the DID that has waited longest, now admitted; None when there is none or it is not time."""
        if not self._waitlist or not self.admit():
            return None
        did = next(iter(self._waitlist))
        del self._waitlist[did]
        return did


class HostGrowth:
    """First fetches from each host."""

    def __init__(self, per_minute: float, burst: int, clock: Callable[[], datetime]) -> None:
        """Allow `burst` new repositories of one host at once and `per_minute` in the long run."""
        self._per_minute = per_minute
        self._burst = burst
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def wait_seconds(self, host: str) -> float:
        """Take one first fetch from a host and return 0, or return how long to wait before asking again."""
        now = self._clock()
        bucket = self._buckets.get(host)
        if bucket is None:
            if len(self._buckets) >= HOSTS_LIMIT:
                self._buckets = {name: each for name, each in self._buckets.items() if not each.is_full(now)}
            bucket = self._buckets[host] = _Bucket(self._per_minute, self._burst, now)
        wait = bucket.wait_seconds(now)
        if wait <= 0:
            bucket.take()
            return 0.0
        return wait


class _Bucket:
    def __init__(self, per_minute: float, burst: int, now: datetime) -> None:
        self._per_second = per_minute / 60
        self._burst = float(burst)
        self._left = self._burst
        self._filled_at = now

    def _fill(self, now: datetime) -> None:
        elapsed = max(0.0, (now - self._filled_at).total_seconds())
        self._filled_at = now
        self._left = min(self._burst, self._left + elapsed * self._per_second)

    def wait_seconds(self, now: datetime) -> float:
        self._fill(now)
        if self._left >= 1:
            return 0.0
        return (
            min(LONGEST_WAIT_SECONDS, (1 - self._left) / self._per_second) if self._per_second else LONGEST_WAIT_SECONDS
        )

    def is_full(self, now: datetime) -> bool:
        self._fill(now)
        return self._left >= self._burst

    def take(self) -> None:
        self._left -= 1
