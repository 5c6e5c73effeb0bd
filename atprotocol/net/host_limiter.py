"""A bound on how much we ask of one host at a time, so that no backlog of ours becomes its outage."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class HostLimiter:
    """Turns for each host; hosts that nobody asks are forgotten."""

    def __init__(self, per_host: int) -> None:
        """Allow `per_host` turns at a time."""
        self._per_host = per_host
        self._turns: dict[str, asyncio.Semaphore] = {}
        self._interested: dict[str, int] = {}

    @asynccontextmanager
    async def turn(self, host: str) -> AsyncIterator[None]:
        """Hold a turn at a host, waiting for one as long as it takes."""
        semaphore = self._turns.setdefault(host, asyncio.Semaphore(self._per_host))
        self._interested[host] = self._interested.get(host, 0) + 1
        try:
            async with semaphore:
                yield
        finally:
            self._interested[host] -= 1
            if not self._interested[host]:
                del self._interested[host], self._turns[host]
