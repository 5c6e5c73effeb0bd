"""Two histories of one account, and commits that nobody signed: ours stays until the account's host has spoken."""

from collections.abc import AsyncIterator

import pytest
import world
from harness import OTHER, TRACK, Harness, harness, publish, synchronized, track


@pytest.fixture
async def indexer(database_url: str) -> AsyncIterator[Harness]:
    async with harness(database_url, world.World(41)) as made:
        yield made


def fork(indexer: Harness, account: world.Account, key: world.Key | None = None) -> bytes:
    """A frame of another commit with the rev of the account's last, signed by its key (or another one)."""
    twin = world.Account(
        indexer.world, account.did, account.handle, key or account.key, account.pds, dict(account.records)
    )
    twin.tree = world.build_tree({path: world.cid_of(world.encode(record)) for path, record in twin.records.items()})
    commit = twin.commit([("create", OTHER, track("forked"))])
    commit.cid, commit.block = twin.sign_commit(commit.data, str(account.rev))
    blocks = commit.blocks | {commit.cid: commit.block}
    return indexer.world.commit_frame(twin, commit, rev=account.rev, blocks=world.car(commit.cid, blocks))


async def test_two_commits_with_one_rev_sound_an_alarm_and_the_hosts_word_is_fetched(indexer: Harness) -> None:
    account = await synchronized(indexer)
    indexer.feed(fork(indexer, account))
    await indexer.write()
    row = await indexer.repo(account)
    assert (row["cause"], indexer.metrics.events["indexer.fork"]) == ("fork", 1)
    assert await indexer.titles() == ["One"], "ours stays"

    await indexer.settle()
    assert indexer.server.requests["getRepo"] == 1
    assert await indexer.titles() == ["One"]
    assert (await indexer.repo(account))["sync_status"] == "synchronized"


async def test_a_second_commit_that_the_account_did_not_sign_is_nothing(indexer: Harness) -> None:
    account = await synchronized(indexer)
    indexer.feed(fork(indexer, account, indexer.world.key()))
    await indexer.settle()

    assert indexer.server.requests.total() == 0
    assert indexer.metrics.events["indexer.fork"] == 0


async def test_the_same_commit_again_is_no_fork(indexer: Harness) -> None:
    account = await synchronized(indexer)
    frame = publish(indexer, account, ("create", OTHER, track("Two")))
    indexer.feed(frame, frame)
    await indexer.settle()

    assert indexer.server.requests.total() == 0


async def test_a_sync_of_another_tree_at_the_same_rev_is_a_fork(indexer: Harness) -> None:
    account = await synchronized(indexer)
    rev = str(account.rev)
    account.commit([("create", OTHER, track("Two"))])
    account.head, account.head_block = account.sign_commit(account.tree.root, rev)
    account.rev = rev
    indexer.feed(indexer.world.sync_frame(account))
    await indexer.write()
    assert (await indexer.repo(account))["cause"] == "fork"

    await indexer.settle()
    assert await indexer.titles() == ["One", "Two"], "the host's own is taken"
    assert indexer.metrics.events["indexer.fork"] == 1


async def test_a_forged_commit_costs_a_look_at_the_document_and_nothing_else(indexer: Harness) -> None:
    account = await synchronized(indexer)
    thief = world.Account(
        indexer.world, account.did, account.handle, indexer.world.key(), account.pds, dict(account.records),
        account.tree, account.rev,
    )  # fmt: skip
    indexer.feed(publish(indexer, thief, ("create", OTHER, track("forged"))))
    await indexer.settle()

    assert dict(indexer.server.requests) == {"plc": 1}
    assert await indexer.titles() == ["One"]
    row = await indexer.repo(account)
    assert (row["sync_status"], row["seen_rev"]) == ("synchronized", account.rev)


async def test_a_forged_commit_does_not_hold_up_the_true_one_after_it(indexer: Harness) -> None:
    account = await synchronized(indexer)
    thief = world.Account(
        indexer.world, account.did, account.handle, indexer.world.key(), account.pds, dict(account.records),
        account.tree, account.rev,
    )  # fmt: skip
    indexer.feed(
        publish(indexer, thief, ("create", OTHER, track("forged"))),
        publish(indexer, account, ("create", OTHER, track("true"))),
    )
    await indexer.settle()

    assert await indexer.titles() == ["One", "true"]
    assert dict(indexer.server.requests) == {"plc": 1}


async def test_a_key_that_rotates_while_the_document_is_read_costs_no_commit(indexer: Harness) -> None:
    """The document that was read is older than the commit: it is no proof against it."""
    account = await synchronized(indexer)
    indexer.feed(indexer.world.identity_frame(account))
    resolve = indexer.network.resolve

    class Rotating:
        def __getattr__(self, name: str) -> object:
            return getattr(indexer.network, name)

        async def resolve(self, did: object) -> object:
            identity = await resolve(did)  # type: ignore[arg-type]
            indexer.rerouted.to = indexer.network
            account.key = indexer.world.key()
            indexer.feed(publish(indexer, account, ("create", OTHER, track("Two"))))
            return identity

    indexer.rerouted.to = Rotating()
    await indexer.settle()

    assert await indexer.titles() == ["One", "Two"]
    assert (await indexer.repo(account))["sync_status"] == "synchronized"


async def test_a_commit_under_the_key_before_the_last_is_not_accepted(indexer: Harness) -> None:
    account = await synchronized(indexer)
    old = account.key
    account.key = indexer.world.key()
    indexer.feed(indexer.world.identity_frame(account))
    await indexer.settle()
    indexer.server.requests.clear()
    new, account.key = account.key, old
    late = publish(indexer, account, ("update", TRACK, track("under the old key")))
    account.key = new
    account.head, account.head_block = account.sign_commit(account.tree.root, str(account.rev))
    indexer.feed(late)
    await indexer.settle()
    assert await indexer.titles() == ["One"]

    indexer.feed(publish(indexer, account, ("create", OTHER, track("Two"))))
    await indexer.settle()
    assert await indexer.titles() == ["Two", "under the old key"], "the host serves it, under the key in force"
