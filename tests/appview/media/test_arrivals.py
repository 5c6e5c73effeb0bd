"""Files on their way: who comes while another leaves is served, and nobody waits for what will never come."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from audio_samples import sample
from blob_host import BlobHost, blob_host

from appview.media.arrivals import Arrivals
from appview.media.storage import StorageUnavailable
from atprotocol.net.addresses import Policy
from atprotocol.net.http import BoundedClient

DID = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
LONG = sample("wav", seconds=10.0)


@pytest.fixture
async def host() -> AsyncIterator[BlobHost]:
    async with blob_host() as made:
        yield made


@pytest.fixture
async def arrivals(host: BlobHost, tmp_path: Path) -> AsyncIterator[Arrivals]:
    policy = Policy(frozenset({("localhost", host.port)}))
    async with (
        BoundedClient(policy) as client,
        Arrivals(
            client,
            max_bytes=10_000_000,
            spool_bytes=100_000_000,
            spool_seconds=60,
            seconds=time.monotonic,
            folder=tmp_path,
        ) as made,
    ):
        yield made


async def test_who_comes_while_the_last_one_leaves_is_served(arrivals: Arrivals, host: BlobHost) -> None:
    cid = host.put(LONG, pause_after=1_000_000)

    async def listen(leave: asyncio.Event) -> None:
        async with arrivals.open(host.url, DID, cid):
            await leave.wait()

    async def come(leave: asyncio.Event) -> int:
        await leave.wait()
        async with arrivals.open(host.url, DID, cid) as arrival:
            return await arrival.ready_to(250_000, 1000)

    async with asyncio.timeout(60):
        for _ in range(5):
            leave = asyncio.Event()
            first = asyncio.create_task(listen(leave))
            while host.open_connections == 0:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            second = asyncio.create_task(come(leave))
            await asyncio.sleep(0)
            leave.set()
            await first
            assert await second == 1000
        host.blobs[cid].go_on.set()


async def test_when_it_ends_whoever_waits_is_told(host: BlobHost, tmp_path: Path) -> None:
    cid = host.put(LONG, pause_after=0)
    policy = Policy(frozenset({("localhost", host.port)}))
    bounds = {"max_bytes": 10_000_000, "spool_bytes": 100_000_000, "spool_seconds": 60.0}
    async with BoundedClient(policy) as client, asyncio.timeout(60):
        async with Arrivals(client, seconds=time.monotonic, folder=tmp_path, **bounds) as made:  # type: ignore[arg-type]

            async def listen() -> str:
                try:
                    async with made.open(host.url, DID, cid):
                        return "opened"
                except StorageUnavailable as error:
                    return type(error).__name__

            waiting = asyncio.create_task(listen())
            while host.open_connections == 0:
                await asyncio.sleep(0.01)
        assert await waiting == "StorageUnavailable"
