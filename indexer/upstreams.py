"""Follow several upstreams at once, relays or PDSes: each with its own cursor, all into one processor.

What two of them bring is told apart by (DID, rev) and proof alone. Of several relays the first decides about account
statuses; a PDS is believed about its own accounts only, and is the one that is believed about them.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import urlsplit

import asyncpg

from atprotocol.errors import NetworkError, RepoGone, StreamRefused
from atprotocol.net import firehose
from atprotocol.net.addresses import Policy
from atprotocol.net.http import BoundedClient
from atprotocol.net.repos import list_repos_by_collection
from indexer.audit import Audit
from indexer.clock import now
from indexer.consumer import ENDPOINT, Consumer
from indexer.discovery import Discovery
from indexer.growth import Growth
from indexer.journal import Journal
from indexer.metrics import Metrics
from indexer.processor import Processor, Upstream
from indexer.records import RecordReader
from indexer.repair import Repair
from indexer.settings import IndexerSettings
from indexer.state import Repos

USER_AGENT = "plyr-indexer"
# An upstream that says that it serves no stream is asked again after so long, while others are followed.
REFUSED_SECONDS = 600.0


class Upstreams:
    """Follows what the settings name."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        client: BoundedClient,
        policy: Policy,
        repos: Repos,
        reader: RecordReader,
        journal: Journal,
        processor: Processor,
        repair: Repair,
        audit: Audit,
        growth: Growth,
        metrics: Metrics,
        settings: IndexerSettings,
    ) -> None:
        """Take the parts; nothing runs before run()."""
        self._pool = pool
        self._client = client
        self._policy = policy
        self._repos = repos
        self._reader = reader
        self._journal = journal
        self._processor = processor
        self._repair = repair
        self._audit = audit
        self._growth = growth
        self._metrics = metrics
        self._settings = settings
        audit.expect(len(settings.relay_urls))

    async def run(self) -> None:
        """Follow them all. Raises StreamRefused when the only one serves no stream."""
        async with asyncio.TaskGroup() as group:
            for number, url in enumerate(self._settings.relay_urls):
                group.create_task(self._follow(url, is_primary=number == 0), name=f"upstream {number}")

    async def _follow(self, url: str, *, is_primary: bool) -> None:
        """Find out what an upstream is, then follow its stream and, if it is a relay, discover through it."""
        upstream = replace(await known_upstream(self._client, url, self._metrics), is_primary=is_primary)
        self._processor.follow(upstream)
        discovers = self._settings.discovers and upstream.pds is None
        async with asyncio.TaskGroup() as group:
            group.create_task(self._consume(upstream, url, discovers=discovers), name="consumer")
            if discovers:
                discovery = Discovery(
                    self._client,
                    origin_of(url),
                    self._reader.own_collections,
                    self._repos,
                    self._journal,
                    self._growth,
                    self._metrics,
                    self._repair.wake,
                )
                group.create_task(discovery.run(self._settings.discovery_seconds), name="discovery")

    async def _consume(self, upstream: Upstream, url: str, *, discovers: bool) -> None:
        stream_url = f"{url.rstrip('/')}/xrpc/{ENDPOINT}"

        @asynccontextmanager
        async def connect(cursor: int | None) -> AsyncIterator[AsyncIterator[bytes]]:
            async with firehose.connect(stream_url, cursor, self._policy, user_agent=USER_AGENT) as connection:
                yield aiter(connection)

        may_skip_replay = discovers and await self._serves_discovery(url)
        consumer = Consumer(
            upstream,
            connect,
            self._pool,
            self._repos,
            self._journal,
            self._processor,
            self._metrics,
            firehose.Backoff(random.random),
            self._audit.request,
            now,
            replace(self._settings.stream, may_skip_replay=may_skip_replay),
        )
        self._audit.follow(consumer.position)
        while True:
            try:
                await consumer.run()
            except StreamRefused as error:
                if len(self._settings.relay_urls) == 1:
                    raise
                self._metrics.event("indexer.stream_refused", host=upstream.host, reason=str(error)[:200])
                await asyncio.sleep(REFUSED_SECONDS)

    async def _serves_discovery(self, url: str) -> bool:
        """Tell whether the relay can name the accounts of a collection."""
        collection = min(self._reader.own_collections)
        try:
            async for _ in list_repos_by_collection(self._client, origin_of(url), collection, limit=1):
                return True
        except (NetworkError, RepoGone):
            return False
        return False


async def known_upstream(client: BoundedClient, url: str, metrics: Metrics) -> Upstream:
    """Ask until it is known what the upstream is: a PDS taken for a relay would be believed about everybody."""
    backoff = firehose.Backoff(random.random)
    while True:
        try:
            return await upstream_of(client, url)
        except NetworkError as error:
            metrics.event("indexer.upstream_unknown", url=origin_of(url), reason=str(error)[:200])
            await asyncio.sleep(backoff.failed(error.retry_after_seconds))


async def upstream_of(client: BoundedClient, url: str) -> Upstream:
    """Tell a PDS, which is believed about its own accounts only, from a relay: only the former describes itself.

    Raises NetworkError when it does not answer, or answers that it cannot now.
    """
    parts = urlsplit(url)
    host = parts.hostname or url
    name = f"{host}:{parts.port}" if parts.port else host
    origin = origin_of(url)
    answer = await client.get(f"{origin}/xrpc/com.atproto.server.describeServer", max_bytes=100_000)
    if answer.status == 429 or (answer.status >= 500 and answer.status != 501):
        raise NetworkError(f"status {answer.status}", retry_after_seconds=answer.retry_after_seconds)
    described = answer.json() if answer.status == 200 else None
    is_pds = isinstance(described, dict) and "availableUserDomains" in described
    return Upstream(name, origin if is_pds else None)


def origin_of(url: str) -> str:
    """Return where the methods of a relay are asked, whose stream may have been named by a WebSocket URL."""
    parts = urlsplit(url)
    scheme = {"wss": "https", "ws": "http"}.get(parts.scheme, parts.scheme)
    return f"{scheme}://{parts.netloc}"
