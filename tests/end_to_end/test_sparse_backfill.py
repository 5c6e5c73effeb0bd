"""The reference PDS gives parts of a repository, and they are what the whole of it holds."""

from collections.abc import AsyncIterator, Iterable

import pytest
from account import Account, Record
from local_network import Network, network

from atprotocol.errors import RepoGone
from atprotocol.net.addresses import Policy
from atprotocol.net.http import BoundedClient
from atprotocol.net.repo_blocks import get_blocks, get_record_proof
from atprotocol.syntax.did import DID
from indexer.fetching import Fetched, RealNetwork

pytestmark = pytest.mark.xdist_group("local-network")

NEIGHBOURS = ("com.example.aaa", "com.example.songs", "com.example.song.item", "com.example.zzz")
OURS = frozenset({"com.example.profile", "com.example.song", "com.example.vote"})


@pytest.fixture(scope="module")
async def net() -> AsyncIterator[Network]:
    async with network(pds=1) as running:
        yield running


@pytest.fixture
async def client(net: Network) -> AsyncIterator[BoundedClient]:
    async with BoundedClient(Policy(net.allowed)) as opened:
        yield opened


def writes(action: str, collection: str, keys: Iterable[str]) -> list[Record]:
    value = {} if action == "delete" else {"value": {"$type": collection, "note": action}}
    return [{"action": action, "collection": collection, "rkey": key} | value for key in keys]


async def both_ways(client: BoundedClient, account: Account) -> Fetched:
    """Return our part of the account's repository, after making sure that the whole says the same."""
    fetched = []
    for way in ("auto", "whole"):
        made = RealNetwork(client, None, OURS, max_repo_bytes=1_000_000, fetch=way)  # type: ignore[arg-type]
        fetched.append(await made.fetch(account.pds.url, DID(account.did)))
    sparse, whole = fetched
    assert (sparse.is_sparse, sparse.why_whole) == (True, None)
    assert sparse.snapshot == whole.snapshot
    return sparse


async def test_a_part_is_what_the_whole_holds_of_it_whatever_is_written(net: Network, client: BoundedClient) -> None:
    gina = await net.create_account("gina.pds1.test")
    assert (await both_ways(client, gina)).snapshot.records == {}

    foreign = [write for name in NEIGHBOURS for write in writes("create", name, (f"k{n}" for n in range(15)))]
    await gina.apply_writes(foreign)
    assert (await both_ways(client, gina)).snapshot.records == {}

    keys = [f"k{number}" for number in range(12)]
    await gina.apply_writes(writes("create", "com.example.song", keys))
    await gina.apply_writes(
        [*writes("create", "com.example.profile", ["self"]), *writes("update", "com.example.song", ["k3"])]
    )
    assert len((await both_ways(client, gina)).snapshot.records) == 13

    await gina.apply_writes(
        [*writes("delete", "com.example.song", keys[::2]), *writes("create", "com.example.vote", ["~"])]
    )
    assert len((await both_ways(client, gina)).snapshot.records) == 8

    await gina.apply_writes(
        [*writes("delete", "com.example.song", keys[1::2]), *writes("delete", "com.example.aaa", ["k1"])]
    )
    found = (await both_ways(client, gina)).snapshot.records
    assert found.keys() == {"com.example.profile/self", "com.example.vote/~"}


async def test_a_block_that_a_write_replaced_is_missing_and_no_more_is_wrong(
    net: Network, client: BoundedClient
) -> None:
    hugo = await net.create_account("hugo.pds1.test")
    await hugo.create_record("com.example.song", {"note": "one"}, record_key="one")
    asked = (client, hugo.pds.url, DID(hugo.did))
    before = await get_record_proof(*asked, "com.example.song", "one", max_bytes=10_000)
    await hugo.put_record("com.example.song", "one", {"note": "two"})

    found = await get_blocks(*asked, list(before.car.blocks), max_bytes=10_000)

    assert (found.blocks, found.requests) == ({}, 1)


async def test_a_deactivated_account_is_gone_for_parts_too(net: Network, client: BoundedClient) -> None:
    ivan = await net.create_account("ivan.pds1.test")
    await ivan.deactivate()

    made = RealNetwork(client, None, OURS, max_repo_bytes=1_000_000)  # type: ignore[arg-type]
    with pytest.raises(RepoGone) as caught:
        await made.fetch(ivan.pds.url, DID(ivan.did))
    assert caught.value.reason == "RepoDeactivated"
