"""A stream that plays what a test wrote down, and the consumer that follows it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from harness import RELAY, Harness

from atprotocol.net import firehose
from indexer.consumer import ENDPOINT, Consumer, StreamSettings
from indexer.processor import Upstream

GUARD_SECONDS = 60


class Script:
    """A transport that plays one list of frames (or errors) for each connection, then stays silent."""

    def __init__(self, *connections: list[bytes | Exception]) -> None:
        self.connections = list(connections)
        self.asked: list[int | None] = []
        self.exhausted = asyncio.Event()

    @asynccontextmanager
    async def connect(self, cursor: int | None) -> AsyncIterator[AsyncIterator[bytes]]:
        self.asked.append(cursor)
        yield self.play(self.connections.pop(0) if self.connections else None)

    async def play(self, frames: list[bytes | Exception] | None) -> AsyncIterator[bytes]:
        if frames is None:
            self.exhausted.set()
            await asyncio.Event().wait()
        for each in frames or []:
            if isinstance(each, Exception):
                raise each
            yield each


def consumer_of(
    indexer: Harness, connect: object, settings: StreamSettings | None = None, host: str = RELAY.host
) -> Consumer:
    backoff = firehose.Backoff(lambda: 0.0, first_seconds=0.001, longest_seconds=0.001)
    return Consumer(
        Upstream(host),
        connect,
        indexer.pool,
        indexer.repos,
        indexer.journal,
        indexer.processor,
        indexer.metrics,
        backoff,
        indexer.audit.request,
        indexer.now,
        settings or StreamSettings(),
    )  # type: ignore[arg-type]


async def played(
    indexer: Harness,
    *connections: list[bytes | Exception],
    settings: StreamSettings | None = None,
    host: str = RELAY.host,
) -> Script:
    """Run a consumer through all these connections, then write what has gathered."""
    script = Script(*connections)
    await indexer.write()
    consumer = consumer_of(indexer, script.connect, settings, host)
    running = asyncio.create_task(consumer.run())
    async with asyncio.timeout(GUARD_SECONDS):
        await script.exhausted.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await indexer.write()
    return script


def others(indexer: Harness, count: int) -> list[bytes]:
    """Frames of strangers that make nothing of ours."""
    account = indexer.world.account()
    return [indexer.world.identity_frame(account) for _ in range(count)]


async def stored(indexer: Harness) -> int | None:
    value: int | None = await indexer.value(
        "SELECT seq FROM network.cursors WHERE host = $1 AND endpoint = $2", RELAY.host, ENDPOINT
    )
    return value


def others_at(indexer: Harness, seq: int) -> bytes:
    """A stranger's frame with this seq."""
    kept, indexer.world.seq = indexer.world.seq, seq - 1
    (frame,) = others(indexer, 1)
    indexer.world.seq = kept
    return frame


async def audits(indexer: Harness) -> list[str]:
    """The reasons of the audits that were asked for, as the database knows them."""
    return [row[0] for row in await indexer.rows("SELECT reason FROM network.audits ORDER BY requested_at")]
