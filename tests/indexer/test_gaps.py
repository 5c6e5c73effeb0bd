"""Gaps, outages and changes of upstreams that nobody announces: noticed by us, and followed by an audit."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import pytest
import world
from harness import EPOCH, Harness, harness, synchronized
from scripted_stream import GUARD_SECONDS, audits, consumer_of, others, others_at, played, stored

from atprotocol.errors import NetworkError
from indexer.consumer import StreamSettings
from indexer.overlap import OVERLAP, overlapping_cursor

HOUR_US = 3_600_000_000


@pytest.fixture
async def indexer(database_url: str) -> AsyncIterator[Harness]:
    async with harness(database_url, world.World(51)) as made:
        yield made


async def test_a_relay_that_silently_begins_later_leaves_a_gap_that_is_audited(indexer: Harness) -> None:
    account = await synchronized(indexer)
    before = others(indexer, 1)
    indexer.world.now_us += HOUR_US
    account.commit([])
    script = await played(indexer, before, [others_at(indexer, 500_000)])

    assert script.asked[-1] == 500_000, "it goes on from there"
    assert await audits(indexer) == ["gap at relay.test: seq 500000 after 2"]
    assert await indexer.audited() == {"behind": 1}


async def test_numbers_that_were_left_out_are_no_gap(indexer: Harness) -> None:
    before = others(indexer, 1)
    await played(indexer, before, [others_at(indexer, 90)])

    assert await audits(indexer) == []


async def test_a_stream_that_goes_on_where_it_was_left_has_no_gap_however_late(indexer: Harness) -> None:
    before = others(indexer, 1)
    indexer.world.now_us += 5 * HOUR_US
    await played(indexer, before, others(indexer, 1))

    assert await audits(indexer) == []


async def test_an_upstream_that_was_not_heard_for_long_is_followed_by_an_audit(indexer: Harness) -> None:
    before, after = others(indexer, 2)

    class Passing(list[bytes | Exception]):
        """A connection during which time passes."""

        def __iter__(self) -> Iterator[bytes | Exception]:
            indexer.world.now_us += 2 * HOUR_US
            return super().__iter__()

    away: list[bytes | Exception] = [NetworkError("away")]
    await played(indexer, [before, *away], Passing(away), [after])
    assert [reason[:22] for reason in await audits(indexer)] == ["relay.test was lost at"]


@pytest.mark.parametrize(
    ("age", "may_skip", "begins_at", "reasons"),
    [
        ("30 minutes", True, 2, []),
        ("2 hours", True, 2, ["outage of 7200 s at relay.test"]),
        ("7 hours", False, 2, ["outage of 25200 s at relay.test"]),
        ("7 hours", True, None, ["outage of 25200 s at relay.test"]),
    ],
)
async def test_after_an_outage_there_is_an_audit_and_after_a_long_one_no_replay(
    indexer: Harness, age: str, may_skip: bool, begins_at: int | None, reasons: list[str]
) -> None:
    await played(indexer, others(indexer, 2))
    await indexer.load()
    await indexer.pool.execute(f"UPDATE network.cursors SET updated_at = now() - interval '{age}'")
    script = await played(indexer, others(indexer, 1), settings=StreamSettings(may_skip_replay=may_skip))

    assert script.asked[0] == begins_at
    assert await audits(indexer) == reasons
    assert await stored(indexer) == 3
    history = await indexer.rows("SELECT seq FROM network.cursor_history")
    assert history == ([] if begins_at else [(2,)])


async def test_a_new_upstream_is_begun_with_an_overlap_and_followed_by_an_audit(indexer: Harness) -> None:
    await played(indexer, others(indexer, 2))
    followed_until = await indexer.value("SELECT event_time FROM network.cursors")
    await indexer.load()
    relay = Numbered(followed_until - timedelta(hours=2), 40_000)
    consumer = consumer_of(indexer, relay.connect, host="new.relay.test")
    running = asyncio.create_task(consumer.run())
    async with asyncio.timeout(GUARD_SECONDS):
        while consumer.cursor is None or consumer.position.frame_count == 0:
            await asyncio.sleep(0.005)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await indexer.write()

    assert await audits(indexer) == ["new upstream new.relay.test"]
    assert consumer.cursor is not None
    assert followed_until - timedelta(minutes=20) < relay.time_of(consumer.cursor) < followed_until


class Numbered:
    """A relay whose events have numbers from 700,000 on, one a second."""

    first = 700_000

    def __init__(self, begins_at: datetime, count: int) -> None:
        self.begins_at = begins_at
        self.frames = range(self.first, self.first + count)
        self.asked: list[int | None] = []

    def time_of(self, seq: int) -> datetime:
        return self.begins_at + timedelta(seconds=seq - self.first)

    def frame(self, seq: int) -> bytes:
        time = self.time_of(seq).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        payload = {"seq": seq, "time": time, "did": "did:plc:x"}
        return world.encode({"op": 1, "t": "#identity"}) + world.encode(payload)

    @asynccontextmanager
    async def connect(self, cursor: int | None) -> AsyncIterator[AsyncIterator[bytes]]:
        self.asked.append(cursor)

        async def play() -> AsyncIterator[bytes]:
            if cursor is None:
                yield self.frame(self.frames[-1])
            else:
                # A relay that has a cursor no longer goes on from its oldest event, one that never had it from now.
                yield self.frame(min(max(cursor + 1, self.first), self.frames[-1]))
            await asyncio.Event().wait()

        yield play()


@pytest.mark.parametrize("seconds", [3_000, 20_000, 39_000])
async def test_the_overlap_begins_a_little_before_what_was_followed(seconds: int) -> None:
    relay = Numbered(EPOCH, 40_000)
    followed_until = EPOCH + timedelta(seconds=seconds)
    cursor = await overlapping_cursor(relay.connect, followed_until)

    assert cursor is not None
    begins = relay.time_of(cursor + 1)
    assert begins <= followed_until - OVERLAP
    assert followed_until - begins < timedelta(seconds=1200)
    assert len(relay.asked) < 20


async def test_what_lies_before_the_oldest_event_is_all_there_is(indexer: Harness) -> None:
    relay = Numbered(EPOCH + timedelta(days=1), 40_000)

    assert await overlapping_cursor(relay.connect, EPOCH) == relay.first - 1


async def test_an_upstream_that_cannot_be_asked_is_begun_live(indexer: Harness) -> None:
    @asynccontextmanager
    async def down(_: int | None) -> AsyncIterator[AsyncIterator[bytes]]:
        raise NetworkError("down")
        yield

    assert await overlapping_cursor(down, EPOCH) is None


async def test_a_consumer_that_was_too_slow_goes_on_from_its_cursor(indexer: Harness) -> None:
    one, two = others(indexer, 2)
    script = await played(indexer, [one, world.error_frame("ConsumerTooSlow")], [two])

    assert script.asked == [None, 1, 2]
    assert indexer.metrics.events["indexer.consumer_too_slow"] == 1
