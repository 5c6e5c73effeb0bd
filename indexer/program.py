"""Compose one indexer from its parts and run it until it is cancelled.

The parts meet in the journal alone. What ends unexpectedly ends the program: the supervisor starts it again, and it goes on
from its cursor.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from atprotocol.lexicon.catalog import Catalog
from atprotocol.net.addresses import Policy
from atprotocol.net.directory import Directory
from atprotocol.net.http import BoundedClient
from atprotocol.syntax.did import DID
from indexer import comparing, repo_rows
from indexer.audit import Audit
from indexer.clock import now
from indexer.decisions import Cause, SyncStatus
from indexer.fetching import RealNetwork
from indexer.growth import Growth, HostGrowth
from indexer.handles import Handles, Verifier
from indexer.journal import Journal
from indexer.label_takedowns import LabelTakedowns
from indexer.labelers import Labelers
from indexer.leadership import take_lead
from indexer.metrics import Metrics
from indexer.observation import Observation
from indexer.processor import Processor
from indexer.rankings import Rankings
from indexer.records import RecordReader
from indexer.repair import Repair
from indexer.requests import Requests
from indexer.settings import IndexerSettings
from indexer.state import Repo, Repos
from indexer.upstreams import Upstreams
from indexer.verdicts import HostView
from indexer.writer import Writer

ADMISSION_SECONDS = 1.0


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
    labelers: Labelers
    audit: Audit
    rankings: Rankings
    upstreams: Upstreams
    growth: Growth
    metrics: Metrics
    observation: Observation


@dataclass(frozen=True, slots=True)
class Outside:
    """How the indexer reaches the network."""

    client: BoundedClient
    policy: Policy
    directory: Directory
    verifier: Verifier
    spool_dir: Path | None = None


@asynccontextmanager
async def assembled(
    pool: asyncpg.Pool, catalog: Catalog, outside: Outside, settings: IndexerSettings
) -> AsyncIterator[Indexer]:
    """Load the state and put the parts together; nothing runs yet."""
    reader = RecordReader(catalog, settings.namespace)
    async with pool.acquire() as connection:
        # First the lead, then the state: a batch of an older leader is committed by now, or refused.
        lead = await take_lead(connection)
        repos = await repo_rows.load(connection)
        labeled = LabelTakedowns(settings.labelers)
        await labeled.load(connection)
    metrics, journal = Metrics(), Journal()
    growth = Growth(
        settings.new_repos_per_minute,
        settings.new_repos_burst,
        now,
        total=settings.max_repos,
        count=lambda: len(repos.by_did),
    )
    host_growth = HostGrowth(settings.new_repos_per_host_per_minute, settings.new_repos_per_host_burst, now)
    client = outside.client
    client.on_too_many_requests = metrics.too_many_requests.count
    network = RealNetwork(
        client,
        outside.directory,
        reader.collections,
        max_repo_bytes=settings.max_repo_bytes,
        spool_dir=outside.spool_dir,
    )

    def wake(repo: Repo) -> None:
        repair.wake(repo)

    async def look(pds: str, did: DID) -> HostView:
        return await comparing.look(client, pds, did)

    processor = Processor(repos, journal, reader, growth, metrics, now, wake)
    repair = Repair(repos, journal, network, host_growth, metrics, now, random.random, settings.repair, processor.apply)
    handles = Handles(repos, journal, outside.verifier, metrics, now)
    repair.identities.on_identity = handles.wake
    audit = Audit(pool, repos, journal, look, repair.identities, metrics, now, wake, settings.audit)
    requests = Requests(pool, repos, journal, labeled, wake, now)
    labelers = Labelers(
        pool,
        client,
        outside.policy,
        outside.directory,
        reader.own_collections,
        labeled,
        metrics,
        now,
        settings.labelers,
    )
    upstreams = Upstreams(
        pool, client, outside.policy, repos, reader, journal, processor, repair, audit, growth, metrics, settings
    )
    rankings = Rankings(pool, now, time.monotonic)
    writer = Writer(pool, journal, repos, reader, metrics, now, lead, settings.media)
    observation = Observation(metrics, repos, journal, writer, repair, growth, now)
    try:
        yield Indexer(
            repos,
            reader,
            journal,
            writer,
            processor,
            repair,
            handles,
            requests,
            labelers,
            audit,
            rankings,
            upstreams,
            growth,
            metrics,
            observation,
        )
    finally:
        network.close()


async def run(indexer: Indexer, settings: IndexerSettings) -> None:
    """Follow the upstreams, repair, discover, audit and write, until cancelled; then write what has gathered."""
    for repo in indexer.repos.by_did.values():
        wake_at_start(indexer, repo)
    async with asyncio.TaskGroup() as group:
        group.create_task(indexer.writer.run(), name="writer")
        group.create_task(indexer.repair.run(), name="repair")
        group.create_task(indexer.handles.run(), name="handles")
        group.create_task(indexer.requests.run(settings.poll_seconds), name="requests")
        group.create_task(indexer.labelers.run(), name="labelers")
        group.create_task(indexer.audit.run(), name="audit")
        group.create_task(indexer.rankings.run(), name="rankings")
        group.create_task(admit(indexer), name="admission")
        group.create_task(indexer.upstreams.run(), name="upstreams")
        group.create_task(indexer.observation.run(), name="observation")


async def admit(indexer: Indexer) -> None:
    """Track the accounts that were not admitted at once, as growth allows."""
    while True:
        while (did := indexer.growth.next_admitted()) is not None:
            repo = indexer.repos.track(did, Cause.NEW)
            indexer.journal.touch(repo)
            indexer.repair.wake(repo)
        await asyncio.sleep(ADMISSION_SECONDS)


def wake_at_start(indexer: Indexer, repo: Repo) -> None:
    """Take up what was left undone when the last process ended."""
    repo.note_wait(now())
    if repo.sync_status is SyncStatus.DESYNCHRONIZED or (repo.deleted_at is not None and repo.purged_at is None):
        indexer.repair.wake(repo)
    indexer.handles.take_up(repo)
