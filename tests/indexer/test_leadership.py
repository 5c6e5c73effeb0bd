"""Two indexers and one lock, on a real Postgres."""

import asyncio

import pytest
from postgres import PostgresForTests

from indexer.leadership import is_led, leadership

GUARD_SECONDS = 30


class Contender:
    """A program that leads from when it may until it is told to end, in one of two ways."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.waited = 0
        self.leads = asyncio.Event()
        self.must_wait = asyncio.Event()
        self._end = asyncio.Event()
        self._fails = False
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async with leadership(self.url, self._waits) as is_fenced:
            assert is_fenced
            self.leads.set()
            await self._end.wait()
            if self._fails:
                raise RuntimeError("crashed")

    def _waits(self) -> None:
        self.waited += 1
        self.must_wait.set()

    async def end(self, *, fails: bool = False) -> None:
        self._fails = fails
        self._end.set()
        await asyncio.gather(self.task, return_exceptions=True)


async def soon(event: asyncio.Event) -> None:
    async with asyncio.timeout(GUARD_SECONDS):
        await event.wait()


@pytest.mark.parametrize("way", ["ends", "fails", "is cancelled"])
async def test_the_second_waits_and_takes_over_when_the_first_is_gone(database_url: str, way: str) -> None:
    first = Contender(database_url)
    await soon(first.leads)
    second = Contender(database_url)
    await soon(second.must_wait)
    assert not second.leads.is_set()

    if way == "is cancelled":
        first.task.cancel()
        await asyncio.gather(first.task, return_exceptions=True)
    else:
        await first.end(fails=way == "fails")
    await soon(second.leads)
    assert (first.waited, second.waited) == (0, 1), "told once, however often it asked"
    await second.end()
    assert not await is_led(database_url)


async def test_of_many_that_start_at_once_one_leads(database_url: str) -> None:
    contenders = [Contender(database_url) for _ in range(4)]
    waiting = [asyncio.create_task(each.must_wait.wait()) for each in contenders]
    async with asyncio.timeout(GUARD_SECONDS):
        while sum(task.done() for task in waiting) < 3 or not any(each.leads.is_set() for each in contenders):
            await asyncio.sleep(0.005)
    assert sum(each.leads.is_set() for each in contenders) == 1
    assert await is_led(database_url)
    for task in [*waiting, *(each.task for each in contenders)]:
        task.cancel()
    await asyncio.gather(*waiting, *(each.task for each in contenders), return_exceptions=True)


async def test_whether_somebody_leads_is_seen_from_outside_and_for_each_database(
    database_url: str, postgres: PostgresForTests
) -> None:
    other_url = postgres.create_database()
    try:
        assert not await is_led(database_url)
        leader = Contender(database_url)
        await soon(leader.leads)
        assert await is_led(database_url)
        assert not await is_led(other_url)
        neighbour = Contender(other_url)
        await soon(neighbour.leads)
        assert neighbour.waited == 0, "another database has a lock of its own"
        await neighbour.end()
        await leader.end()
        assert not await is_led(database_url)
    finally:
        postgres.drop_database(other_url)


async def test_a_contender_that_gives_up_waiting_leaves_nothing_behind(database_url: str) -> None:
    first = Contender(database_url)
    await soon(first.leads)
    second = Contender(database_url)
    await soon(second.must_wait)
    second.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second.task
    await first.end()
    assert not await is_led(database_url)


async def test_behind_a_pooler_nothing_is_fenced_and_the_caller_is_told() -> None:
    url = "postgresql://user@ep-name-pooler.example.com/db"
    async with leadership(url, lambda: pytest.fail("nobody to wait for")) as is_fenced:
        assert not is_fenced
