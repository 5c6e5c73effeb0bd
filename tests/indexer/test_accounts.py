"""What the words of an account's host mean for the account."""

from collections.abc import AsyncIterator

import pytest
import world
from harness import TRACK, Harness, harness, publish, synchronized, track

from indexer.decisions import Cause


@pytest.fixture
async def indexer(database_url: str) -> AsyncIterator[Harness]:
    async with harness(database_url, world.World(45)) as made:
        yield made


@pytest.mark.parametrize("status", ["deactivated", "suspended", "takendown", "deleted"])
async def test_whatever_a_host_says_of_a_repository_hides_it_and_only_a_deletion_is_one(
    indexer: Harness, status: str
) -> None:
    account = await synchronized(indexer)
    publish(indexer, account, ("update", TRACK, track("missed")))
    indexer.feed(publish(indexer, account, ("update", TRACK, track("Two"))))
    account.active, account.status = False, status
    await indexer.mend()
    await indexer.write()

    row = await indexer.repo(account)
    assert (row["active"], row["upstream_status"], row["visible"]) == (False, status, False)
    assert (row["deleted_at"] is not None) is (status == "deleted")


async def test_a_host_that_does_not_answer_says_nothing_about_an_account(indexer: Harness) -> None:
    account = await synchronized(indexer)
    indexer.feed(indexer.world.account_frame(account, False, "deactivated"))
    await indexer.settle()
    indexer.server.down.add("getRepoStatus")
    repo = indexer.repos.by_did[account.did]
    repo.cause = Cause.AUDIT
    await indexer.repair.repair(repo)

    assert repo.active is False
