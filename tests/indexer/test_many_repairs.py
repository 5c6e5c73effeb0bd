"""A thousand repositories to repair at once: all are, a bounded number at a time, and few at each host."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import world
from harness import TRACK, Harness, harness, track

from atprotocol.did_document import parse_did_document
from atprotocol.net.directory import Identity
from atprotocol.syntax.did import DID
from indexer.decisions import Cause, SyncStatus
from indexer.fetching import Fetched
from indexer.snapshot import read_snapshot

GUARD_SECONDS = 60
REPOSITORIES, HOSTS = 1000, 12


@pytest.fixture
async def indexer(database_url: str) -> AsyncIterator[Harness]:
    async with harness(database_url, world.World(81)) as made:
        yield made


class Crowd:
    """A network of many hosts that counts who is asked at once."""

    def __init__(self, indexer: Harness, folder: Path) -> None:
        self._world = indexer.world
        self._collections = indexer.reader.collections
        self._folder = folder
        self._at_once: Counter[str] = Counter()
        self.most_at_once = 0
        self.most_at_one_host = 0

    async def resolve(self, did: DID) -> Identity:
        await asyncio.sleep(0)
        document = parse_did_document(self._world.accounts[did].document(), did)
        return Identity(did, document.handle_claim, document.signing_key, document.pds)

    async def fetch(self, pds: str, did: DID) -> Fetched:
        self._at_once[pds] += 1
        self.most_at_once = max(self.most_at_once, self._at_once.total())
        self.most_at_one_host = max(self.most_at_one_host, self._at_once[pds])
        for _ in range(5):
            await asyncio.sleep(0)
        self._at_once[pds] -= 1
        path = self._folder / "repo.car"
        path.write_bytes(self._world.accounts[did].export())
        return Fetched(read_snapshot(path, self._collections), 1)

    async def is_deleted(self, did: DID) -> bool:
        return False

    async def is_active(self, did: DID) -> bool:
        return True


async def test_a_thousand_repositories_at_once_are_repaired_a_few_at_a_time(indexer: Harness, tmp_path: Path) -> None:
    crowd = indexer.rerouted.to = Crowd(indexer, tmp_path)
    for number in range(REPOSITORIES):
        account = indexer.world.account(pds=f"https://pds{number * HOSTS // REPOSITORIES}.example.com")
        account.commit([("create", TRACK, track(account.did))])
        indexer.repos.track(account.did, Cause.NEW)
    del indexer.repair.wake  # type: ignore[attr-defined]  # the real one again
    running = asyncio.create_task(indexer.repair.run())
    for repo in indexer.repos.by_did.values():
        indexer.repair.wake(repo)
    async with asyncio.timeout(GUARD_SECONDS):
        while not indexer.repair.is_idle:
            await asyncio.sleep(0.01)
            if indexer.journal.is_full:
                await indexer.write()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await indexer.write()

    causes = Counter(repo.cause_detail for repo in indexer.repos.by_did.values())
    assert causes == {None: REPOSITORIES}
    assert {repo.sync_status for repo in indexer.repos.by_did.values()} == {SyncStatus.SYNCHRONIZED}
    assert await indexer.value("SELECT count(*) FROM network.tracks") == REPOSITORIES
    assert 1 < crowd.most_at_once <= 8
    assert 1 < crowd.most_at_one_host <= 3
