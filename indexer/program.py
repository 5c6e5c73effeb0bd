"""Compose one indexer from its parts and run it until it is cancelled.

The parts meet in the journal alone. What ends unexpectedly ends the program: the supervisor starts it again, and it goes on
from its cursor.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from atprotocol.errors import NetworkError
from atprotocol.lexicon.catalog import Catalog
from atprotocol.net import firehose
from atprotocol.net.addresses import Policy
from atprotocol.net.directory import Directory
from atprotocol.net.http import BoundedClient
from indexer import repo_rows
from indexer.consumer import ENDPOINT, Consumer
from indexer.decisions import SyncStatus
from indexer.discovery import Discovery
from indexer.fetching import RealNetwork
from indexer.growth import Growth
from indexer.handles import Handles, Verifier
from indexer.journal import Journal
from indexer.metrics import Metrics
from indexer.processor import Processor, Upstream
from indexer.records import RecordReader
from indexer.repair import Repair
from indexer.requests import Requests
from indexer.settings import IndexerSettings
from indexer.state import Repo, Repos
from indexer.writer import Writer

USER_AGENT = "plyr-indexer"


@dataclass(frozen=True, slots=True)
class Indexer:
    """The parts of a running indexer, for whoever composes or watches it."""

    repos: Repos
    reader: RecordReader
    journal: Journal
    writer: Writer
    processor: Processor
    repair: Repair
    handles: Handles
    requests: Requests
    growth: Growth
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class Outside:
    """How the indexer reaches the network."""

    client: BoundedClient
    policy: Policy
    directory: Directory
    verifier: Verifier
    spool_dir: Path | None = None


def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


@asynccontextmanager
async def assembled(
    pool: asyncpg.Pool, catalog: Catalog, outside: Outside, settings: IndexerSettings
) -> AsyncIterator[Indexer]:
    """Load the state and put the parts together; nothing runs yet."""
    reader = RecordReader(catalog, settings.namespace)
    async with pool.acquire() as connection:
        repos = await repo_rows.load(connection)
    metrics = Metrics()
    journal = Journal()
    growth = Growth(
        settings.new_repos_per_minute,
        settings.new_repos_burst,
        now,
        total=settings.max_repos,
        count=lambda: len(repos.by_did),
    )
    network = RealNetwork(
        outside.client,
        outside.directory,
        reader.collections,
        max_repo_bytes=settings.max_repo_bytes,
        spool_dir=outside.spool_dir,
    )
    repair = Repair(repos, journal, network, metrics, now, random.random, settings.repair)
    processor = Processor(repos, journal, reader, growth, metrics, now, repair.wake)
    repair.processor = processor
    handles = Handles(repos, journal, outside.verifier, metrics, now)
    repair.on_identity = handles.wake
    requests = Requests(pool, repos, journal, repair.wake)
    writer = Writer(pool, journal, repos, reader, metrics, now)
    try:
        yield Indexer(repos, reader, journal, writer, processor, repair, handles, requests, growth, metrics)
    finally:
        network.close()


async def run(indexer: Indexer, pool: asyncpg.Pool, outside: Outside, settings: IndexerSettings) -> None:
    """Follow the upstream, repair, discover and write, until cancelled; then write what has gathered."""
    for repo in indexer.repos.by_did.values():
        wake_at_start(indexer, repo)
    async with asyncio.TaskGroup() as group:
        group.create_task(indexer.writer.run(), name="writer")
        group.create_task(indexer.repair.run(), name="repair")
        group.create_task(indexer.handles.run(), name="handles")
        group.create_task(indexer.requests.run(settings.poll_seconds), name="requests")
        group.create_task(follow(indexer, pool, outside, settings), name="upstream")


async def follow(indexer: Indexer, pool: asyncpg.Pool, outside: Outside, settings: IndexerSettings) -> None:
    """Find out what the upstream is, then follow its stream and, if it is a relay, discover through it."""
    upstream = await known_upstream(outside.client, settings.relay_url, indexer.metrics)
    url = f"{settings.relay_url.rstrip('/')}/xrpc/{ENDPOINT}"

    @asynccontextmanager
    async def connect(cursor: int | None) -> AsyncIterator[AsyncIterator[bytes]]:
        async with firehose.connect(url, cursor, outside.policy, user_agent=USER_AGENT) as connection:
            yield aiter(connection)

    consumer = Consumer(
        upstream,
        connect,
        pool,
        indexer.repos,
        indexer.journal,
        indexer.processor,
        indexer.metrics,
        firehose.Backoff(random.random),
        indexer.repair.wake,
        settings.first_cursor,
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(consumer.run(), name="consumer")
        if settings.discovers and upstream.pds is None:
            discovery = Discovery(
                outside.client,
                origin_of(settings.relay_url),
                indexer.reader.own_collections,
                indexer.repos,
                indexer.journal,
                indexer.growth,
                indexer.metrics,
                indexer.repair.wake,
            )
            group.create_task(discovery.run(settings.discovery_seconds), name="discovery")


def wake_at_start(indexer: Indexer, repo: Repo) -> None:
    """Take up what was left undone when the last process ended."""
    if repo.sync_status is SyncStatus.DESYNCHRONIZED or (repo.deleted_at is not None and repo.purged_at is None):
        indexer.repair.wake(repo)
    elif repo.active and repo.handle_verified_at is None:
        indexer.handles.wake(repo)


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
