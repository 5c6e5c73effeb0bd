import asyncio

import asyncpg
import pytest

from indexer.leadership import is_led, leadership

_CUT = """
    SELECT pg_terminate_backend(pid) FROM pg_locks
    WHERE locktype = 'advisory' AND pid <> pg_backend_pid()
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


async def test_whoever_loses_the_lock_ends_as_another_may_hold_it_by_now(database_url: str) -> None:
    admin = await asyncpg.connect(database_url)

    async def lead() -> None:
        async with asyncio.timeout(60), leadership(database_url, lambda: None), asyncio.TaskGroup() as group:
            group.create_task(asyncio.Event().wait())
            await admin.execute(_CUT)

    with pytest.raises(asyncpg.PostgresConnectionError):
        await lead()
    assert await is_led(database_url) is False
    await admin.close()


async def test_a_cancellation_stays_one_though_the_lock_is_lost_with_it(database_url: str) -> None:
    admin = await asyncpg.connect(database_url)
    held = asyncio.Event()

    async def lead() -> None:
        async with leadership(database_url, lambda: None):
            held.set()
            await asyncio.Event().wait()

    running = asyncio.create_task(lead())
    async with asyncio.timeout(60):
        await held.wait()
        await admin.execute(_CUT)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    await admin.close()
