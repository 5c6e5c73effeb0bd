"""Catch-up and dense ingestion, each against the same client that receives the same bytes and drops them."""

import asyncio
import os
import random
import shutil
import socket
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from atprotocol.lexicon.catalog import Catalog
from atprotocol.net import firehose
from atprotocol.net.addresses import Policy
from atprotocol.net.directory import Directory
from atprotocol.net.handles import HandleVerifier
from atprotocol.net.http import BoundedClient
from bench.stream import FIRST_SEQ, Sender, Template, stranger_templates, template_of, world
from database.connect import create_pool
from database.embedded import EmbeddedPostgres
from database.migrate import migrate
from indexer.clock import now
from indexer.consumer import ENDPOINT, Consumer, StreamSettings
from indexer.decisions import SyncStatus
from indexer.processor import Upstream
from indexer.program import Indexer, Outside, assembled
from indexer.settings import IndexerSettings

ROOT = Path(__file__).resolve().parents[1]
TRACKED_SHARE = 0.01
OURS_SHARE = 0.0005
SAMPLES = 4000


@dataclass(frozen=True, slots=True)
class Received:
    """What receiving a stream took."""

    frames: int
    seconds: float
    cpu_seconds: float
    size_bytes: int

    @property
    def rate(self) -> float:
        """Return frames per second."""
        return self.frames / self.seconds


def own_world(
    accounts: int, commits: int, seed: int, all_ours: bool, likes_share: float = 0.8
) -> tuple[world.World, dict[str, tuple[str, bytes, str]], list[Template]]:
    """Return a world, where its accounts stood at the start (rev, root, key by DID), and their commits as templates.

    With `all_ours` every commit makes a record of our collections; else one in twenty does. Such a share of them are likes.
    """
    network = world.World(seed)
    people = [network.account(curve="K-256") for _ in range(accounts)]
    for account in people:
        account.commit(
            [
                ("create", f"app.bsky.feed.post/{network.tid()}", {"$type": "app.bsky.feed.post", "text": "x" * 100})
                for _ in range(20)
            ]
        )
    start = {
        account.did: (account.rev or "", account.tree.root, "did:key:" + account.key.multikey) for account in people
    }
    chance = random.Random(seed)
    tracks: list[tuple[str, bytes]] = []
    templates = []
    for number in range(commits):
        account = people[number % accounts]
        key = network.tid()
        record: dict[str, Any]
        if not all_ours and chance.random() >= OURS_SHARE / TRACKED_SHARE:
            path, record = f"app.bsky.feed.like/{key}", {"$type": "app.bsky.feed.like", "createdAt": network.time()}
        elif tracks and chance.random() < likes_share:
            uri, cid = chance.choice(tracks)
            path, record = (
                f"fm.plyr.like/{key}",
                {
                    "$type": "fm.plyr.like",
                    "subject": {"uri": uri, "cid": world.cid_text(cid)},
                    "createdAt": network.time(),
                },
            )
        else:
            path = f"fm.plyr.track/{key}"
            record = {
                "$type": "fm.plyr.track",
                "title": f"Title {number}",
                "artist": "Somebody",
                "fileType": "mp3",
                "tags": ["a", "b"],
                "duration": 200,
                "createdAt": network.time(),
            }
            tracks.append((f"at://{account.did}/{path}", world.cid_of(world.encode(record))))
        network.seq = FIRST_SEQ
        templates.append(
            template_of(network.commit_frame(account, account.commit([("create", path, record)])), FIRST_SEQ + 1)
        )
    return network, start, templates


async def bare(url: str, policy: Policy, frames: int) -> Received:
    """Receive the stream with the indexer's own client and drop it."""
    started, cpu, size = time.perf_counter(), time.process_time(), 0
    count = 0
    async with firehose.connect(f"{url}/xrpc/{ENDPOINT}", None, policy) as connection:
        async for raw in connection:
            count += 1
            size += len(raw)
            if count == frames:
                return Received(count, time.perf_counter() - started, time.process_time() - cpu, size)
    raise RuntimeError(f"the stream ended after {count} of {frames} frames")


def sender_maximum(url: str, frames: int, size_bytes: int) -> float:
    """Return how many frames a second the sender can send to somebody who only reads the socket."""
    port = int(url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
        buffer = bytearray(1 << 20)
        started, received = time.perf_counter(), 0
        while received < size_bytes:
            received += connection.recv_into(buffer)
        return frames / (time.perf_counter() - started)


@asynccontextmanager
async def prepared(start: dict[str, tuple[str, bytes, str]], policy: Policy) -> AsyncIterator[tuple[Indexer, Any]]:
    """Give an indexer on an embedded Postgres that has these accounts synchronized."""
    root = Path(tempfile.mkdtemp(prefix="plyr-bench-"))
    root.chmod(0o755)
    postgres = EmbeddedPostgres(root, binaries_cache=Path(tempfile.gettempdir()) / f"plyr-test-binaries-{os.geteuid()}")
    url = await asyncio.to_thread(postgres.start)
    try:
        await migrate(url, ROOT / "migrations")
        pool = await create_pool(url, role="plyr_indexer", settings={"synchronous_commit": "off"})
        async with BoundedClient(policy) as client:

            async def no_txt(_: str) -> list[str]:
                return []

            outside = Outside(
                client, policy, Directory(client, "http://127.0.0.1:1", allow_http=True), HandleVerifier(client, no_txt)
            )
            async with assembled(
                pool, Catalog.load(ROOT / "lexicons"), outside, IndexerSettings(relay_urls=("http://127.0.0.1:1",))
            ) as indexer:
                for did, (rev, data, key) in start.items():
                    repo = indexer.repos.track(did, None)  # type: ignore[arg-type]
                    repo.sync_status, repo.rev, repo.data, repo.signing_key, repo.identity_at = (
                        SyncStatus.SYNCHRONIZED,
                        rev,
                        data,
                        key,
                        now(),
                    )
                    indexer.journal.touch(repo)
                await indexer.writer.flush()
                yield indexer, pool
        await pool.close()
    finally:
        await asyncio.to_thread(postgres.stop)
        await asyncio.to_thread(shutil.rmtree, root, True)


async def bytes_by_table(pool: Any) -> str:
    """Return what a row takes in each table that has many, indexes included."""
    sizes = []
    for table in ("records", "uris", "likes", "tracks", "track_counters"):
        rows = await pool.fetchval(f"SELECT count(*) FROM network.{table}")
        if rows >= 1000:
            size = await pool.fetchval("SELECT pg_total_relation_size($1::text::regclass)", f"network.{table}")
            sizes.append(f"{table} {size // rows}")
    return ", ".join(sizes)


async def indexed(
    url: str, policy: Policy, frames: int, start: dict[str, tuple[str, bytes, str]]
) -> tuple[Received, dict[str, Any]]:
    """Receive the stream with a whole indexer; the clock stops when the last frame is committed."""
    async with prepared(start, policy) as (indexer, pool):

        @asynccontextmanager
        async def connect(cursor: int | None) -> AsyncIterator[AsyncIterator[bytes]]:
            async with firehose.connect(f"{url}/xrpc/{ENDPOINT}", cursor, policy) as connection:
                yield aiter(connection)

        consumer = Consumer(
            Upstream("bench"),
            connect,
            pool,
            indexer.repos,
            indexer.journal,
            indexer.processor,
            indexer.metrics,
            firehose.Backoff(random.random),
            indexer.audit.request,
            now,
            StreamSettings(),
        )
        started, cpu = time.perf_counter(), time.process_time()
        tasks = [asyncio.create_task(consumer.run()), asyncio.create_task(indexer.writer.run())]
        while await pool.fetchval("SELECT max(seq) FROM network.cursors") != FIRST_SEQ + frames:
            if any(task.done() for task in tasks):
                await asyncio.gather(*tasks)
            await asyncio.sleep(0.02)
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        facts = {
            "commits_verified": indexer.metrics.commits_verified,
            "desynchronized": sum(indexer.metrics.desynchronized.values()),
            "batches": indexer.metrics.batches_written,
            "records": await pool.fetchval("SELECT count(*) FROM network.records"),
            "bytes_by_table": await bytes_by_table(pool),
        }
        return Received(frames, seconds, cpu_seconds, 0), facts


def catch_up(frames: int = 300_000) -> dict[str, Any]:
    """Measure how fast the network's own mix is caught up with."""
    tracked = int(frames * TRACKED_SHARE)
    _, start, own = own_world(accounts=200, commits=tracked, seed=7, all_ours=False)
    templates = stranger_templates(SAMPLES) + own
    chance = random.Random(11)
    order = [chance.randrange(SAMPLES) for _ in range(frames)]
    for number, place in enumerate(sorted(chance.sample(range(frames), tracked))):
        order[place] = SAMPLES + number
    return _compared(templates, order, start)


def dense(commits: int = 12_000) -> dict[str, Any]:
    """Measure how fast commits are verified and committed when every one of them is ours."""
    _, start, own = own_world(accounts=200, commits=commits, seed=9, all_ours=True)
    return _compared(own, list(range(commits)), start)


def _compared(templates: list[Template], order: list[int], start: dict[str, tuple[str, bytes, str]]) -> dict[str, Any]:
    frames = len(order)
    with Sender(templates, order) as url:
        policy = Policy(frozenset({("127.0.0.1", int(url.rpartition(":")[2])), ("127.0.0.1", 1)}), allow_http=True)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            dropped = runner.run(bare(url, policy, frames))
            maximum = sender_maximum(url, frames, dropped.size_bytes)
            kept, facts = runner.run(indexed(url, policy, frames, start))
    return {
        "frames": frames,
        "mean_frame_bytes": round(dropped.size_bytes / frames),
        "sender_frames_per_second": round(maximum),
        "bare_frames_per_second": round(dropped.rate),
        "bare_cpu_seconds_per_million": round(dropped.cpu_seconds / frames * 1e6, 2),
        "indexer_frames_per_second": round(kept.rate),
        "indexer_cpu_seconds_per_million": round(kept.cpu_seconds / frames * 1e6, 2),
        "ratio_to_bare_receive": round(kept.rate / dropped.rate, 3),
        **facts,
    }
