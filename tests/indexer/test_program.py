"""The whole indexer as it runs: all parts together, on real sockets and a real database, until it is told to end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
import world
from harness import CATALOG, TRACK, like, track
from labeler import labeler
from labeler_server import LabelerServer
from world_server import WorldServer

from atprotocol.errors import StreamRefused
from atprotocol.net.addresses import Policy
from atprotocol.net.directory import Directory
from atprotocol.net.handles import HandleVerifier
from atprotocol.net.http import BoundedClient
from atprotocol.syntax.did import DID
from database.connect import create_pool
from indexer.audit import AuditSettings
from indexer.comparing import ComparingSettings
from indexer.consumer import StreamSettings
from indexer.program import Indexer, Outside, assembled, run
from indexer.repair import RepairSettings
from indexer.settings import IndexerSettings

GUARD_SECONDS = 60
AT_ONCE = AuditSettings(quiet_seconds=0.01, comparing=ComparingSettings(seconds_between=0, grace_seconds=0.01))


class Running:
    """Relays, and an indexer that follows them while `indexing` lasts."""

    def __init__(self, url: str, *servers: WorldServer) -> None:
        self.url = url
        self.servers = servers
        self.world = servers[0].world
        self.opened_ports: list[int] = []
        self.settings = IndexerSettings(
            relay_urls=tuple(server.url for server in servers),
            stream=StreamSettings(first_cursor=0),
            audit=AT_ONCE,
            repair=RepairSettings(first_retry_seconds=0.1),
            poll_seconds=0.05,
        )

    @asynccontextmanager
    async def indexing(self, **changed: Any) -> AsyncIterator[Indexer]:
        ports = [*(server.port for server in self.servers), *self.opened_ports]
        opened = frozenset(("localhost", port) for port in ports)
        policy = Policy(opened, allow_http=True)
        directory_url = self.servers[0].url
        pool = await create_pool(self.url, role="plyr_indexer", maximum=4)

        async def no_txt(_: str) -> list[str]:
            return []

        async with BoundedClient(policy) as client:
            outside = Outside(
                client,
                policy,
                Directory(client, directory_url, allow_http=True),
                HandleVerifier(client, no_txt, resolver_url=directory_url),
            )
            settings = replace(self.settings, **changed)
            async with assembled(pool, CATALOG, outside, settings) as indexer:
                self.running = asyncio.create_task(run(indexer, settings))
                try:
                    yield indexer
                finally:
                    self.running.cancel()
                    await asyncio.gather(self.running, return_exceptions=True)
        await pool.close()

    async def publish(self, account: world.Account, *writes: world.Write) -> None:
        """Commit, and tell every relay."""
        frame = self.world.commit_frame(account, account.commit(list(writes)))
        for server in self.servers:
            await server.send(frame)

    async def titles(self) -> list[str]:
        connection = await asyncpg.connect(self.url)
        rows = await connection.fetch("SELECT title FROM network.tracks ORDER BY title")
        await connection.close()
        return [row["title"] for row in rows]

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(GUARD_SECONDS):
            while not await condition():
                await asyncio.sleep(0.02)

    async def until_titles(self, *titles: str) -> None:
        async def are_there() -> bool:
            return await self.titles() == list(titles)

        await self.until(are_there)


@asynccontextmanager
async def relays(url: str, count: int) -> AsyncIterator[Running]:
    network = world.World(61)
    servers = [WorldServer(network) for _ in range(count)]
    for server in servers:
        await server.start()
    try:
        yield Running(url, *servers)
    finally:
        for server in servers:
            await server.stop()


@pytest.fixture
async def one(database_url: str) -> AsyncIterator[Running]:
    async with relays(database_url, 1) as made:
        yield made


@pytest.fixture
async def two(database_url: str) -> AsyncIterator[Running]:
    async with relays(database_url, 2) as made:
        yield made


async def test_what_is_published_is_indexed_and_what_has_gathered_is_written_at_the_end(one: Running) -> None:
    account = one.world.account(pds=one.servers[0].url)
    async with one.indexing():
        await one.publish(account, ("create", TRACK, track("One")))
        await one.until_titles("One")
        await one.publish(account, ("update", TRACK, track("Two")))
        await one.until_titles("Two")
    connection = await asyncpg.connect(one.url)
    row = await connection.fetchrow("SELECT sync_status, handle_verified_at, rev FROM network.repos")
    cursor = await connection.fetchval("SELECT seq FROM network.cursors")
    await connection.close()
    assert (row["sync_status"], row["rev"], cursor) == ("synchronized", account.rev, 2)
    assert row["handle_verified_at"] is not None


async def test_what_was_left_undone_is_taken_up_by_the_next_process(one: Running) -> None:
    account = one.world.account(pds=one.servers[0].url)
    one.servers[0].down |= {"getRepo", "plc"}
    async with one.indexing() as indexer:
        await one.publish(account, ("create", TRACK, track("One")))

        async def is_tracked() -> bool:
            return indexer.repos.by_did.get(account.did) is not None and indexer.metrics.batches_written > 0

        await one.until(is_tracked)
    one.servers[0].down.clear()
    async with one.indexing():
        await one.until_titles("One")


async def test_accounts_are_discovered_through_the_relay(one: Running) -> None:
    account = one.world.account(pds=one.servers[0].url)
    account.commit([("create", TRACK, track("before anybody listened"))])
    async with one.indexing():
        await one.until_titles("before anybody listened")


async def test_who_was_not_admitted_at_once_is_indexed_when_there_is_room(one: Running) -> None:
    accounts = [one.world.account(pds=one.servers[0].url) for _ in range(3)]
    async with one.indexing(new_repos_burst=1, new_repos_per_minute=600.0, discovers=False) as indexer:
        for account in accounts:
            await one.publish(account, ("create", TRACK, track(account.did)))
        await one.until_titles(*sorted(account.did for account in accounts))
        assert indexer.metrics.events["indexer.growth_refused"] > 0


async def test_two_relays_bring_one_history(two: Running) -> None:
    accounts = [two.world.account(pds=two.servers[0].url) for _ in range(3)]
    async with two.indexing() as indexer:
        for account in accounts:
            await two.publish(account, ("create", TRACK, track(f"{account.did} one")))
        for account in accounts:
            await two.publish(account, ("update", TRACK, track(f"{account.did} two")))
        await two.until_titles(*sorted(f"{account.did} two" for account in accounts))

        async def both_followed() -> bool:
            connection = await asyncpg.connect(two.url)
            cursors = await connection.fetch("SELECT seq FROM network.cursors")
            await connection.close()
            return [row["seq"] for row in cursors] == [6, 6]

        await two.until(both_followed)
        assert indexer.metrics.events["indexer.fork"] == 0


async def test_when_one_of_two_relays_goes_away_the_other_is_enough(two: Running) -> None:
    account = two.world.account(pds=two.servers[0].url)
    async with two.indexing():
        await two.publish(account, ("create", TRACK, track("One")))
        await two.until_titles("One")
        two.servers[1].disconnect()
        two.servers[1].down.add("subscribeRepos")
        frame = two.world.commit_frame(account, account.commit([("update", TRACK, track("Two"))]))
        await two.servers[0].send(frame)
        await two.until_titles("Two")


async def test_one_upstream_that_serves_no_stream_ends_the_program_and_one_of_two_does_not(two: Running) -> None:
    account = two.world.account(pds=two.servers[0].url)
    two.servers[1].refuses_streams = True
    async with two.indexing() as indexer:
        await two.publish(account, ("create", TRACK, track("One")))
        await two.until_titles("One")

        async def is_told() -> bool:
            return indexer.metrics.events["indexer.stream_refused"] > 0

        await two.until(is_told)
    async with two.indexing(relay_urls=(two.servers[1].url,)):
        async with asyncio.timeout(GUARD_SECONDS):
            with pytest.raises(BaseExceptionGroup) as caught:
                await two.running
    assert caught.group_contains(StreamRefused)


async def test_an_audit_that_was_asked_for_is_done_by_the_program(one: Running) -> None:
    account = one.world.account(pds=one.servers[0].url)
    async with one.indexing() as indexer:
        await one.publish(account, ("create", TRACK, track("One")))
        await one.until_titles("One")
        account.commit([("update", TRACK, track("never announced"))])
        indexer.audit.request("test")
        await one.until_titles("never announced")


async def test_a_configured_labeler_is_followed_and_takes_accounts_out_of_the_counts(one: Running) -> None:
    server = LabelerServer()
    await server.start()
    server.labeler = labeler(one.world, endpoint=server.url)
    one.opened_ports.append(server.port)
    account, fan = (one.world.account(pds=one.servers[0].url) for _ in range(2))
    connection = await asyncpg.connect(one.url)

    async def counted(likes: list[int]) -> None:
        async def is_so() -> bool:
            rows = await connection.fetch("SELECT like_count FROM network.track_counters")
            return [row["like_count"] for row in rows] == likes

        await one.until(is_so)

    try:
        async with one.indexing(labelers=(DID(server.labeler.did),)):
            await one.publish(account, ("create", TRACK, track("One")))
            await one.until_titles("One")
            await one.publish(fan, ("create", "fm.plyr.like/3mbd3542kzc2a", like(account, TRACK)))
            await counted([1])
            await server.say(server.labeler.label(fan.did, "!takedown"))
            await counted([])
        async with one.indexing():
            # Nobody is believed any more.
            await counted([1])
    finally:
        await connection.close()
        await server.stop()
