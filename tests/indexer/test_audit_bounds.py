"""Audits that strangers would keep from their work, or from ending."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import world
from harness import OTHER, Harness, Rerouted, harness, synchronized, track
from scripted_stream import played

from atprotocol.errors import IdentityUnavailable
from atprotocol.net.directory import Identity
from atprotocol.syntax.did import DID
from indexer.comparing import look

GUARD_SECONDS = 10


@pytest.fixture
async def indexer(database_url: str) -> AsyncIterator[Harness]:
    async with harness(database_url, world.World(44)) as made:
        yield made


class WebHostsGone(Rerouted):
    """The network without the hosts of all did:web."""

    async def resolve(self, did: DID) -> Identity:
        """Find whom the directory knows."""
        if did.startswith("did:web:"):
            raise IdentityUnavailable(did)
        found: Identity = await self.to.resolve(did)
        return found


async def test_documents_that_cannot_be_read_keep_no_other_account_of_the_host_from_being_compared(
    indexer: Harness,
) -> None:
    accounts = [await synchronized(indexer) for _ in range(4)]
    missed = accounts[-1]
    missed.commit([("create", OTHER, track("never announced"))])
    # Three strangers whose documents lie at hosts of their own, which are gone.
    for number, account in enumerate(accounts[:3]):
        repo = indexer.repos.by_did[account.did]
        repo.did = f"did:web:gone{number}.example.com"
    indexer.repos.by_did = {repo.did: repo for repo in indexer.repos.by_did.values()}
    indexer.world.now_us += 1000
    indexer.rerouted.to = WebHostsGone(indexer.network)

    indexer.audit.request("test")
    await indexer.audit.audit()
    assert indexer.metrics.audit_counts == {"unreachable": 3, "behind": 1}


async def test_the_words_in_which_a_host_explains_itself_are_bounded(indexer: Harness) -> None:
    account = await synchronized(indexer)
    account.active, account.status = False, "x" * 500_000
    indexer.server.down.add("getLatestCommit")

    view = await look(indexer.client, indexer.server.url, DID(account.did))
    assert (view.active, view.status) == (False, "x" * 100)


async def test_an_upstream_that_says_the_same_without_end_asks_for_one_audit(indexer: Harness) -> None:
    await played(indexer, [world.info_frame("OutdatedCursor")] * 500)

    assert await indexer.rows("SELECT count(*) FROM network.audits") == [(1,)]
    await indexer.audited()
    await played(indexer, [world.info_frame("OutdatedCursor")])
    assert await indexer.rows("SELECT count(*) FROM network.audits") == [(2,)], "it was said again after that audit"


async def test_an_audit_by_hand_does_not_put_off_the_daily_one(indexer: Harness) -> None:
    await synchronized(indexer)
    await indexer.audited()
    days = "UPDATE network.audits SET finished_at = finished_at - interval '2 days'"
    await indexer.pool.execute(days)
    await indexer.pool.execute(
        "INSERT INTO network.audits (requested_at, reason, started_at, finished_at, counts) VALUES ($1, 'plyr audit', $1, $1, '{}')",
        indexer.now() + timedelta(seconds=1),
    )
    await indexer.load()
    running = asyncio.create_task(indexer.audit.run())
    async with asyncio.timeout(GUARD_SECONDS):
        while indexer.metrics.events["indexer.audited"] == 0:
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
