"""Whose word hid an account, and whose brings it back: over restarted upstreams, missed events and migrations."""

from collections.abc import AsyncIterator

import pytest
import world
from harness import Harness, harness, synchronized
from scripted_stream import played

RELAY_STATUSES = ["takendown", "suspended"]


@pytest.fixture
async def indexer(database_url: str) -> AsyncIterator[Harness]:
    async with harness(database_url, world.World(43)) as made:
        yield made


@pytest.mark.parametrize("status", RELAY_STATUSES)
@pytest.mark.parametrize("is_older_row", [False, True])
async def test_a_relays_moderation_survives_that_it_restarts_its_numbering(
    indexer: Harness, status: str, *, is_older_row: bool
) -> None:
    account = await synchronized(indexer)
    indexer.feed(indexer.world.account_frame(account, False, status))
    await indexer.settle()
    if is_older_row:
        indexer.repos.by_did[account.did].account_host = None
    await played(indexer, [world.error_frame("FutureCursor")])

    assert await indexer.audited() == {"withheld": 1}
    await indexer.settle()
    assert (await indexer.repo(account))["visible"] is False

    indexer.world.seq = 7
    indexer.feed(indexer.world.account_frame(account, True))
    await indexer.settle()
    assert (await indexer.repo(account))["visible"] is True


@pytest.mark.parametrize("status", RELAY_STATUSES)
async def test_what_its_own_host_took_down_its_host_gives_back(indexer: Harness, status: str) -> None:
    account = await synchronized(indexer)
    indexer.feed(indexer.world.account_frame(account, True))
    account.active, account.status = False, status
    assert await indexer.audited() == {"status": 1}
    await indexer.settle()
    assert (await indexer.repo(account))["upstream_status"] == status

    account.active, account.status = True, None
    assert await indexer.audited() == {"status": 1}
    await indexer.settle()
    assert (await indexer.repo(account))["visible"] is True


async def test_an_account_that_became_active_at_its_new_host_unnoticed_is_shown_again(indexer: Harness) -> None:
    account = await synchronized(indexer)
    indexer.feed(indexer.world.account_frame(account, False, "deactivated"))
    await indexer.settle()
    # The host that the document named then answers for the account no more.
    indexer.repos.by_did[account.did].pds = f"{indexer.server.url}/old"
    indexer.world.now_us += 1000

    assert await indexer.audited() == {"status": 1}
    await indexer.settle()
    assert (await indexer.repo(account))["visible"] is True
