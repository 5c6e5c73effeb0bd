"""The one ordered stream and its batches: what is in one, and what its cursor covers."""

import asyncio

import pytest

from indexer.decisions import Cause
from indexer.journal import (
    FULL_BYTES,
    FULL_CHANGES,
    CommitUnit,
    CursorMove,
    Journal,
    Position,
    PurgeUnit,
    RecordChange,
    SnapshotUnit,
    Unit,
)
from indexer.state import Repos

DID = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
REV = "3mbd3542kzc22"
GUARD_SECONDS = 10


def commit(*sizes: int) -> CommitUnit:
    return CommitUnit(DID, REV, tuple(RecordChange(f"a.b.c/{n}", b"", bytes(size)) for n, size in enumerate(sizes)))


def moved(journal: Journal, host: str = "relay.test", seq: int | None = 1, count: int = 1) -> Position:
    position = Position(host, "x", seq, "2026-01-01T00:00:00Z", count)
    journal.follow(position)
    return position


async def test_a_batch_holds_everything_in_the_order_of_its_entry() -> None:
    journal = Journal()
    units: list[Unit] = [commit(1), SnapshotUnit(DID, REV, {"a.b.c/1": (b"", b"")}), PurgeUnit(DID), commit(2)]
    for unit in units:
        journal.enter(unit)
    batch = journal.take_now()
    assert batch.units == units
    assert journal.take_now().units == [], "and the next one nothing of it"


async def test_a_repository_is_in_a_batch_once_and_again_in_the_next() -> None:
    journal, repo = Journal(), Repos().track(DID, Cause.NEW)
    journal.touch(repo)
    journal.touch(repo)
    first = journal.take_now()
    assert (first.repos, first.change_count) == ({DID: repo}, 1)
    journal.touch(repo)
    assert journal.take_now().repos == {DID: repo}


async def test_the_cursor_of_a_batch_covers_exactly_what_was_processed_when_it_was_taken() -> None:
    journal = Journal()
    one, other = moved(journal, "one.test", 5, 3), moved(journal, "other.test", 9, 2)
    batch = journal.take_now()
    time = "2026-01-01T00:00:00Z"
    assert batch.cursors == [CursorMove("one.test", "x", 5, time), CursorMove("other.test", "x", 9, time)]
    assert batch.frame_count == 5

    other.seq, other.frame_count = 10, 1
    batch = journal.take_now()
    assert batch.cursors == [CursorMove("other.test", "x", 10, time, 9)], "a stream that stood still is left out"
    assert one.frame_count == 0
    other.seq, other.frame_count = 11, 1
    assert batch.cursors[0].seq == 10, "what comes later does not move a cursor that was taken"


async def test_a_stream_without_a_number_yet_moves_no_cursor() -> None:
    journal = Journal()
    moved(journal, seq=None)
    batch = journal.take_now()
    assert (batch.cursors, batch.frame_count, batch.has_changes) == ([], 0, False)


async def test_whoever_takes_waits_for_the_first_change() -> None:
    journal = Journal(cursor_seconds=3600)
    taking = asyncio.create_task(journal.take())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not taking.done()
    journal.enter(commit(1))
    async with asyncio.timeout(GUARD_SECONDS):
        assert (await taking).units == [commit(1)]


async def test_after_a_batch_was_taken_it_waits_for_the_next_change() -> None:
    journal = Journal(cursor_seconds=3600)
    journal.enter(commit(1))
    await journal.take()
    assert not journal._changed.is_set(), "else the next take would turn on the spot and let nobody else run"
    taking = asyncio.create_task(journal.take())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not taking.done()
    journal.enter(commit(2))
    async with asyncio.timeout(GUARD_SECONDS):
        assert (await taking).units == [commit(2)]


async def test_a_batch_that_only_moves_a_cursor_is_due_after_a_while() -> None:
    journal = Journal(cursor_seconds=0.001)
    moved(journal, seq=7)
    async with asyncio.timeout(GUARD_SECONDS):
        batch = await journal.take()
    assert [move.seq for move in batch.cursors] == [7]
    assert not batch.has_changes


async def test_without_a_change_or_a_frame_no_batch_is_made() -> None:
    journal = Journal(cursor_seconds=0.001)
    moved(journal, seq=7, count=0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await journal.take()


@pytest.mark.parametrize(
    "units",
    [
        [commit(*[0] * 999)] * (FULL_CHANGES // 1000),
        [PurgeUnit(DID)] * FULL_CHANGES,
        [commit(FULL_BYTES)],
        [SnapshotUnit(DID, REV, {"a.b.c/1": (b"", bytes(FULL_BYTES))})],
        [SnapshotUnit(DID, REV, {f"a.b.c/{n}": (b"", b"") for n in range(FULL_CHANGES)})],
    ],
)
async def test_when_it_is_full_whoever_can_wait_waits_for_the_writer(units: list[Unit]) -> None:
    journal = Journal()
    for unit in units:
        assert not journal.is_full
        journal.enter(unit)
    assert journal.is_full
    waiting = asyncio.create_task(journal.room())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    journal.take_now()
    async with asyncio.timeout(GUARD_SECONDS):
        await waiting


async def test_while_there_is_room_nobody_waits() -> None:
    journal = Journal()
    journal.enter(commit(FULL_BYTES - 1))
    async with asyncio.timeout(GUARD_SECONDS):
        await journal.room()


async def test_touched_repositories_fill_it_too() -> None:
    journal, repos = Journal(), Repos()
    for number in range(FULL_CHANGES):
        assert not journal.is_full
        journal.touch(repos.track(f"did:plc:{number}", Cause.NEW))
    assert journal.is_full
