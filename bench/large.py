"""A repository of 300 MB, read as a repair reads it: in a process of its own, from a file."""

import hashlib
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from bench.running import memory_mb
from bench.stream import world
from indexer.snapshot import read_snapshot

RECORDS = 20_000
RECORD_BYTES = 15_000
COLLECTIONS = frozenset({"fm.plyr.track"})


def large() -> dict[str, Any]:
    """Measure time and memory of reading a large repository, against hashing the same file once."""
    with tempfile.TemporaryDirectory(prefix="plyr-bench-") as folder:
        path = Path(folder) / "repo.car"
        size = _write(path)
        started = time.perf_counter()
        with path.open("rb") as file:
            hashlib.file_digest(file, "sha256")
        hashed = time.perf_counter() - started
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            empty = pool.submit(_memory_mb).result()
            seconds, found, memory = pool.submit(_read, path).result()
    return {
        "megabytes": round(size / 1e6),
        "records_of_ours": found,
        "seconds": round(seconds, 2),
        "ratio_to_hashing_the_file": round(seconds / hashed, 1),
        "memory_mb_of_an_idle_process": round(empty, 1),
        "peak_memory_mb": round(memory, 1),
    }


def _write(path: Path) -> int:
    network = world.World(29)
    account = network.account()
    padding = "x" * RECORD_BYTES
    for number in range(RECORDS):
        kind = "fm.plyr.track" if number % 1000 == 0 else "app.bsky.feed.post"
        account.records[f"{kind}/{network.tid()}"] = {"$type": kind, "text": f"{number}{padding}"}
    account.tree = world.build_tree({key: world.cid_of(world.encode(value)) for key, value in account.records.items()})
    account.head, account.head_block = account.sign_commit(account.tree.root, network.tid())
    path.write_bytes(account.export())
    return path.stat().st_size


def _read(path: Path) -> tuple[float, int, float]:
    started = time.perf_counter()
    snapshot = read_snapshot(path, COLLECTIONS)
    return time.perf_counter() - started, len(snapshot.records), _memory_mb()


def _memory_mb() -> float:
    return memory_mb(os.getpid(), "VmHWM")
