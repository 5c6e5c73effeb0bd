"""Handles are verified beside everything else; the resolver is made up, the rest is real."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from atprotocol.net.handles import HandleStatus, HandleVerdict
from atprotocol.syntax.did import DID
from atprotocol.syntax.handle import Handle
from indexer.decisions import Cause
from indexer.handles import BROKEN_FOR, LEAST_INTERVAL, VERIFIED_FOR, Handles
from indexer.journal import Journal
from indexer.metrics import Metrics
from indexer.state import Repo, Repos

ALICE, BOB = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb"
HANDLE = "music.example.com"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
GUARD_SECONDS = 10


class Resolver:
    """Knows which DID each handle names; None: it cannot be found out now."""

    def __init__(self) -> None:
        self.named: dict[str, str | None] = {}
        self.asked: list[tuple[str, str]] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.at_once = self.most_at_once = 0

    async def verify_handle(self, handle: Handle, did: DID) -> HandleVerdict:
        self.asked.append((str(handle), str(did)))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await self.may_answer.wait()
        self.at_once -= 1
        named = self.named.get(str(handle), "")
        if named is None:
            return HandleVerdict(HandleStatus.UNAVAILABLE, "timeout")
        return HandleVerdict(HandleStatus.VERIFIED if named == did else HandleStatus.BROKEN)


class Verification:
    """The part under test with its surroundings."""

    def __init__(self) -> None:
        self.now = NOW
        self.repos, self.journal, self.metrics, self.resolver = Repos(), Journal(), Metrics(), Resolver()
        self.handles = Handles(self.repos, self.journal, self.resolver, self.metrics, lambda: self.now, workers=2)

    def repo(self, did: str, handle: str | None = HANDLE) -> Repo:
        repo = self.repos.track(did, Cause.NEW)
        repo.handle = handle
        return repo

    async def settle(self, *woken: Repo) -> set[str]:
        """Wake these and let the workers finish; return whose rows are to be written."""
        running = asyncio.create_task(self.handles.run())
        await asyncio.sleep(0)
        for repo in woken:
            self.handles.wake(repo)
        async with asyncio.timeout(GUARD_SECONDS):
            while not self.handles.is_idle:
                await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return set(self.journal.take_now().repos)


@pytest.fixture
async def verification() -> Verification:
    return Verification()


async def test_a_handle_that_names_the_account_is_verified(verification: Verification) -> None:
    alice = verification.repo(ALICE)
    verification.resolver.named[HANDLE] = ALICE
    assert await verification.settle(alice) == {ALICE}
    assert (alice.handle_verified_at, alice.handle_checked_at) == (NOW, NOW)


async def test_a_handle_that_names_another_is_not_and_no_longer(verification: Verification) -> None:
    alice = verification.repo(ALICE)
    alice.handle_verified_at = NOW - timedelta(days=1)
    verification.resolver.named[HANDLE] = BOB
    assert await verification.settle(alice) == {ALICE}
    assert (alice.handle_verified_at, alice.handle_checked_at) == (None, NOW)
    assert alice.handle == HANDLE, "the claim stays a claim"


@pytest.mark.parametrize("verified_at", [None, NOW - timedelta(days=1)])
async def test_what_cannot_be_found_out_now_changes_nothing_and_is_asked_again_later(
    verification: Verification, verified_at: datetime | None
) -> None:
    alice = verification.repo(ALICE)
    alice.handle_verified_at = alice.handle_checked_at = verified_at
    verification.resolver.named[HANDLE] = None
    assert await verification.settle(alice) == set()
    assert (alice.handle_verified_at, alice.handle_checked_at) == (verified_at, verified_at)
    assert verification.handles._queue._due.keys() == {ALICE}
    assert verification.handles.is_idle, "later, not now"


async def test_of_two_accounts_with_one_handle_the_newest_verification_wins(verification: Verification) -> None:
    alice, bob = verification.repo(ALICE), verification.repo(BOB)
    verification.resolver.named[HANDLE] = ALICE
    await verification.settle(alice, bob)
    assert (alice.handle_verified_at, bob.handle_verified_at) == (NOW, None)

    verification.now += timedelta(minutes=1)
    verification.resolver.named[HANDLE] = BOB
    assert await verification.settle(bob) == {ALICE, BOB}, "both rows are written"
    assert (alice.handle_verified_at, bob.handle_verified_at) == (None, verification.now)
    assert verification.metrics.events["indexer.handle_contested"] == 1


async def test_other_handles_are_left_alone(verification: Verification) -> None:
    alice, bob = verification.repo(ALICE), verification.repo(BOB, "other.example.com")
    verification.resolver.named |= {HANDLE: ALICE, "other.example.com": BOB}
    await verification.settle(alice, bob)
    assert (alice.handle_verified_at, bob.handle_verified_at) == (NOW, NOW)
    assert not verification.metrics.events


async def test_a_claim_that_changed_while_it_was_looked_at_is_not_judged_by_the_old_one(
    verification: Verification,
) -> None:
    alice = verification.repo(ALICE)
    verification.resolver.named[HANDLE] = ALICE
    verification.resolver.may_answer.clear()
    running = asyncio.create_task(verification.settle(alice))
    async with asyncio.timeout(GUARD_SECONDS):
        while not verification.resolver.asked:
            await asyncio.sleep(0)
    alice.handle = "new.example.com"
    verification.resolver.may_answer.set()
    assert await running == set()
    assert (alice.handle_verified_at, alice.handle_checked_at) == (None, None)


@pytest.mark.parametrize("named", [ALICE, BOB])
async def test_a_flood_of_identity_events_costs_one_look_a_minute(verification: Verification, named: str) -> None:
    alice = verification.repo(ALICE)
    verification.resolver.named[HANDLE] = named
    await verification.settle(*[alice] * 50)
    verification.now += LEAST_INTERVAL - timedelta(seconds=1)
    await verification.settle(*[alice] * 50)
    assert len(verification.resolver.asked) == 1

    verification.now += timedelta(seconds=1)
    verification.handles._queue = type(verification.handles._queue)()  # what waits is on the loop's own clock
    await verification.settle(alice)
    assert len(verification.resolver.asked) == 2
    assert alice.handle_checked_at == verification.now


@pytest.mark.parametrize(("named", "interval"), [(ALICE, VERIFIED_FOR), (BOB, BROKEN_FOR)])
async def test_a_verified_handle_is_looked_at_daily_and_a_broken_one_hourly(
    verification: Verification, named: str, interval: timedelta
) -> None:
    alice = verification.repo(ALICE)
    verification.resolver.named[HANDLE] = named
    await verification.settle(alice)
    verification.now += interval - timedelta(seconds=1)
    await verification.settle()
    assert len(verification.resolver.asked) == 1
    verification.now += timedelta(seconds=1)
    await verification.settle()
    assert len(verification.resolver.asked) == 2


async def test_a_handle_that_was_never_looked_at_is_not_forgotten(verification: Verification) -> None:
    """The process may have ended between reading the document and looking at the handle."""
    alice = verification.repo(ALICE)
    verification.resolver.named[HANDLE] = ALICE
    await verification.settle()
    assert alice.handle_verified_at == NOW


async def test_of_two_rows_that_hold_one_handle_the_newer_one_keeps_it_at_the_start(verification: Verification) -> None:
    alice, bob = verification.repo(ALICE), verification.repo(BOB)
    alice.handle_verified_at = alice.handle_checked_at = NOW
    bob.handle_verified_at = bob.handle_checked_at = NOW - timedelta(hours=1)
    verification.handles.take_up(alice)
    verification.handles.take_up(bob)
    assert (alice.handle_verified_at, bob.handle_verified_at) == (NOW, None)


async def test_who_no_longer_claims_a_handle_loses_nothing_to_who_does(verification: Verification) -> None:
    alice, bob = verification.repo(ALICE), verification.repo(BOB)
    verification.resolver.named[HANDLE] = ALICE
    await verification.settle(alice)
    alice.handle = "new.example.com"
    verification.now += LEAST_INTERVAL
    verification.resolver.named[HANDLE] = BOB
    await verification.settle(bob)
    assert alice.handle_verified_at == NOW, "its row says nothing of this handle any more"
    assert bob.handle_verified_at == verification.now


async def test_nobody_asks_about_the_handle_of_an_account_that_is_away(verification: Verification) -> None:
    alice = verification.repo(ALICE)
    alice.active = False
    await verification.settle(alice)
    assert verification.resolver.asked == []


async def test_an_account_without_a_claim_is_not_asked_about(verification: Verification) -> None:
    assert await verification.settle(verification.repo(ALICE, None)) == set()
    assert verification.resolver.asked == []


async def test_so_many_are_looked_at_at_once_and_no_more(verification: Verification) -> None:
    repos = [verification.repo(f"did:plc:{letter * 24}", f"{letter}.example.com") for letter in "abcdefgh"]
    verification.resolver.named = {str(repo.handle): repo.did for repo in repos}
    verification.resolver.may_answer.clear()
    running = asyncio.create_task(verification.settle(*repos))
    for _ in range(50):
        await asyncio.sleep(0)
    assert verification.resolver.most_at_once == 2
    verification.resolver.may_answer.set()
    assert await running == {repo.did for repo in repos}
