"""A labeler on a real socket, and the part of the indexer that follows it while a block lasts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import world
from harness import CATALOG, EPOCH, NAMESPACE
from labeler import Labeler, labeler
from labeler_server import LabelerServer
from world_server import WorldServer

from atprotocol.net.addresses import Policy
from atprotocol.net.directory import Directory
from atprotocol.net.firehose import Backoff
from atprotocol.net.http import BoundedClient
from atprotocol.syntax.did import DID
from database.connect import create_pool
from indexer.label_takedowns import LabelTakedowns
from indexer.labelers import Labelers
from indexer.metrics import Metrics
from indexer.records import RecordReader

GUARD_SECONDS = 60
OWN = RecordReader(CATALOG, NAMESPACE).own_collections
RECORD = "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/fm.plyr.track/3jzfcijpj2z2a"
ROWS = "SELECT uri, val, negated FROM network.labels WHERE uri_id = 0 ORDER BY uri, val, negated"


def _at_once(_: object, **__: object) -> Backoff:
    return Backoff(lambda: 0.0, first_seconds=0.01, longest_seconds=0.02)


class Labeling:
    """A labeler with its server, a directory, and a database; `following` runs what follows it."""

    def __init__(
        self, url: str, pool: asyncpg.Pool, directory: WorldServer, server: LabelerServer, made: Labeler
    ) -> None:
        self.url = url
        self.pool = pool
        self.directory = directory
        self.world = directory.world
        self.server = server
        self.labeler = made
        self.metrics = Metrics()
        self.takedowns = LabelTakedowns([made.did])
        self.clock_offset = timedelta(0)

    def now(self) -> datetime:
        """Return the world's time."""
        return EPOCH + timedelta(microseconds=self.world.now_us) + self.clock_offset

    @asynccontextmanager
    async def following(self, labelers: Sequence[str] | None = None) -> AsyncIterator[Labelers]:
        """Follow the labeler, or these, as a process does that just started."""
        dids = [DID(did) for did in (labelers if labelers is not None else [self.labeler.did])]
        opened = frozenset({("localhost", self.directory.port), ("localhost", self.server.port)})
        policy = Policy(opened, allow_http=True)
        self.metrics = Metrics()
        self.takedowns = LabelTakedowns(dids)
        async with self.pool.acquire() as connection:
            await self.takedowns.load(connection)
        async with BoundedClient(policy) as client:
            made = Labelers(
                self.pool,
                client,
                policy,
                Directory(client, self.directory.url, allow_http=True),
                OWN,
                self.takedowns,
                self.metrics,
                self.now,
                dids,
                _at_once,
            )
            self.running = asyncio.create_task(made.run())
            try:
                yield made
            finally:
                self.running.cancel()
                await asyncio.gather(self.running, return_exceptions=True)

    async def rows(self) -> list[tuple[Any, ...]]:
        """Return what is stored of labelers."""
        return [tuple(row) for row in await self.pool.fetch(ROWS)]

    async def values(self) -> list[str]:
        """Return the values that are stored, those that were taken back among them."""
        return sorted(value for _, value, _ in await self.rows())

    async def cursor(self) -> int | None:
        """Return the stored cursor."""
        found: int | None = await self.pool.fetchval(
            "SELECT seq FROM network.label_cursors WHERE src = $1", self.labeler.did
        )
        return found

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Wait until it is so."""
        async with asyncio.timeout(GUARD_SECONDS):
            while not await condition():
                await asyncio.sleep(0.01)

    async def until_stored(self, seq: int) -> None:
        """Wait until the stored cursor is there."""

        async def is_there() -> bool:
            return await self.cursor() == seq

        await self.until(is_there)

    async def until_event(self, name: str, count: int = 1) -> None:
        """Wait until something was said so often."""

        async def is_said() -> bool:
            return self.metrics.events[name] >= count

        await self.until(is_said)


@asynccontextmanager
async def labeling(url: str) -> AsyncIterator[Labeling]:
    """Give a labeler that nobody follows yet."""
    directory, server = WorldServer(world.World(71)), LabelerServer()
    await directory.start()
    await server.start()
    server.labeler = labeler(directory.world, endpoint=server.url)
    pool = await create_pool(url, role="plyr_indexer", maximum=4)
    try:
        yield Labeling(url, pool, directory, server, server.labeler)
    finally:
        await pool.close()
        await server.stop()
        await directory.stop()
