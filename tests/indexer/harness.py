"""A whole indexer on a real Postgres and a real HTTP server, driven frame by frame.

Nothing runs in the background: a test feeds frames, lets the repair work when it wants to, and writes batches when it
wants to, so that every order of things can be had and none happens by chance. Time is the world's.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import world
from world_server import WorldServer

from atprotocol import frames
from atprotocol.lexicon.catalog import Catalog
from atprotocol.net.addresses import Policy
from atprotocol.net.directory import Directory
from atprotocol.net.handles import HandleVerifier
from atprotocol.net.http import BoundedClient
from atprotocol.syntax.did import DID
from database.connect import create_pool
from indexer import comparing, repo_rows
from indexer.audit import Audit, AuditSettings
from indexer.comparing import ComparingSettings
from indexer.decisions import SyncStatus
from indexer.fetching import RealNetwork
from indexer.growth import Growth, HostGrowth
from indexer.handles import Handles
from indexer.journal import Journal, Position
from indexer.label_takedowns import LabelTakedowns
from indexer.leadership import take_lead
from indexer.media_rows import NO_WISHES, MediaWishes
from indexer.metrics import Metrics
from indexer.observation import Observation
from indexer.processor import Processor, Upstream
from indexer.records import RecordReader
from indexer.repair import Repair, RepairSettings
from indexer.requests import Requests
from indexer.state import Repo
from indexer.verdicts import HostView
from indexer.writer import Writer

CATALOG = Catalog.load(Path(__file__).resolve().parents[2] / "lexicons")
NAMESPACE = "fm.plyr"
RELAY = Upstream("relay.test")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TRACK, OTHER = "fm.plyr.track/3mbd3542kzc22", "fm.plyr.track/3mbd3542kzc23"


@dataclass
class Limits:
    """What a test may turn down."""

    per_minute: float = 1e9
    burst: int = 1_000_000
    max_repo_bytes: int = 10_000_000
    media: MediaWishes = NO_WISHES


class Rerouted:
    """A network that a test may replace by another at any time."""

    def __init__(self, to: Any) -> None:
        """Name the network that answers first."""
        self.to = to

    def __getattr__(self, name: str) -> Any:
        """Hand everything on."""
        return getattr(self.to, name)


class Harness:
    """The parts of an indexer, put together as the program does."""

    def __init__(
        self, pool: asyncpg.Pool, server: WorldServer, client: BoundedClient, limits: Limits, reader: RecordReader
    ) -> None:
        """Take the outside; `load` reads the state."""
        self.pool = pool
        self.server = server
        self.world = server.world
        self.client = client
        self.limits = limits
        self.reader = reader
        self.clock_offset = timedelta(0)
        self.labelers: tuple[DID, ...] = ()

    def now(self) -> datetime:
        """Return the world's time."""
        return EPOCH + timedelta(microseconds=self.world.now_us) + self.clock_offset

    async def load(self) -> None:
        """Begin as a process does that just started: with what the database knows."""
        async with self.pool.acquire() as connection:
            lead = await take_lead(connection)
            self.repos = await repo_rows.load(connection)
            stored = await connection.fetchval("SELECT seq FROM network.cursors WHERE host = $1", RELAY.host)
            self.labeled = LabelTakedowns(self.labelers)
            await self.labeled.load(connection)
        self.metrics = Metrics()
        self.journal = Journal()
        self.position = Position(RELAY.host, "com.atproto.sync.subscribeRepos", stored_seq=stored)
        self.journal.follow(self.position)
        directory = Directory(self.client, self.server.url, allow_http=True)
        self.network = RealNetwork(
            self.client, directory, self.reader.collections, max_repo_bytes=self.limits.max_repo_bytes
        )
        self.rerouted = Rerouted(self.network)
        self.woken: set[str] = set()
        growth = Growth(self.limits.per_minute, self.limits.burst, self.now)
        self.processor = Processor(self.repos, self.journal, self.reader, growth, self.metrics, self.now, self._wake)
        self.repair = Repair(
            self.repos,
            self.journal,
            self.rerouted,
            HostGrowth(self.limits.per_minute, self.limits.burst, self.now),
            self.metrics,
            self.now,
            lambda: 0.5,
            RepairSettings(),
            self.processor.apply,
        )
        self.repair.wake = self._wake  # type: ignore[method-assign]

        async def look(pds: str, did: DID) -> HostView:
            return await comparing.look(self.client, pds, did)

        at_once = AuditSettings(quiet_seconds=0, comparing=ComparingSettings(seconds_between=0, grace_seconds=0))
        self.audit = Audit(
            self.pool,
            self.repos,
            self.journal,
            look,
            self.repair.identities,
            self.metrics,
            self.now,
            self._wake,
            at_once,
        )

        async def no_txt(_: str) -> list[str]:
            return []

        self.handles = Handles(
            self.repos,
            self.journal,
            HandleVerifier(self.client, no_txt, resolver_url=self.server.url),
            self.metrics,
            self.now,
        )
        self.writer = Writer(
            self.pool, self.journal, self.repos, self.reader, self.metrics, self.now, lead, self.limits.media
        )
        self.requests = Requests(self.pool, self.repos, self.journal, self.labeled, self._wake, self.now)
        self.observation = Observation(
            self.metrics, self.repos, self.journal, self.writer, self.repair, growth, self.now
        )
        for repo in self.repos.by_did.values():
            if repo.sync_status is SyncStatus.DESYNCHRONIZED or (
                repo.deleted_at is not None and repo.purged_at is None
            ):
                self._wake(repo)

    def _wake(self, repo: Repo) -> None:
        self.woken.add(repo.did)

    def feed(self, *raw_frames: bytes, upstream: Upstream = RELAY) -> None:
        """Process frames as they arrive."""
        for raw in raw_frames:
            kind, payload = frames.split(raw)
            if kind is not None:
                self.processor.process(kind, payload, upstream)
                self.position.seq, self.position.event_time = payload.get("seq", self.position.seq), payload.get("time")
                self.position.frame_count += 1

    async def write(self) -> None:
        """Write what has gathered."""
        await self.writer.flush()

    async def mend(self) -> None:
        """Let the repair look once after everything that was woken, retries included."""
        due, self.woken = sorted(self.woken), set()
        for did in due:
            await self.repair.repair(self.repos.by_did[did])

    async def settle(self, rounds: int = 10) -> None:
        """Repair and write until nothing is left to do."""
        for _ in range(rounds):
            await self.mend()
            await self.write()
            if not self.woken:
                return

    async def audited(self) -> dict[str, int]:
        """Do the audit that was asked for, or one that the test asks for, and return what was found."""
        if self.audit.is_idle:
            self.audit.request("test")
        await self.audit.audit()
        await self.write()
        counts: dict[str, int] = json.loads(
            await self.value("SELECT counts FROM network.audits ORDER BY requested_at DESC LIMIT 1")
        )
        return counts

    async def verify_handles(self) -> None:
        """Verify the handle of every repository once."""
        for repo in self.repos.by_did.values():
            if repo.handle is not None:
                await self.handles._verify(repo, repo.handle)
        await self.write()

    # --- what the tables say -----------------------------------------------------------------------------------

    async def rows(self, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        return [tuple(row) for row in await self.pool.fetch(query, *arguments)]

    async def value(self, query: str, *arguments: Any) -> Any:
        """Return the first value of a query."""
        return await self.pool.fetchval(query, *arguments)

    async def repo(self, account: world.Account) -> asyncpg.Record:
        """Return the status row of an account."""
        return await self.pool.fetchrow(
            "SELECT r.* FROM network.repos r JOIN network.actors USING (actor_id) WHERE did = $1", account.did
        )

    async def verdict(self, account: world.Account, path: str) -> tuple[str, list[str]] | None:
        """Return what was decided about a record, with the rules that it breaks."""
        row = await self.pool.fetchrow(
            "SELECT verdict, problems FROM network.records JOIN network.uris USING (uri_id) JOIN network.actors USING (actor_id) WHERE did = $1 AND path = $2",
            account.did,
            path,
        )
        return (
            None
            if row is None
            else (row["verdict"], [problem["rule"] for problem in json.loads(row["problems"] or "[]")])
        )

    async def titles(self) -> list[str]:
        """Return the titles of all projected tracks."""
        return sorted(row["title"] for row in await self.pool.fetch("SELECT title FROM network.tracks"))


@asynccontextmanager
async def harness(
    database_url: str,
    network: world.World,
    limits: Limits | None = None,
    catalog: Catalog = CATALOG,
    namespace: str = NAMESPACE,
    *,
    sparse: bool = False,
) -> AsyncIterator[Harness]:
    """Give a loaded harness for a world that is served on a real socket, by hosts that give parts of repositories or not."""
    server = WorldServer(network)
    server.sparse = sparse
    await server.start()
    policy = Policy(frozenset({("localhost", server.port)}), allow_http=True)
    pool = await create_pool(database_url, role="plyr_indexer", maximum=4)
    try:
        async with BoundedClient(policy) as client:
            made = Harness(pool, server, client, limits or Limits(), RecordReader(catalog, namespace))
            await made.load()
            yield made
            made.network.close()
    finally:
        await pool.close()
        await server.stop()


# --- records ----------------------------------------------------------------------------------------------------------


def track(title: str = "A title", **fields: Any) -> world.Record:
    """Return a valid track record."""
    return {
        "$type": "fm.plyr.track",
        "title": title,
        "artist": "Somebody",
        "fileType": "mp3",
        "createdAt": "2026-01-01T00:00:00.000Z",
    } | fields


def subject(account: world.Account, path: str) -> world.Record:
    """Return a strongRef to a record that need not exist."""
    record = account.records.get(path, {})
    return {"uri": f"at://{account.did}/{path}", "cid": world.cid_text(world.cid_of(world.encode(record)))}


def like(account: world.Account, path: str, **fields: Any) -> world.Record:
    """Return a valid like of a record."""
    return {
        "$type": "fm.plyr.like",
        "subject": subject(account, path),
        "createdAt": "2026-01-02T00:00:00.000Z",
    } | fields


def comment(account: world.Account, path: str, text: str = "nice", **fields: Any) -> world.Record:
    """Return a valid comment on a record."""
    return {
        "$type": "fm.plyr.comment",
        "subject": subject(account, path),
        "text": text,
        "timestampMs": 1000,
        "createdAt": "2026-01-02T00:00:00.000Z",
    } | fields


def playlist(items: list[tuple[world.Account, str]], **fields: Any) -> world.Record:
    """Return a valid list of records."""
    return {
        "$type": "fm.plyr.list",
        "listType": "playlist",
        "name": "Mine",
        "items": [{"subject": subject(account, path)} for account, path in items],
        "createdAt": "2026-01-03T00:00:00.000Z",
    } | fields


# --- steps that many tests begin with --------------------------------------------------------------------------------


def publish(indexer: Harness, account: world.Account, *writes: world.Write) -> bytes:
    """Commit writes to an account's repository and return the frame, which nobody has seen yet."""
    return indexer.world.commit_frame(account, account.commit(list(writes)))


async def synchronized(indexer: Harness, *writes: world.Write) -> world.Account:
    """Return an account that is indexed with these writes (or one track); requests are counted from now on."""
    account = indexer.world.account(pds=indexer.server.url)
    indexer.feed(publish(indexer, account, *(writes or [("create", TRACK, track("One"))])))
    await indexer.settle()
    assert (await indexer.repo(account))["sync_status"] == "synchronized"
    indexer.server.requests.clear()
    return account
