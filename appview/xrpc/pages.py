"""Answers to whoever is not signed in, kept for a moment: many ask for the same page at the same time.

An answer is kept under its method, its parameters as they were written and the labelers that were asked for; never one
that depends on who asks. Those who ask while it is being made wait for it. How long it is kept, and how much, is
bounded; 0 seconds keep nothing. The clock is the caller's.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable

from appview.xrpc.reply import Page

MAXIMUM_PAGES = 500
MAXIMUM_BYTES = 32_000_000


class Pages:
    """The pages that one process keeps."""

    def __init__(self, seconds: float, *, maximum: int = MAXIMUM_PAGES, maximum_bytes: int = MAXIMUM_BYTES) -> None:
        """Keep each page for so many seconds, and so many pages, and bytes, at most."""
        self._seconds = seconds
        self._maximum = maximum
        self._maximum_bytes = maximum_bytes
        self._kept: dict[Hashable, tuple[float, Page]] = {}
        self._size_bytes = 0
        self._under_way: dict[Hashable, asyncio.Task[Page]] = {}

    async def get(self, key: Hashable, now: Callable[[], float], make: Callable[[], Awaitable[Page]]) -> Page:
        """Return a page that was made a moment ago, or is made now, for everybody who asks meanwhile.

        Whatever `make` raises, all of them get.
        """
        if self._seconds <= 0:
            return await make()
        kept = self._kept.get(key)
        if kept is not None and 0 <= now() - kept[0] < self._seconds:
            return kept[1]
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.create_task(self._make(key, now(), make))
            self._under_way[key] = task
            task.add_done_callback(lambda done: self._finished(key, done))
        # One who leaves must not take the page from the others.
        return await asyncio.shield(task)

    async def _make(self, key: Hashable, asked_at: float, make: Callable[[], Awaitable[Page]]) -> Page:
        page = await make()
        self._forget(key)
        # As old as the question: what the database said came later.
        self._kept[key] = asked_at, page
        self._size_bytes += len(page.body)
        while len(self._kept) > self._maximum or self._size_bytes > self._maximum_bytes:
            self._forget(next(iter(self._kept)))
        return page

    def _finished(self, key: Hashable, task: asyncio.Task[Page]) -> None:
        self._under_way.pop(key, None)
        if not task.cancelled():
            task.exception()  # Nobody may be left to hear of it.

    def _forget(self, key: Hashable) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._size_bytes -= len(kept[1].body)
