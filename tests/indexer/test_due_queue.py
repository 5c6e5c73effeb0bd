"""Names that fall due, on the event loop's clock; nothing here waits for longer than an instant."""

import asyncio

import pytest

from indexer.due_queue import DueQueue

GUARD_SECONDS = 10
LONG_SECONDS = 3600.0


async def taken(queue: DueQueue) -> str:
    async with asyncio.timeout(GUARD_SECONDS):
        return await queue.get()


async def holds_nothing_now(queue: DueQueue) -> bool:
    """Tell whether nothing comes up however often the event loop turns."""
    getting = asyncio.create_task(queue.get())
    for _ in range(20):
        await asyncio.sleep(0)
    if getting.done():
        return False
    getting.cancel()
    await asyncio.gather(getting, return_exceptions=True)
    return True


async def test_names_come_up_in_the_order_in_which_they_are_due() -> None:
    queue = DueQueue()
    for name, delay in (("third", 0.003), ("first", 0.001), ("second", 0.002)):
        queue.put(name, delay)
    assert [await taken(queue) for _ in range(3)] == ["first", "second", "third"]


async def test_a_name_stands_in_it_once() -> None:
    queue = DueQueue()
    for _ in range(3):
        queue.put("one")
    assert await taken(queue) == "one"
    queue.done("one")
    assert await holds_nothing_now(queue)
    assert queue.is_idle


async def test_an_earlier_time_replaces_a_later_one_and_not_the_other_way() -> None:
    queue = DueQueue()
    queue.put("hurried", LONG_SECONDS)
    queue.put("hurried")
    queue.put("hurried", LONG_SECONDS)
    assert await taken(queue) == "hurried"
    queue.done("hurried")
    assert await holds_nothing_now(queue), "the later entry is not left behind"


async def test_a_time_that_was_replaced_does_not_come_back_with_the_name() -> None:
    queue = DueQueue()
    queue.put("one", 0.002)
    queue.put("one")
    assert await taken(queue) == "one"
    queue.done("one")
    queue.put("one", LONG_SECONDS)
    queue.put("other", 0.004)
    assert await taken(queue) == "other"


async def test_what_is_not_due_does_not_come_up_and_leaves_the_queue_idle() -> None:
    queue = DueQueue()
    queue.put("later", LONG_SECONDS)
    assert await holds_nothing_now(queue)
    assert queue.is_idle


async def test_nobody_works_on_a_name_twice_at_a_time() -> None:
    queue = DueQueue()
    queue.put("one")
    assert await taken(queue) == "one"
    queue.put("one")
    queue.put("other")
    assert await taken(queue) == "other", "the others do not wait for it"
    assert await holds_nothing_now(queue)
    queue.done("one")
    assert await taken(queue) == "one"


async def test_whoever_waits_is_woken_by_a_new_name_and_by_the_end_of_work() -> None:
    queue = DueQueue()
    getting = asyncio.create_task(taken(queue))
    await asyncio.sleep(0)
    queue.put("new")
    assert await getting == "new"

    queue.put("new")
    getting = asyncio.create_task(taken(queue))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not getting.done()
    queue.done("new")
    assert await getting == "new"


async def test_whoever_waits_for_a_late_name_is_woken_by_an_earlier_one() -> None:
    queue = DueQueue()
    queue.put("late", LONG_SECONDS)
    getting = asyncio.create_task(taken(queue))
    for _ in range(5):
        await asyncio.sleep(0)
    queue.put("early")
    assert await getting == "early"


async def test_it_is_idle_only_when_nothing_is_due_or_under_way() -> None:
    queue = DueQueue()
    assert queue.is_idle
    queue.put("one")
    assert not queue.is_idle
    await taken(queue)
    assert not queue.is_idle
    queue.done("one")
    assert queue.is_idle


async def test_several_workers_share_the_names() -> None:
    queue = DueQueue()
    working: set[str] = set()
    counts: dict[str, int] = {}

    async def work() -> None:
        while True:
            name = await queue.get()
            assert name not in working
            working.add(name)
            await asyncio.sleep(0)
            counts[name] = counts.get(name, 0) + 1
            if counts[name] < 3:
                queue.put(name)
            working.discard(name)
            queue.done(name)

    workers = [asyncio.create_task(work()) for _ in range(4)]
    for number in range(20):
        queue.put(str(number))
    async with asyncio.timeout(GUARD_SECONDS):
        while not queue.is_idle:
            await asyncio.sleep(0)
    for worker in workers:
        assert not worker.done()
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    assert counts == {str(number): 3 for number in range(20)}


async def test_a_worker_that_is_cancelled_while_it_waits_takes_no_name_with_it() -> None:
    queue = DueQueue()
    getting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.put("one")
    getting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await getting
    assert await taken(queue) == "one"
