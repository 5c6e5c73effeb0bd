"""The local network itself works: accounts write, the relay delivers, a cursor replays, an account moves."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import libipld
import pytest
from local_network import Network, network
from relay import Event, Relay, relay

from atprotocol.net.addresses import Policy
from atprotocol.net.directory import Directory
from atprotocol.net.firehose import connect
from atprotocol.net.handles import HandleStatus, HandleVerifier
from atprotocol.net.http import BoundedClient
from atprotocol.net.repos import get_latest_commit, get_repo, list_repos_by_collection
from atprotocol.syntax.did import DID
from atprotocol.syntax.handle import Handle

SONG = "com.example.song"
pytestmark = pytest.mark.xdist_group("local-network")


@pytest.fixture(scope="module")
async def net() -> AsyncIterator[Network]:
    async with network(pds=2) as running:
        yield running


@pytest.fixture(scope="module")
async def hub(net: Network) -> AsyncIterator[Relay]:
    async with relay(net.plc_url, [pds.url for pds in net.pds]) as running:
        yield running


@pytest.fixture(scope="module")
async def client(net: Network, hub: Relay) -> AsyncIterator[BoundedClient]:
    async with BoundedClient(Policy(net.allowed | {("localhost", hub.port)})) as opened:
        yield opened


def _created(events: list[Event]) -> dict[str, str]:
    """Return whose commit created which path."""
    operations = [(event, operation) for event in events if event.kind == "#commit" for operation in event.body["ops"]]
    return {operation["path"]: event.did for event, operation in operations if operation["action"] == "create"}


async def _no_txt(name: str) -> list[str]:
    raise AssertionError(name)


async def test_records_of_two_hosts_come_through_the_relay_live_and_from_a_cursor(
    net: Network, hub: Relay, client: BoundedClient
) -> None:
    alice, bob = await asyncio.gather(net.create_account("alice.pds1.test"), net.create_account("bob.pds2.test"))
    by_alice = await alice.create_record(SONG, {"title": "One"})
    by_bob = await bob.create_record(SONG, {"title": "Two"}, record_key="two")
    expected = {f"{SONG}/{by_alice.record_key}": alice.did, f"{SONG}/two": bob.did}
    await hub.wait_for(lambda events: _created(events).items() >= expected.items())
    kept = list(hub.events)
    assert by_bob.uri == f"at://{bob.did}/{SONG}/two"

    async def replay(cursor: int) -> list[bytes]:
        async with connect(hub.firehose_url, cursor, client.policy) as stream:
            frames = aiter(stream)
            return [await anext(frames) for _ in kept[cursor:]]

    assert await replay(0) == [event.frame for event in kept]
    assert await replay(3) == [event.frame for event in kept[3:]]
    assert [libipld.decode_dag_cbor_multi(frame)[1]["seq"] for frame in await replay(0)][:2] == [1, 2]

    pages = [page async for page in list_repos_by_collection(client, hub.url, SONG, limit=1)]
    assert {did for page in pages for did in page.dids} >= {alice.did, bob.did}


@pytest.mark.parametrize("legacy", [False, True])
async def test_identities_handles_and_repos_are_read_from_it(legacy: bool, net: Network) -> None:
    async with network(pds=1, legacy_did_documents=True) if legacy else contextlib.nullcontext(net) as running:
        carol = await running.create_account("carol.pds1.test")
        await carol.create_record(SONG, {"title": "Three"})
        async with BoundedClient(Policy(running.allowed)) as client:
            identity = await Directory(client, running.plc_url, allow_http=True).resolve(DID(carol.did))
            assert (identity.pds, identity.handle_claim) == (carol.pds.url, carol.handle)
            assert identity.signing_key is not None
            assert identity.signing_key.startswith("did:key:zQ3s")
            verifier = HandleVerifier(client, _no_txt, resolver_url=running.handle_resolver_url)
            verdict = await verifier.verify_handle(Handle(carol.handle), DID(carol.did))
            assert verdict.status == HandleStatus.VERIFIED
            latest = await get_latest_commit(client, carol.pds.url, DID(carol.did))
            async with get_repo(client, carol.pds.url, DID(carol.did), max_bytes=100_000) as repo:
                car = await asyncio.to_thread(repo.path.read_bytes)
            assert latest.cid.raw in car


async def test_an_account_lives_through_renaming_migration_and_deletion(
    net: Network, hub: Relay, client: BoundedClient
) -> None:
    dora = await net.create_account("dora.pds1.test")
    blob = await dora.upload_blob(b"RIFF not really", "audio/wav")
    await dora.create_record(SONG, {"title": "Four", "audio": blob})
    directory = Directory(client, net.plc_url, allow_http=True)
    before = await directory.resolve(DID(dora.did))

    await net.set_dns("dora.music.test", dora.did)
    await dora.update_handle("dora.music.test")
    assert (await directory.resolve(DID(dora.did))).handle_claim == "dora.music.test"

    await dora.migrate_to(net.pds[1])
    after = await directory.resolve(DID(dora.did))
    assert (after.pds, after.handle_claim) == (net.pds[1].url, "dora.pds2.test")
    assert after.signing_key != before.signing_key
    await dora.put_record(SONG, "five", {"title": "Five"})
    await hub.wait_for(lambda events: _created(events).get(f"{SONG}/five") == dora.did)

    await dora.deactivate()
    await dora.activate()
    await dora.apply_writes(
        [
            {"action": "create", "collection": SONG, "rkey": "six", "value": {"$type": SONG, "title": "Six"}},
            {"action": "delete", "collection": SONG, "rkey": "five"},
        ]
    )
    await dora.delete_account()
    await hub.wait_for(lambda events: any(_is_deletion(event, dora.did) for event in events))


async def test_the_relay_follows_a_host_through_an_outage(net: Network, hub: Relay) -> None:
    host = net.pds[1]
    erin = await net.create_account("erin.pds2.test")
    await net.stop_pds(host)
    await net.start_pds(host)
    await erin.create_record(SONG, {"title": "Seven"}, record_key="seven")
    await hub.wait_for(lambda events: _created(events).get(f"{SONG}/seven") == erin.did)


async def test_a_takedown_is_told_and_undone(net: Network, hub: Relay) -> None:
    fred = await net.create_account("fred.pds1.test")
    await net.take_down(fred.pds, fred.did)
    await hub.wait_for(lambda events: any(_status(event, fred.did) == "takendown" for event in events))
    await net.take_down(fred.pds, fred.did, applied=False)
    await hub.wait_for(lambda events: hub.repos[fred.did]["active"] is True)


def _status(event: Event, did: str) -> object:
    return event.body.get("status") if event.kind == "#account" and event.did == did else None


def _is_deletion(event: Event, did: str) -> bool:
    return _status(event, did) == "deleted"
