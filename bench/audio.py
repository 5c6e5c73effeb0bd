"""How fast audio comes through the appview: from disk against nginx, from a bucket against the bucket, and what a redirect costs.

Server and client have a core each; the same client asks both for the same file, in turns. nginx gives from its own process
with sendfile: a file that it gives is in no program's memory, and what it reaches is near to all that the client can take.
"""

import random
import shutil
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvloop

from appview.media.keys import BlobKey
from appview.media.s3 import S3Settings, S3Storage
from appview.media.settings import MediaSettings
from bench.audio_server import MIME_TYPE, Hall, Kept, Server, cpu_seconds, hall, server_core, told
from bench.bulk import WARM_UP_SECONDS, Order, Taker, taker
from bench.nginx import nginx

SIZES_BYTES = {"50_mb": 50_000_000, "5_mb": 5_000_000}
RANGE_BYTES = 65_536
CONNECTIONS = (1, 8)
ROUNDS = 7
REDIRECT_CONNECTIONS = 8
# Nobody is asked there: URLs are made and signed without it.
_NOWHERE = S3Settings("http://127.0.0.1:1", "audio", "key", "secret")
_CDN = replace(_NOWHERE, public_base_url="https://media.example.com")
_UNLIMITED = MediaSettings(redirects=False, streams_per_address=1000)


@dataclass(frozen=True, slots=True)
class _Pair:
    """The same thing asked of two servers."""

    name: str
    ours: Order
    theirs: Order
    their_process: int | None = None


def audio(seconds: float = 1.5) -> dict[str, Any]:
    """Measure so many seconds of everything in each round."""
    results: dict[str, Any] = {}
    with hall() as place, taker() as fast:
        files = {name: place.put(size) for name, size in SIZES_BYTES.items()}
        results |= _from_disk(place, fast, files, seconds)
        results |= _from_bucket(place, fast, seconds)
        results |= _redirects(place, fast, next(iter(files.values())), seconds)
    return results


def _from_disk(place: Hall, fast: Taker, files: dict[str, Kept], seconds: float) -> dict[str, Any]:
    pairs = []
    with ExitStack() as stack:
        server = stack.enter_context(place.served(_UNLIMITED))
        for name, kept in files.items():
            file = place.file_of(kept)
            own = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="plyr-bench-nginx-")))
            port, process = stack.enter_context(nginx(file.parent, own, server_core()))
            ours = Order(server.port, kept.path, seconds=seconds)
            pairs += _pairs(name, ours, Order(port, f"/{file.name}", seconds=seconds), kept, process)
        return _compared(fast, pairs, "nginx", server)


def _pairs(name: str, ours: Order, theirs: Order, kept: Kept, process: int) -> Iterator[_Pair]:
    for count in CONNECTIONS:
        yield _Pair(f"{name}_x{count}", replace(ours, connections=count), replace(theirs, connections=count), process)
    numbers = random.Random(7)
    starts = [numbers.randrange(kept.size_bytes - RANGE_BYTES) for _ in range(1000)]
    part = {
        "connections": max(CONNECTIONS),
        "status": 206,
        "ranges": tuple((start, start + RANGE_BYTES - 1) for start in starts),
    }
    yield _Pair(f"{name}_64_kb_ranges", replace(ours, **part), replace(theirs, **part), process)


class _Measured:
    """What came of asking one server for one thing, round after round."""

    def __init__(self, is_counted: bool) -> None:
        self._is_counted = is_counted
        self._rates: list[float] = []
        self._costs: list[float] = []
        self._client: list[float] = []

    def take(self, fast: Taker, order: Order, process: int | None) -> None:
        began = 0.0 if process is None else cpu_seconds(process)
        taken = fast.take(order)
        if process is not None:
            # The warm-up costs as much as all else, so rates over the whole time are taken.
            spent = (cpu_seconds(process) - began) * taken.seconds / (taken.seconds + WARM_UP_SECONDS)
            self._costs.append(spent / (taken.answers if self._is_counted else taken.size_bytes / 1e9))
        self._rates.append(taken.rate if self._is_counted else taken.megabytes_per_second)
        self._client.append(taken.own_cpu_seconds / taken.seconds)

    @property
    def rate(self) -> float:
        return statistics.median(self._rates)

    @property
    def cost(self) -> float:
        return statistics.median(self._costs)

    @property
    def client_percent(self) -> int:
        return round(100 * statistics.median(self._client))


def _compared(fast: Taker, pairs: list[_Pair], name: str, server: Server) -> dict[str, Any]:
    """Ask both of every pair in turns, and return medians and ratios: of files bytes count, of ranges answers."""
    measured = {pair.name: [_Measured(bool(pair.ours.ranges)) for _ in range(2)] for pair in pairs}
    for number in range(ROUNDS):
        told(f"against {name}: round {number + 1} of {ROUNDS}")
        for pair in pairs:
            measured[pair.name][0].take(fast, pair.ours, server.pid)
            measured[pair.name][1].take(fast, pair.theirs, pair.their_process)
    results: dict[str, Any] = {}
    for pair in pairs:
        ours, theirs = measured[pair.name]
        unit, scale = ("per_second", 1e6) if pair.ours.ranges else ("mb_per_second", 1)
        results |= {
            f"{pair.name}_{unit}": [round(ours.rate), round(theirs.rate)],
            f"{pair.name}_ratio_to_{name}": round(ours.rate / theirs.rate, 3),
            f"{pair.name}_client_core_percent": [ours.client_percent, theirs.client_percent],
        }
        if pair.their_process is not None:
            cost = "cpu_us_each" if pair.ours.ranges else "cpu_seconds_per_gb"
            results[f"{pair.name}_{cost}"] = [round(each.cost * scale, 3) for each in (ours, theirs)]
            results[f"{pair.name}_cpu_in_those_of_{name}"] = round(ours.cost / theirs.cost, 2)
    return results


def _from_bucket(place: Hall, fast: Taker, seconds: float) -> dict[str, Any]:
    with _bucket() as bucket:
        kept = place.put(SIZES_BYTES["50_mb"], bucket)
        direct = urlsplit(uvloop.run(_signed(bucket, kept, place.root)))
        assert direct.port is not None
        theirs = Order(direct.port, f"{direct.path}?{direct.query}", seconds=seconds, host=direct.netloc)
        with place.served(_UNLIMITED, bucket) as server:
            ours = Order(server.port, kept.path, seconds=seconds)
            pairs = [
                _Pair(f"s3_x{count}", replace(ours, connections=count), replace(theirs, connections=count))
                for count in CONNECTIONS
            ]
            return _compared(fast, pairs, "seaweedfs", server)


@contextmanager
def _bucket() -> Iterator[S3Settings]:
    # Imported here: the tests' server needs their packages, and nothing else of this benchmark does.
    from s3_server import S3Server

    root = Path(tempfile.mkdtemp(prefix="plyr-bench-s3-"))
    server = S3Server(root)
    try:
        server.start()
        yield S3Settings(server.endpoint_url, server.create_bucket(), server.access_key_id, server.secret_access_key)
    finally:
        server.stop()
        shutil.rmtree(root, ignore_errors=True)


async def _signed(bucket: S3Settings, kept: Kept, root: Path) -> str:
    async with S3Storage(bucket, root / "spool") as storage:
        url = await storage.presigned_url(BlobKey(kept.cid), 3600, mime_type=MIME_TYPE, file_name=None)
        assert url is not None
        return url


def _redirects(place: Hall, fast: Taker, kept: Kept, seconds: float) -> dict[str, Any]:
    """Return what one answer costs the server, in milliseconds of CPU."""
    with place.served(MediaSettings(), _CDN) as public, place.served(MediaSettings(), _NOWHERE) as signing:
        asked = {
            "cdn_redirect": (public, kept.path, 307),
            "signed_redirect": (signing, kept.path, 307),
            "health": (public, "/xrpc/_health", 200),
            "stored_bytes": (public, "/robots.txt", 200),
        }
        costs: dict[str, list[float]] = {name: [] for name in asked}
        answers = dict.fromkeys(asked, 0)
        for number in range(ROUNDS):
            told(f"redirects: round {number + 1} of {ROUNDS}")
            for name, (server, path, status) in asked.items():
                order = Order(server.port, path, REDIRECT_CONNECTIONS, seconds, status)
                began = server.cpu_seconds()
                taken = fast.take(order)
                costs[name].append(1000 * (server.cpu_seconds() - began) / taken.all_answers)
                answers[name] += taken.all_answers
    medians = {name: statistics.median(each) for name, each in costs.items()}
    return {
        **{f"{name}_cpu_ms": round(cost, 3) for name, cost in medians.items()},
        "cdn_redirect_in_health_answers": round(medians["cdn_redirect"] / medians["health"], 2),
        "signed_redirect_in_health_answers": round(medians["signed_redirect"] / medians["health"], 2),
        "redirects_measured": answers["cdn_redirect"] + answers["signed_redirect"],
    }
