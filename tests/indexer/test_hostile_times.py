"""Times that strangers wrote, at the ends of the calendar and beyond ours: no crash, and no gap unnoticed."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import world
from harness import Harness, harness, synchronized
from scripted_stream import audits, others, others_at, played
from test_gaps import Numbered

from indexer.overlap import overlapping_cursor

HOUR_US = 3_600_000_000


@pytest.fixture
async def indexer(database_url: str) -> AsyncIterator[Harness]:
    async with harness(database_url, world.World(52)) as made:
        yield made


async def test_an_overlap_with_the_beginning_of_the_calendar_is_no_reason_to_end() -> None:
    relay = Numbered(datetime(2026, 1, 1, tzinfo=UTC), 10)
    assert await overlapping_cursor(relay.connect, datetime(1, 1, 1, 0, 1, tzinfo=UTC)) == relay.first - 1


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_a_time_that_lies_ahead_hides_no_gap(indexer: Harness, *, is_restarted: bool) -> None:
    await synchronized(indexer)
    kept = indexer.world.now_us
    indexer.world.now_us += 20 * 24 * HOUR_US
    before = others(indexer, 1)
    indexer.world.now_us = kept
    if is_restarted:
        await played(indexer, before)
        await indexer.load()
        await indexer.pool.execute("UPDATE network.cursors SET updated_at = now() - interval '10 minutes'")
        indexer.world.now_us += HOUR_US // 6
        await played(indexer, [others_at(indexer, 500_000)])
    else:

        class Passing(list[bytes | Exception]):
            """A connection before which time passes."""

            def __iter__(self):  # type: ignore[no-untyped-def]
                indexer.world.now_us += HOUR_US // 6
                return iter([others_at(indexer, 500_000)])

        await played(indexer, before, Passing([b""]))

    assert await audits(indexer) == ["gap at relay.test: seq 500000 after 2"]
