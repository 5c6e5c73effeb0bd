"""A queue of names that fall due: each stands in it once, and nobody works on a name twice at a time."""

import asyncio
import heapq


class DueQueue:
    """Names with the time at which they are due, on the event loop's clock."""

    def __init__(self) -> None:
        """Start empty."""
        self._heap: list[tuple[float, str]] = []
        self._due: dict[str, float] = {}
        self._under_way: set[str] = set()
        self._changed = asyncio.Condition()
        self._wakers: set[asyncio.Task[None]] = set()

    @property
    def is_idle(self) -> bool:
        """Tell whether nothing is under way or due by now."""
        now = asyncio.get_running_loop().time()
        return not self._under_way and all(due > now for due in self._due.values())

    def __contains__(self, name: str) -> bool:
        """Tell whether a name is due, now or later."""
        return name in self._due

    def waits_seconds(self) -> list[float]:
        """Return for each name in the queue how long ago it fell due; negative for those that are due later."""
        now = asyncio.get_running_loop().time()
        return [now - due for due in self._due.values()]

    def put(self, name: str, delay_seconds: float = 0.0) -> None:
        """Have the name come up after a delay, or earlier if it already will."""
        due = asyncio.get_running_loop().time() + delay_seconds
        if name in self._due and self._due[name] <= due:
            return
        self._due[name] = due
        heapq.heappush(self._heap, (due, name))
        self._notify()

    async def get(self) -> str:
        """Return the next name that is due and not under way; call done() with it afterwards."""
        async with self._changed:
            while True:
                wait = self._take()
                if isinstance(wait, str):
                    return wait
                try:
                    async with asyncio.timeout(wait):
                        await self._changed.wait()
                except TimeoutError:
                    continue

    def done(self, name: str) -> None:
        """Say that the work on a name has ended."""
        self._under_way.discard(name)
        if name in self._due:
            self._notify()

    def _take(self) -> str | float | None:
        """Return a name that is due, or the seconds until the next one (None: nothing to wait for)."""
        now = asyncio.get_running_loop().time()
        held: list[tuple[float, str]] = []
        found: str | float | None = None
        while self._heap:
            due, name = self._heap[0]
            if self._due.get(name) != due:
                heapq.heappop(self._heap)
            elif due > now:
                found = due - now
                break
            else:
                heapq.heappop(self._heap)
                if name in self._under_way:
                    held.append((due, name))
                    continue
                del self._due[name]
                self._under_way.add(name)
                found = name
                break
        for entry in held:
            heapq.heappush(self._heap, entry)
        return found

    def _notify(self) -> None:
        async def wake() -> None:
            async with self._changed:
                self._changed.notify_all()

        task = asyncio.get_running_loop().create_task(wake())
        self._wakers.add(task)
        task.add_done_callback(self._wakers.discard)
