"""The writer ends when it is told to, also when its connection is lost at that very moment."""

import asyncio
import contextlib

import asyncpg
import world
from harness import harness, publish, synchronized, track

GUARD_SECONDS = 10
_WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


async def test_a_writer_that_loses_its_connection_while_it_is_cancelled_ends(database_url: str) -> None:
    """Where the cancellation falls between asyncpg's steps cannot be chosen: many moments are tried."""
    async with harness(database_url, world.World()) as indexer:
        account = await synchronized(indexer)
        indexer.world.now_us += 1_000_000
        watcher, holder = await asyncpg.connect(database_url), await asyncpg.connect(database_url)
        for attempt in range(60):
            writer = asyncio.create_task(indexer.writer.run())
            async with holder.transaction():
                await holder.execute("LOCK TABLE network.tracks IN ACCESS EXCLUSIVE MODE")
                path = f"fm.plyr.track/{world.tid(indexer.world.now_us)}"
                indexer.feed(publish(indexer, account, ("create", path, track(f"Track {attempt}"))))
                async with asyncio.timeout(GUARD_SECONDS):
                    while not (waiting := await watcher.fetch(_WAITING)):
                        await asyncio.sleep(0)
                await watcher.execute("SELECT pg_terminate_backend($1)", waiting[0]["pid"])
                for _ in range(attempt % 12):  # The connection's end is noticed some steps of the loop from here.
                    await asyncio.sleep(0.0002)
                writer.cancel()
            done, _ = await asyncio.wait([writer], timeout=GUARD_SECONDS)
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer
            assert done, f"the cancellation was lost in attempt {attempt}"
        assert len(await indexer.titles()) == 61
        await watcher.close()
        await holder.close()
