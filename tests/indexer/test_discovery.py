"""Accounts that have records of ours but were never heard of, found through a relay on a real socket."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import world
from harness import like, track
from world_server import WorldServer

from atprotocol.net.addresses import Policy
from atprotocol.net.http import BoundedClient
from indexer.decisions import Cause, SyncStatus
from indexer.discovery import Discovery
from indexer.growth import Growth
from indexer.journal import Journal
from indexer.metrics import Metrics
from indexer.state import Repo, Repos

TRACKS, LIKES = "fm.plyr.track", "fm.plyr.like"
KEY = "3mbd3542kzc22"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
GUARD_SECONDS = 30


class Relay:
    """A relay with a world behind it, and a discovery that asks it."""

    def __init__(self, server: WorldServer, client: BoundedClient) -> None:
        self.server = server
        self.now = NOW
        self.repos, self.journal, self.metrics = Repos(), Journal(), Metrics()
        self.woken: list[str] = []
        self.client = client

    def discovery(self, per_minute: float = 60.0, burst: int = 1000) -> Discovery:
        growth = Growth(per_minute, burst, lambda: self.now)
        return Discovery(
            self.client, self.server.url, frozenset({TRACKS, LIKES}), self.repos, self.journal, growth, self.metrics,
            lambda repo: self.woken.append(repo.did),
        )  # fmt: skip

    def account(self, *writes: tuple[str, world.Record]) -> str:
        account = self.server.world.account()
        account.commit([("create", path, record) for path, record in writes])
        return account.did


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    server = WorldServer(world.World(9))
    await server.start()
    try:
        async with BoundedClient(Policy(frozenset({("localhost", server.port)}), allow_http=True)) as client:
            yield Relay(server, client)
    finally:
        await server.stop()


async def test_every_account_with_records_of_ours_is_tracked_and_marked_for_its_first_repair(relay: Relay) -> None:
    artist = relay.account((f"{TRACKS}/{KEY}", track()))
    listener = relay.account((f"{LIKES}/{KEY}", like(relay.server.world.accounts[artist], f"{TRACKS}/{KEY}")))
    relay.account(("app.bsky.feed.post/1", {"text": "x"}), ("fm.plyr.stg.track/1", track()))

    assert await relay.discovery().discover()
    assert relay.repos.by_did.keys() == {artist, listener}
    assert all(
        (repo.sync_status, repo.cause) == (SyncStatus.DESYNCHRONIZED, Cause.NEW) for repo in relay.repos.by_did.values()
    )
    assert sorted(relay.woken) == sorted([artist, listener])
    assert relay.journal.take_now().repos.keys() == {artist, listener}, "their rows are to be written"


async def test_an_account_in_several_collections_is_tracked_once(relay: Relay) -> None:
    did = relay.account((f"{TRACKS}/{KEY}", track()), (f"{LIKES}/{KEY}", {}))
    await relay.discovery().discover()
    await relay.discovery().discover()
    assert relay.woken == [did]


async def test_what_is_tracked_already_is_left_alone(relay: Relay) -> None:
    did = relay.account((f"{TRACKS}/{KEY}", track()))
    known = relay.repos.add(Repo(did, SyncStatus.SYNCHRONIZED, rev=KEY))
    assert await relay.discovery().discover()
    assert (known.sync_status, known.cause, relay.woken) == (SyncStatus.SYNCHRONIZED, None, [])
    assert relay.journal.take_now().repos == {}


async def test_nonsense_in_a_relays_list_costs_nobody_else(relay: Relay) -> None:
    artist = relay.account((f"{TRACKS}/{KEY}", track()))
    for nonsense in ("not a did", "", "did:plc:", "somebody.example.com"):
        relay.server.world.account(did=nonsense).records[f"{TRACKS}/{KEY}"] = track()
    assert await relay.discovery().discover()
    assert relay.repos.by_did.keys() == {artist}


@pytest.mark.parametrize("way", ["refuses", "is gone"])
async def test_a_relay_that_cannot_be_asked_is_told_and_ends_nothing(relay: Relay, way: str) -> None:
    relay.account((f"{TRACKS}/{KEY}", track()))
    if way == "refuses":
        relay.server.down.add("listReposByCollection")
    else:
        await relay.server.stop()
    assert not await relay.discovery().discover()
    assert relay.metrics.events["indexer.discovery_failed"] == 1
    assert relay.repos.by_did == {}


async def test_it_waits_for_growth_to_allow_more_and_loses_nobody(relay: Relay) -> None:
    dids = {relay.account((f"{TRACKS}/{KEY}", track(str(number)))) for number in range(5)}
    running = asyncio.create_task(relay.discovery(per_minute=60, burst=3).discover())
    async with asyncio.timeout(GUARD_SECONDS):
        while len(relay.woken) < 3:
            await asyncio.sleep(0.001)
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert len(relay.woken) == 3, "the clock stands still, so nothing more is allowed"
        relay.now += timedelta(seconds=2)
        assert await running
    assert relay.repos.by_did.keys() == dids


async def test_it_goes_on_after_a_failure(relay: Relay) -> None:
    did = relay.account((f"{TRACKS}/{KEY}", track()))
    relay.server.down.add("listReposByCollection")
    running = asyncio.create_task(relay.discovery().run(0.001))
    async with asyncio.timeout(GUARD_SECONDS):
        while relay.metrics.events["indexer.discovery_failed"] < 3:
            await asyncio.sleep(0.001)
        relay.server.down.clear()
        while relay.metrics.events["indexer.discovered"] < 2:
            await asyncio.sleep(0.001)
    assert relay.woken == [did]
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
