"""A cap on how fast strangers may make us grow (law 13).

A bucket of admissions that fills at a steady rate: a burst is taken, a flood is not. A DID that is not admitted is not
lost: its next record, or the next discovery, asks again.
"""

from collections.abc import Callable
from datetime import datetime


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
    ) -> None:
        """Allow `burst` at once and `per_minute` in the long run, while `count` says less than `total` (None: any)."""
        self._per_second = per_minute / 60
        self._burst = float(burst)
        self._clock = clock
        self._total = total
        self._count = count
        self._left = self._burst
        self._filled_at = clock()
        self.refused = 0

    def admit(self) -> bool:
        """Take one admission if there is one left."""
        now = self._clock()
        elapsed = max(0.0, (now - self._filled_at).total_seconds())
        self._filled_at = now
        self._left = min(self._burst, self._left + elapsed * self._per_second)
        if self._left < 1 or (self._total is not None and self._count() >= self._total):
            self.refused += 1
            return False
        self._left -= 1
        return True
