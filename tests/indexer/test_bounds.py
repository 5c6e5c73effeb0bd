"""What strangers and clocks can do to the bookkeeping of repairs: turns, pauses, waiting commits, memory."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import world
from harness import OTHER, Harness, harness, publish, synchronized, track

from indexer.decisions import SyncStatus
from indexer.host_turns import HOSTS_LIMIT, HostTurns
from indexer.processor import Upstream
from indexer.state import WAITING_LIMIT

A, B = "https://a.test", "https://b.test"


@pytest.fixture
async def indexer(database_url: str) -> AsyncIterator[Harness]:
    async with harness(database_url, world.World(45)) as made:
        yield made


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def turns_with(clock: Clock, woken: list[str]) -> HostTurns:
    return HostTurns(1, lambda name, _: woken.append(name), clock, lambda: 0.0)


def test_a_turn_that_a_paused_host_does_not_give_is_passed_on_to_the_next() -> None:
    clock, woken = Clock(), list[str]()
    turns = turns_with(clock, woken)
    assert turns.take(A, "first")
    assert not turns.take(A, "second")
    assert not turns.take(A, "third")
    turns.failed(A, 60.0)
    turns.give_back(A)
    assert woken == ["second"]
    assert not turns.take(A, "second")
    turns.lapse("second")
    # Whatever becomes of the second: the third does not wait for it.
    assert "third" in woken


def test_a_name_that_two_hosts_have_a_turn_for_costs_neither_host_its_turn() -> None:
    woken = list[str]()
    turns = turns_with(Clock(), woken)
    for host in (A, B):
        assert turns.take(host, f"first at {host}")
    assert not turns.take(A, "moved")
    assert not turns.take(A, "next at A")
    assert not turns.take(B, "moved")
    turns.give_back(A)
    turns.give_back(B)
    assert turns.take(B, "moved")
    turns.lapse("moved")
    turns.give_back(B)
    assert "next at A" in woken


@pytest.mark.parametrize("pause_seconds", [None, 86_400.0])
def test_hosts_that_fail_once_are_not_remembered_without_end(pause_seconds: float | None) -> None:
    clock = Clock()
    turns = turns_with(clock, [])
    for number in range(2 * HOSTS_LIMIT):
        clock.seconds += 0.001
        turns.failed(f"https://{number}.test", pause_seconds)
    assert len(turns._failures) <= HOSTS_LIMIT


async def test_a_clock_that_is_set_back_does_not_put_off_repairs(indexer: Harness) -> None:
    account = await synchronized(indexer)
    indexer.clock_offset -= timedelta(days=30)
    assert indexer.repos.by_did[account.did].pause_seconds(indexer.now()) == 0


async def test_commits_that_wait_are_bounded_in_number(indexer: Harness) -> None:
    account = await synchronized(indexer)
    indexer.feed(indexer.world.identity_frame(account))
    for number in range(WAITING_LIMIT + 1):
        indexer.feed(
            publish(indexer, account, ("update", OTHER, track(f"{number}")))
            if number
            else publish(indexer, account, ("create", OTHER, track("0")))
        )
    repo = indexer.repos.by_did[account.did]
    assert (repo.waiting, repo.cause) == ([], "overflow")
    await indexer.settle()
    assert await indexer.titles() == sorted(["One", f"{WAITING_LIMIT}"])


async def test_what_a_foreign_host_says_unreadably_touches_no_account(indexer: Harness) -> None:
    account = await synchronized(indexer)
    foreign = Upstream("other.test", "https://other.test")
    payload = {"seq": 9, "did": account.did, "time": "2026-01-01T00:00:00Z", "active": "no"}
    indexer.world.now_us += 1000
    indexer.feed(indexer.world.frame("#account", payload), upstream=foreign)

    assert indexer.repos.by_did[account.did].sync_status is SyncStatus.SYNCHRONIZED
