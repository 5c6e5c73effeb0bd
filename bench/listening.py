"""What hundreds of listeners cost who stream through one process, and what they do to everybody else.

One appview on one core; players, Postgres and whoever else asks on another. The players are of two kinds: those that take
320 kbit/s from the first byte, and those that take a megabyte at once before, as browsers do.
"""

import statistics
import time
from dataclasses import replace
from typing import Any

from appview.media.settings import MediaSettings
from bench.audio_server import Kept, Server, hall, told
from bench.bulk import Order, Taker, taker
from bench.listeners import BYTES_PER_SECOND, Listeners, listeners
from bench.load import Generator, Load, generator

LISTENERS = 500
STALLED = 50
TRACKS = 10
# Five minutes of 320 kbit/s.
TRACK_BYTES = 12_000_000
BULK_BYTES = 50_000_000
GULP_BYTES = 1_000_000
SETTLING_SECONDS = 10.0
HEALTH_PATH = "/xrpc/_health"
HEALTH_SECONDS = 20.0
HEALTH_RATE = 100.0
BULK_ROUNDS = 5
GONE_SECONDS = 60.0


def listening(seconds: float = 60.0) -> dict[str, Any]:
    """Measure both kinds of players for so many seconds each."""
    results: dict[str, Any] = {"listeners": LISTENERS, "bytes_per_second_each": BYTES_PER_SECOND}
    with hall() as place:
        paths = [place.put(TRACK_BYTES).path for _ in range(TRACKS)]
        bulk = place.put(BULK_BYTES)
        for kind, gulp_bytes in (("paced", 0), ("browsers", GULP_BYTES)):
            # Another process for each: what one leaves in memory is not the other's.
            with place.served(MediaSettings()) as server, listeners() as audience, generator() as load, taker() as fast:
                evening = _Evening(server, audience, load, fast, paths, bulk)
                results |= {
                    f"{kind}_{name}": value for name, value in evening.measured(kind, gulp_bytes, seconds).items()
                }
    return results


class _Evening:
    """One server, from its first listener to its last."""

    def __init__(
        self, server: Server, audience: Listeners, load: Generator, fast: Taker, paths: list[str], bulk: Kept
    ) -> None:
        self._server = server
        self._audience = audience
        self._load = load
        self._fast = fast
        self._paths = paths
        self._bulk = Order(server.port, bulk.path)

    def measured(self, kind: str, gulp_bytes: int, seconds: float) -> dict[str, Any]:
        server, audience = self._server, self._audience
        told(f"{kind}: {HEALTH_PATH} without listeners, {HEALTH_SECONDS:.0f} s")
        alone = self._health()
        self._warm_up()
        files_before, tasks_before, memory_before = server.open_files(), server.tasks(), server.memory_mb()
        began = time.perf_counter()
        audience.open(server.port, self._paths, LISTENERS, gulp_bytes=gulp_bytes)
        told(f"{kind}: {LISTENERS} were let in within {time.perf_counter() - began:.1f} s")
        files_within, tasks_within = server.open_files(), server.tasks()
        began, cpu_began = time.perf_counter(), server.cpu_seconds()
        time.sleep(SETTLING_SECONDS)
        memory_early, opening_cpu = server.memory_mb(), server.cpu_seconds() - cpu_began
        core = self._core_percent(kind, seconds)
        memory_late = server.memory_mb()
        told(f"{kind}: {HEALTH_PATH} beside the listeners, {HEALTH_SECONDS:.0f} s")
        beside = self._health()
        told(f"{kind}: a fast reader beside the listeners, with {STALLED} who take nothing and without")
        without, within = self._bulk_rates()
        heard = audience.heard()
        files_after, tasks_after, gone_ms = self._all_leave(files_before, tasks_before)
        return {
            "core_percent": core,
            "cpu_seconds_of_the_first_10_s": round(opening_cpu, 2),
            "memory_mb_before_any": round(memory_before, 1),
            "memory_mb_at_10_s": round(memory_early, 1),
            "memory_mb_at_the_end": round(memory_late, 1),
            "memory_ratio_end_to_10_s": round(memory_late / memory_early, 3),
            "kilobytes_for_each": round((memory_late - memory_before) * 1000 / LISTENERS, 1),
            "slowest_listeners_share": round(heard.slowest_share, 4),
            "mean_share": round(heard.mean_share, 4),
            "ticks_with_something_missing": round(heard.late_ticks_share, 5),
            "health_p50_ms_alone_and_beside": [round(each.percentile_ms(0.5), 2) for each in (alone, beside)],
            "health_p99_ms_alone_and_beside": [round(each.percentile_ms(0.99), 2) for each in (alone, beside)],
            "health_p99_ratio": round(beside.percentile_ms(0.99) / alone.percentile_ms(0.99), 2),
            "fast_reader_mb_per_second": round(without),
            "fast_reader_ratio_with_stalled": round(within / without, 3),
            "open_files_before_within_after": [files_before, files_within, files_after],
            "tasks_before_within_after": [tasks_before, tasks_within, tasks_after],
            "all_freed_after_ms": gone_ms,
        }

    def _health(self) -> Load:
        return self._load.ask(self._server.port, HEALTH_PATH, HEALTH_SECONDS, rate=HEALTH_RATE)

    def _warm_up(self) -> None:
        self._fast.take(replace(self._bulk, connections=8))
        # Connections that were kept alive are closed after five seconds.
        time.sleep(6)

    def _core_percent(self, kind: str, seconds: float) -> float:
        began, cpu_began = time.perf_counter(), self._server.cpu_seconds()
        while (left := began + seconds - time.perf_counter()) > 0:
            told(f"{kind}: {seconds - left:.0f} s of {seconds:.0f}")
            time.sleep(min(10.0, left))
        return round(100 * (self._server.cpu_seconds() - cpu_began) / (time.perf_counter() - began), 2)

    def _bulk_rates(self) -> tuple[float, float]:
        """Return what one fast reader gets (MB/s, medians in turns) without and with others who take nothing."""
        without, within = [], []
        for _ in range(BULK_ROUNDS):
            without.append(self._fast.take(self._bulk).megabytes_per_second)
            self._audience.stall(self._server.port, self._bulk.path, STALLED)
            within.append(self._fast.take(self._bulk).megabytes_per_second)
            self._audience.awake()
        return statistics.median(without), statistics.median(within)

    def _all_leave(self, files_before: int, tasks_before: int) -> tuple[int, int, int]:
        """Let all go; return descriptors and tasks, as soon as they are as before or after a minute, and how long that took."""
        began = time.perf_counter()
        self._audience.leave()
        while (took := time.perf_counter() - began) < GONE_SECONDS:
            files, tasks = self._server.open_files(), self._server.tasks()
            if files <= files_before and tasks <= tasks_before:
                break
            time.sleep(0.005)
        return files, tasks, round(1000 * took)
