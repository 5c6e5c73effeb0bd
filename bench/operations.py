"""What an operator meets: how much memory, how soon live after a restart, how soon visible, and whether it stays so."""

import asyncio
import http.client
import json
import random
import socket
import time
from typing import Any

import asyncpg

from bench.indexing import SAMPLES, own_world
from bench.paced import PacedSender
from bench.running import cursor_reaches, database, memory_mb, running, track
from bench.stream import FIRST_SEQ, Sender, stranger_templates

REPOS = 100_000
SETTLE_SECONDS = 5.0


def restart(repos: int = REPOS) -> dict[str, Any]:
    """Measure memory, and the time from the start of the program to the first frame committed."""
    return asyncio.run(_restart(repos))


async def _restart(repos: int) -> dict[str, Any]:
    frames = 20_000
    templates = stranger_templates(SAMPLES)
    order = [random.Random(3).randrange(SAMPLES) for _ in range(frames)]
    async with database(repos) as url:
        figures = {}
        for kind, tracked in (("tracked", repos), ("empty", 0)):
            connection = await asyncpg.connect(url)
            if not tracked:
                await connection.execute("TRUNCATE network.repos, network.actors")
            with Sender(templates, order) as relay:
                host = relay.rpartition("/")[2]
                await connection.execute("DELETE FROM network.cursors")
                await connection.execute(
                    "INSERT INTO network.cursors (host, endpoint, seq) VALUES ($1, 'com.atproto.sync.subscribeRepos', $2)",
                    host,
                    FIRST_SEQ,
                )
                started = time.perf_counter()
                with running(["index"], url, relay) as process:
                    await cursor_reaches(connection, FIRST_SEQ + 1, process)
                    figures[f"seconds_to_live_{kind}"] = round(time.perf_counter() - started, 2)
                    await cursor_reaches(connection, FIRST_SEQ + frames, process)
                    await asyncio.sleep(SETTLE_SECONDS)
                    figures[f"resident_mb_{kind}"] = round(memory_mb(process.pid), 1)
                    figures[f"peak_resident_mb_{kind}"] = round(memory_mb(process.pid, "VmHWM"), 1)
            await connection.close()
    bytes_each = (figures["resident_mb_tracked"] - figures["resident_mb_empty"]) * 1e6 / repos
    return {"repos": repos, **figures, "bytes_for_each_repo": round(bytes_each)}


def soak(frames: int = 10_000_000) -> dict[str, Any]:
    """Let many frames pass and see whether memory grows."""
    return asyncio.run(_soak(frames))


async def _soak(frames: int) -> dict[str, Any]:
    tracked = 4_000
    _, start, own = own_world(accounts=200, commits=tracked, seed=5, all_ours=False)
    templates = stranger_templates(SAMPLES) + own
    chance = random.Random(13)
    order = [chance.randrange(SAMPLES) for _ in range(frames)]
    for number, place in enumerate(sorted(chance.sample(range(frames), tracked))):
        order[place] = SAMPLES + number
    async with database(1000) as url:
        connection = await asyncpg.connect(url)
        await track(connection, start)
        with Sender(templates, order) as relay:
            started = time.perf_counter()
            memory = {}
            with running(["index"], url, relay) as process:
                for percent in (10, 25, 50, 75, 100):
                    await cursor_reaches(connection, FIRST_SEQ + frames * percent // 100, process)
                    memory[f"resident_mb_at_{percent}_percent"] = round(memory_mb(process.pid), 1)
                seconds = time.perf_counter() - started
        verified = await connection.fetchval("SELECT count(*) FROM network.records")
        desynchronized = await connection.fetchval(
            "SELECT count(*) FROM network.repos WHERE sync_status <> 'synchronized'"
        )
        await connection.close()
    grown = memory["resident_mb_at_100_percent"] / memory["resident_mb_at_10_percent"]
    return {
        "frames": frames,
        "frames_per_second": round(frames / seconds),
        **memory,
        "ratio_of_last_to_first": round(grown, 3),
        "records": verified,
        "desynchronized": desynchronized,
    }


def visible(frames_per_second: int = 1000, seconds: int = 30) -> dict[str, Any]:
    """Measure how long a track takes from its frame's arrival to the answer of feed.getLatest."""
    return asyncio.run(_visible(frames_per_second, seconds))


async def _visible(rate: int, seconds: int) -> dict[str, Any]:
    tracks = seconds * 10
    _, start, own = own_world(accounts=100, commits=tracks, seed=17, all_ours=True, likes_share=0.0)
    async with database(1000) as url:
        connection = await asyncpg.connect(url)
        await track(connection, start)
        await connection.close()
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with (
            PacedSender(stranger_templates(SAMPLES), own, rate) as sender,
            running(["up"], url, sender.url, PLYR_PORT=str(port)),
        ):
            seen = await asyncio.to_thread(_watch, port, sender)
    waits = sorted(seen[index] - sender.sent_at[index] for index in seen)
    return {
        "frames_per_second": rate,
        "tracks_sent": len(own),
        "tracks_seen": len(seen),
        "p50_ms": round(waits[len(waits) // 2] * 1000, 1),
        "p99_ms": round(waits[int(len(waits) * 0.99)] * 1000, 1),
        "max_ms": round(waits[-1] * 1000, 1),
    }


def _watch(port: int, sender: PacedSender) -> dict[int, float]:
    """Ask for the newest tracks again and again, and return when each was seen first, until a while after the last."""
    seen: dict[int, float] = {}
    connection: http.client.HTTPConnection | None = None
    last = time.perf_counter()
    while not sender.is_done or time.perf_counter() - last < SETTLE_SECONDS:
        try:
            connection = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", "/xrpc/fm.plyr.feed.getLatest?limit=50")
            answer = json.loads(connection.getresponse().read())
        except OSError:
            connection = None
            time.sleep(0.05)
            last = time.perf_counter()
            continue
        now = time.perf_counter()
        for view in answer["tracks"]:
            index = int(view["record"]["title"].rpartition(" ")[2])
            if index not in seen:
                seen[index] = last = now
        time.sleep(0.01)
    return seen
