"""What a host serves that nobody signed moves nothing, although it holds the very tree that is known."""

from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest
import world
from harness import OTHER, Harness, harness, publish, synchronized, track


@pytest.fixture
async def indexer(database_url: str) -> AsyncIterator[Harness]:
    async with harness(database_url, world.World(46)) as made:
        yield made


async def test_a_rev_that_nobody_signed_hides_no_commit(indexer: Harness, database_url: str) -> None:
    account = await synchronized(indexer)
    rev, head = account.rev, account.head
    ahead = world.tid(indexer.world.now_us + int(timedelta(minutes=4).total_seconds()) * 1_000_000)
    forged, block = account.sign_commit(account.tree.root, ahead, indexer.world.key())
    indexer.server.snapshots[account.did] = world.car(
        forged,
        account.tree.blocks
        | {forged: block}
        | {world.cid_of(world.encode(record)): world.encode(record) for record in account.records.values()},
    )
    async with asyncpg.create_pool(database_url, min_size=1, max_size=1) as admin:
        await admin.execute("INSERT INTO plyr.sync_requests (did) VALUES ($1)", account.did)
    await indexer.requests.take()
    await indexer.settle()
    row = await indexer.repo(account)
    assert (row["rev"], row["commit_cid"]) == (rev, head)

    indexer.server.snapshots.clear()
    indexer.feed(publish(indexer, account, ("create", OTHER, track("Two"))))
    await indexer.settle()
    assert await indexer.titles() == ["One", "Two"]
