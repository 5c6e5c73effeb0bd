"""What happens to a repository while its repair awaits the network, and what a repair must not do for ever."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
import world
from harness import OTHER, RELAY, TRACK, Harness, harness, publish, synchronized, track

from atprotocol import frames
from atprotocol.errors import IdentityNotFound, RepoGone, ResponseTooLarge
from atprotocol.frames import CommitFrame, Operation
from atprotocol.net.directory import Identity
from atprotocol.syntax.did import DID
from indexer.decisions import Cause, SyncStatus
from indexer.fetching import Fetched, RealNetwork
from indexer.growth import Growth
from indexer.repair import Repair
from indexer.snapshot import read_snapshot
from indexer.state import Repo, Repos


@pytest.fixture(params=["whole", "sparse"])
async def indexer(database_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Harness]:
    async with harness(database_url, world.World(6), sparse=request.param == "sparse") as made:
        yield made


class Meanwhile:
    """The harness' network, with something that happens after an answer was made and before it is heard."""

    def __init__(self, network: RealNetwork) -> None:
        self._network = network
        self.during_fetch: Callable[[], None] = lambda: None
        self.during_resolve: Callable[[], None] = lambda: None

    async def resolve(self, did: DID) -> Identity:
        answer = await self._network.resolve(did)
        happen, self.during_resolve = self.during_resolve, lambda: None
        happen()
        return answer

    async def fetch(self, pds: str, did: DID) -> Fetched:
        answer = await self._network.fetch(pds, did)
        happen, self.during_fetch = self.during_fetch, lambda: None
        happen()
        return answer

    async def is_deleted(self, did: DID) -> bool:
        return await self._network.is_deleted(did)

    async def is_active(self, did: DID) -> bool:
        return await self._network.is_active(did)


def meanwhile(indexer: Harness) -> Meanwhile:
    made = Meanwhile(indexer.network)
    indexer.rerouted.to = made
    return made


async def test_a_repair_fetches_the_whole_only_from_a_host_that_gives_no_parts(indexer: Harness) -> None:
    account = await synchronized(indexer)
    publish(indexer, account, ("update", TRACK, track("Two")), ("create", OTHER, track("Three")))
    indexer.feed(indexer.world.sync_frame(account))
    await indexer.settle()

    assert await indexer.titles() == ["Three", "Two"]
    assert (indexer.server.requests["getRepo"] == 0) is indexer.server.sparse
    assert (indexer.server.requests["getBlocks"] > 0) is indexer.server.sparse


async def test_a_sync_that_comes_during_the_fetch_is_not_lost(indexer: Harness) -> None:
    account = await synchronized(indexer)
    publish(indexer, account, ("update", TRACK, track("Two")))
    indexer.feed(indexer.world.sync_frame(account))

    def change() -> None:
        publish(indexer, account, ("update", TRACK, track("Three")))
        indexer.feed(indexer.world.sync_frame(account))

    meanwhile(indexer).during_fetch = change
    await indexer.settle()

    assert await indexer.titles() == ["Three"]
    assert (await indexer.repo(account))["rev"] == account.rev


async def test_a_request_that_comes_during_the_fetch_is_fulfilled_after_it(indexer: Harness) -> None:
    account = await synchronized(indexer)
    publish(indexer, account, ("update", TRACK, track("Two")))
    indexer.feed(indexer.world.sync_frame(account))

    def change() -> None:
        publish(indexer, account, ("update", TRACK, track("Three")))
        indexer.requests._request(account.did)

    meanwhile(indexer).during_fetch = change
    await indexer.settle()

    assert await indexer.titles() == ["Three"]


async def test_an_identity_event_that_comes_while_the_document_is_read_has_it_read_again(indexer: Harness) -> None:
    account = await synchronized(indexer)
    indexer.feed(indexer.world.identity_frame(account))

    def rename() -> None:
        account.handle = "renamed.world.test"
        indexer.feed(indexer.world.identity_frame(account))

    meanwhile(indexer).during_resolve = rename
    await indexer.settle()

    row = await indexer.repo(account)
    assert (row["handle"], row["sync_status"]) == ("renamed.world.test", "synchronized")
    assert indexer.server.requests["getRepo"] == 0


async def test_an_account_that_moved_unnoticed_is_fetched_from_its_new_host_and_not_hidden(indexer: Harness) -> None:
    account = await synchronized(indexer)

    class OldHost(Meanwhile):
        async def fetch(self, pds: str, did: DID) -> Fetched:
            if pds != indexer.server.url:
                raise RepoGone("RepoDeactivated")
            return await super().fetch(pds, did)

    indexer.rerouted.to = OldHost(indexer.network)
    indexer.repos.by_did[account.did].pds = "https://old.example.com"
    publish(indexer, account, ("update", TRACK, track("missed")))
    indexer.feed(publish(indexer, account, ("create", OTHER, track("Two"))))
    assert indexer.repos.by_did[account.did].cause == Cause.BROKEN_CHAIN
    await indexer.settle()

    row = await indexer.repo(account)
    assert (row["visible"], row["sync_status"], row["pds"]) == (True, "synchronized", indexer.server.url)
    assert await indexer.titles() == ["Two", "missed"]


async def test_a_request_never_keeps_a_deleted_account_from_being_purged(indexer: Harness, database_url: str) -> None:
    account = await synchronized(indexer)
    account.status, account.active = "deleted", False
    indexer.feed(indexer.world.account_frame(account, False, "deleted"))
    async with asyncpg.create_pool(database_url, min_size=1, max_size=1) as admin:
        await admin.execute("INSERT INTO plyr.sync_requests (did) VALUES ($1)", account.did)
    await indexer.requests.take()
    await indexer.settle()

    assert (await indexer.repo(account))["purged_at"] is not None
    assert await indexer.value("SELECT count(*) FROM network.records") == 0


async def test_a_gap_has_the_identity_read_again_and_an_inactive_account_asked_for(indexer: Harness) -> None:
    renamed, back = await synchronized(indexer), await synchronized(indexer)
    indexer.feed(indexer.world.account_frame(back, False, "deactivated"))
    await indexer.settle()
    renamed.handle = "renamed.world.test"
    indexer.world.now_us += 1000
    assert await indexer.audited() == {"same": 1, "status": 1}
    await indexer.settle()

    assert (await indexer.repo(renamed))["handle"] == "renamed.world.test"
    assert (await indexer.repo(back))["visible"] is True


@pytest.mark.parametrize("is_tombstone", [True, False])
async def test_only_a_tombstone_confirms_a_deletion_and_not_what_is_merely_not_found(
    indexer: Harness, is_tombstone: bool
) -> None:
    class Nowhere:
        async def resolve(self, did: DID) -> Identity:
            raise IdentityNotFound("not here", is_tombstone=is_tombstone)

    network = RealNetwork(indexer.client, Nowhere(), frozenset(), max_repo_bytes=1)  # type: ignore[arg-type]

    assert await network.is_deleted(DID("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")) is is_tombstone


async def test_a_directory_that_does_not_know_an_account_has_it_hidden_and_not_purged(indexer: Harness) -> None:
    account = await synchronized(indexer)
    del indexer.world.accounts[account.did]
    indexer.feed(indexer.world.identity_frame(account))
    await indexer.settle(rounds=3)

    row = await indexer.repo(account)
    assert (row["visible"], row["purged_at"]) == (False, None)
    assert await indexer.titles() == ["One"]


async def test_an_account_whose_document_comes_back_is_shown_again(indexer: Harness) -> None:
    account = await synchronized(indexer)

    class Absent(Meanwhile):
        absent = True

        async def resolve(self, did: DID) -> Identity:
            if self.absent:
                raise IdentityNotFound("404")
            return await super().resolve(did)

        async def is_deleted(self, did: DID) -> bool:
            return False

        async def is_active(self, did: DID) -> bool:
            return not self.absent

    network = indexer.rerouted.to = Absent(indexer.network)
    indexer.feed(indexer.world.identity_frame(account))
    await indexer.settle(rounds=2)
    assert (await indexer.repo(account))["visible"] is False

    network.absent = False
    indexer.woken.add(account.did)
    await indexer.settle()
    row = await indexer.repo(account)
    assert (row["visible"], row["sync_status"], row["deleted_at"]) == (True, "synchronized", None)


def frame_of(*, blocks: bytes = b"", operations: int = 0, rev: str = "3mbd3542kzc22") -> CommitFrame:
    operation = Operation("create", "app.bsky.feed.post/3mbd3542kzc22", None, None)
    return CommitFrame(1, "did:plc:x", rev, None, "", b"", blocks, (operation,) * operations, None)


@pytest.mark.parametrize("frame", [frame_of(), frame_of(blocks=bytes(100_000)), frame_of(operations=1000)])
def test_commits_that_wait_are_bounded_by_what_they_weigh_in_memory(frame: CommitFrame) -> None:
    repo = Repo("did:plc:x", SyncStatus.DESYNCHRONIZED)
    kept = 0
    while repo.wait(replace(frame, rev=f"3mbd354{kept:06}"), 1_000_000):
        kept += 1
        assert kept * (200 + len(frame.blocks) + 100 * len(frame.operations)) <= 1_000_000

    assert (repo.waiting, repo.waiting_bytes, repo.has_lost_commits) == ([], 0, True)


def test_commits_that_wait_are_bounded_over_all_repositories() -> None:
    repos = Repos(waiting_bytes_limit=1_000_000)
    kept = [repos.track(f"did:plc:{n}", Cause.NEW).wait(frame_of(blocks=bytes(300_000)), 1_000_000) for n in range(5)]
    assert kept == [True, True, True, False, False]

    first = repos.by_did["did:plc:0"]
    first.drop_first()
    repos.by_did["did:plc:1"].forget_waiting()
    assert (first.waiting, first.waiting_bytes) == ([], 0)
    assert repos.track("did:plc:9", Cause.NEW).wait(frame_of(blocks=bytes(500_000)), 1_000_000)


async def test_a_repository_that_breaks_again_and_again_is_repaired_ever_more_slowly(indexer: Harness) -> None:
    repo = Repo("did:plc:x", SyncStatus.DESYNCHRONIZED)
    now = indexer.now()
    waits = []
    for _ in range(30):
        waits.append(repo.pause_seconds(now))
        repo.count_repair(now)

    assert waits[:20] == [0.0] * 20
    assert waits[20] > 0
    assert waits[-1] > 60
    assert repo.pause_seconds(now + timedelta(hours=1)) == 0.0

    Repair.wake(indexer.repair, repo)
    assert indexer.repair._queue.is_idle


async def test_what_a_full_journal_holds_is_written_before_more_is_fetched(indexer: Harness) -> None:
    account = await synchronized(indexer)
    publish(indexer, account, ("update", TRACK, track("Two")))
    indexer.feed(indexer.world.sync_frame(account))
    indexer.journal._batch.change_count += 1_000_000
    Repair.wake(indexer.repair, indexer.repos.by_did[account.did])
    running = asyncio.create_task(indexer.repair.run())
    for _ in range(20):
        await asyncio.sleep(0)
    assert indexer.server.requests.total() == 0

    await indexer.write()
    async with asyncio.timeout(60):
        while not indexer.repair.is_idle:
            await asyncio.sleep(0.005)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await indexer.write()
    assert await indexer.titles() == ["Two"]


def test_a_repository_of_too_many_blocks_or_too_much_of_ours_is_too_large(tmp_path: Path) -> None:
    account = world.World(1).account()
    account.commit([("create", f"fm.plyr.track/3mbd3542kzc2{letter}", track(letter * 300)) for letter in "abcdef"])
    path = tmp_path / "repo.car"
    path.write_bytes(account.export())
    collections = frozenset({"fm.plyr.track"})

    assert len(read_snapshot(path, collections).records) == 6
    with pytest.raises(ResponseTooLarge):
        read_snapshot(path, collections, block_limit=5)
    with pytest.raises(ResponseTooLarge):
        read_snapshot(path, collections, records_bytes_limit=1000)


async def test_a_spool_that_cannot_be_written_is_no_reason_to_end(indexer: Harness, tmp_path: Path) -> None:
    account = await synchronized(indexer)
    indexer.server.sparse = False  # what comes in parts needs no spool
    indexer.network._spool_dir = tmp_path / "missing"
    indexer.repos.by_did[account.did].desynchronize(Cause.SYNC)
    indexer.woken.add(account.did)
    await indexer.settle(rounds=2)

    row = await indexer.repo(account)
    assert (row["sync_status"], row["cause"]) == ("desynchronized", "pds-unreachable")


async def test_a_host_that_never_answers_holds_up_its_own_accounts_and_no_others(indexer: Harness) -> None:
    slow = [indexer.world.account(pds="https://slow.example.com") for _ in range(20)]
    good = indexer.world.account(pds=indexer.server.url)
    answered = asyncio.Event()
    asked: list[str] = []

    class SlowHost(Meanwhile):
        async def fetch(self, pds: str, did: DID) -> Fetched:
            if pds != indexer.server.url:
                asked.append(did)
                await answered.wait()
                pds = indexer.server.url
            return await super().fetch(pds, did)

    indexer.rerouted.to = SlowHost(indexer.network)
    del indexer.repair.wake  # type: ignore[attr-defined]  # the real one again
    indexer.processor._wake = indexer.repair.wake
    running = asyncio.create_task(indexer.repair.run())
    for account in [*slow, good]:
        indexer.feed(publish(indexer, account, ("create", TRACK, track(account.did))))
    async with asyncio.timeout(60):
        while indexer.repos.by_did[good.did].sync_status is not SyncStatus.SYNCHRONIZED:
            await asyncio.sleep(0.005)
        assert len(asked) <= 3
        answered.set()
        while not indexer.repair.is_idle:
            await asyncio.sleep(0.005)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await indexer.write()

    assert await indexer.titles() == sorted(account.did for account in [*slow, good])


async def test_growth_ends_where_the_total_is_reached(indexer: Harness) -> None:
    tracked = 0
    growth = Growth(1e9, 1000, indexer.now, total=3, count=lambda: tracked)
    while growth.admit():
        tracked += 1

    assert (tracked, growth.refused) == (3, 1)


async def test_a_message_that_cannot_be_read_during_the_fetch_has_the_repository_fetched_again(
    indexer: Harness,
) -> None:
    account = await synchronized(indexer)
    publish(indexer, account, ("update", TRACK, track("Two")))
    indexer.feed(indexer.world.sync_frame(account))

    def change() -> None:
        frame = publish(indexer, account, ("update", TRACK, track("Three")))
        kind, payload = frames.split(frame)
        indexer.processor.process(str(kind), payload | {"since": 7}, RELAY)

    meanwhile(indexer).during_fetch = change
    await indexer.settle()

    assert await indexer.titles() == ["Three"]


async def test_an_unreadable_message_of_one_account_touches_no_other(indexer: Harness) -> None:
    account, other = await synchronized(indexer), await synchronized(indexer)
    kind, payload = frames.split(indexer.world.identity_frame(account))
    indexer.processor.process(str(kind), payload | {"repo": other.did, "time": 7}, RELAY)

    assert indexer.repos.by_did[other.did].sync_status is SyncStatus.SYNCHRONIZED
    assert indexer.repos.by_did[account.did].sync_status is SyncStatus.DESYNCHRONIZED


async def test_a_request_is_taken_with_what_it_asks_for_and_no_earlier(indexer: Harness, database_url: str) -> None:
    account = indexer.world.account(pds=indexer.server.url)
    publish(indexer, account, ("create", TRACK, track("Remote")))
    async with asyncpg.create_pool(database_url, min_size=1, max_size=1) as admin:
        await admin.execute("INSERT INTO plyr.sync_requests (did) VALUES ($1)", account.did)
    assert await indexer.requests.take() == 1
    assert await indexer.requests.take() == 0
    await indexer.load()  # the process died before anything was written
    assert indexer.repos.by_did == {}

    assert await indexer.requests.take() == 1
    await indexer.write()
    assert await indexer.value("SELECT taken_at FROM plyr.sync_requests") is not None
    await indexer.settle()
    assert await indexer.titles() == ["Remote"]
