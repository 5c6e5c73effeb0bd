"""Turns at hosts: a slow host holds up so many workers and no more, whatever the number of its accounts.

Whoever gets no turn does not wait for one: it is remembered, and woken when a turn at its host is given back.
"""

from collections import Counter
from collections.abc import Callable


class HostTurns:
    """At most `limit` turns at each host at a time."""

    def __init__(self, limit: int, wake: Callable[[str], None]) -> None:
        """Name the limit, and who wakes a name that was held back."""
        self._limit = limit
        self._wake = wake
        self._taken: Counter[str] = Counter()
        self._held: dict[str, dict[str, None]] = {}  # dictionaries keep the order
        self._called: dict[str, str] = {}  # names that were woken for a turn at a host, and have not come yet

    @property
    def held_count(self) -> int:
        """Return how many names are held back."""
        return sum(len(names) for names in self._held.values())

    def take(self, host: str, name: str) -> bool:
        """Take a turn, to be given back; False, and the name is woken later, when none is free."""
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

    def lapse(self, name: str) -> None:
        """Say that a name has been looked after: the turn that it was woken for, and did not take, is another's."""
        host = self._called.pop(name, None)
        if host is not None:
            self._call_next(host)

    def _call_next(self, host: str) -> None:
        names = self._held.get(host)
        if names is None:
            return
        name = next(iter(names))
        del names[name]
        if not names:
            del self._held[host]
        self._called[name] = host
        self._wake(name)
