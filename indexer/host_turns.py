"""Turns at hosts: a slow host holds up so many workers and no more, whatever the number of its accounts.

Whoever gets no turn does not wait for one: it is remembered, and woken when a turn at its host is given back. A host that
asks for a pause, or fails several times in a row, is left alone for a while, for all its accounts.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

FAILURES_BEFORE_PAUSE = 3
FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 900.0
# Strangers name the hosts: beyond so many, those that are not paused are forgotten, then those that were known first.
HOSTS_LIMIT = 50_000


@dataclass(slots=True)
class _Failures:
    count: int = 0
    paused_until: float = 0.0


class HostTurns:
    """At most `limit` turns at each host at a time."""

    def __init__(
        self,
        limit: int,
        wake: Callable[[str, float], None],
        seconds: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        """Name the limit, who wakes a name that was held back (after some seconds), a clock of seconds, and chance."""
        self._limit = limit
        self._wake = wake
        self._seconds = seconds
        self._random = random
        self._taken: Counter[str] = Counter()
        self._held: dict[str, dict[str, None]] = {}  # dictionaries keep the order
        self._called: dict[str, str] = {}  # names that were woken for a turn at a host, and have not come yet
        self._failures: dict[str, _Failures] = {}

    @property
    def held_count(self) -> int:
        """Return how many names are held back."""
        return sum(len(names) for names in self._held.values())

    @property
    def paused_count(self) -> int:
        """Return how many hosts are left alone just now."""
        now = self._seconds()
        return sum(failures.paused_until > now for failures in self._failures.values())

    def take(self, host: str, name: str) -> bool:
        """Take a turn, to be given back; False, and the name is woken later, when none is free."""
        failures = self._failures.get(host)
        left = failures.paused_until - self._seconds() if failures is not None else 0.0
        if left > 0:
            # Not all at once when the pause is over. The turn that it was woken for lapses, and goes to the next.
            self._wake(name, left * (1 + self._random() / 4))
            return False
        if self._called.get(name) == host:
            del self._called[name]
        if self._taken[host] >= self._limit:
            self._held.setdefault(host, {})[name] = None
            return False
        self._taken[host] += 1
        return True

    def give_back(self, host: str) -> None:
        """End a turn, and wake the name that was held back first."""
        self._taken[host] -= 1
        if not self._taken[host]:
            del self._taken[host]
        self._call_next(host)

    def succeeded(self, host: str) -> None:
        """Remember that the host answered."""
        self._failures.pop(host, None)

    def failed(self, host: str, retry_after_seconds: float | None) -> None:
        """Remember that the host did not answer, or asked for a pause of so many seconds."""
        if len(self._failures) >= HOSTS_LIMIT:
            now = self._seconds()
            paused = [(name, each) for name, each in self._failures.items() if each.paused_until > now]
            self._failures = dict(paused[-HOSTS_LIMIT // 2 :])
        failures = self._failures.setdefault(host, _Failures())
        failures.count += 1
        pause = retry_after_seconds or 0.0
        beyond = failures.count - FAILURES_BEFORE_PAUSE
        if beyond >= 0:
            ceiling = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(beyond, 30))
            pause = max(pause, ceiling * (0.5 + self._random() / 2))
        failures.paused_until = max(failures.paused_until, self._seconds() + pause)

    def lapse(self, name: str) -> None:
        """Say that a name has been looked after: the turn that it was woken for, and did not take, is another's."""
        host = self._called.pop(name, None)
        if host is not None:
            self._call_next(host)

    def _call_next(self, host: str) -> None:
        names = self._held.get(host, {})
        while names:
            name = next(iter(names))
            del names[name]
            if not names:
                del self._held[host]
            if name not in self._called:
                self._called[name] = host
                self._wake(name, 0.0)
                return
            # It comes anyway: another host had a turn for it before.
