"""What each part of the way of a frame costs by itself, so that the next one to be made faster is known."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import uvloop

from atprotocol import frames
from atprotocol.crypto import parse_did_key
from atprotocol.frames import CommitFrame
from atprotocol.net.addresses import Policy
from atprotocol.verification import VerifiedCommit, verify_commit
from bench.indexing import SAMPLES, own_world, prepared
from bench.stream import FIRST_SEQ, stranger_templates
from indexer.clock import now
from indexer.scope import in_scope

COMMITS = 6000
COLLECTIONS = frozenset({"fm.plyr.track", "fm.plyr.like", "fm.plyr.list", "fm.plyr.comment", "fm.plyr.actor.profile"})


def parts() -> dict[str, Any]:
    """Measure splitting, scope, parsing, verification and the writer, each alone."""
    strangers = [template.frame(FIRST_SEQ + 1) for template in stranger_templates(SAMPLES)]
    network, start, own = own_world(accounts=200, commits=COMMITS, seed=23, all_ours=True)
    ours = [template.frame(FIRST_SEQ + 1) for template in own]
    split_seconds, split = _timed(lambda: [frames.split(raw) for raw in strangers])
    tracked = frozenset(start)
    scope_seconds, _ = _timed(lambda: [in_scope(str(kind), payload, tracked, COLLECTIONS) for kind, payload in split])
    pairs = [frames.split(raw) for raw in ours]
    parse_seconds, parsed = _timed(lambda: [frames.parse_message(str(kind), payload) for kind, payload in pairs])
    keys = {did: parse_did_key(key) for did, (_, _, key) in start.items()}
    roots = {did: data for did, (_, data, _) in start.items()}

    def verified() -> list[VerifiedCommit]:
        present, done = dict(roots), []
        for frame in parsed:
            assert isinstance(frame, CommitFrame)
            done.append(verify_commit(frame, keys[frame.did], present[frame.did], now()))
            present[frame.did] = done[-1].data
        return done

    verify_seconds, commits = _timed(verified)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        write_seconds, per_batch = runner.run(_written(start, commits))
    assert network.accounts
    strangers_each = (split_seconds + scope_seconds) / len(strangers)
    ours_each = (parse_seconds + verify_seconds + write_seconds) / COMMITS
    return {
        "split_microseconds": round(split_seconds / len(strangers) * 1e6, 2),
        "scope_microseconds": round(scope_seconds / len(strangers) * 1e6, 2),
        "parse_microseconds": round(parse_seconds / COMMITS * 1e6, 2),
        "verify_microseconds": round(verify_seconds / COMMITS * 1e6, 1),
        "write_microseconds_a_commit": round(write_seconds / COMMITS * 1e6, 1),
        "commits_a_batch": per_batch,
        "ratio_of_ours_to_a_strangers": round(ours_each / strangers_each),
    }


def _timed(work: Callable[[], list[Any]]) -> tuple[float, list[Any]]:
    started = time.perf_counter()
    done = work()
    return time.perf_counter() - started, done


async def _written(start: dict[str, tuple[str, bytes, str]], commits: list[VerifiedCommit]) -> tuple[float, int]:
    """Return what writing takes, in batches of a thousand."""
    batch = 1000
    async with prepared(start, Policy(frozenset({("127.0.0.1", 1)}), allow_http=True)) as (indexer, _):
        seconds = 0.0
        for first in range(0, len(commits), batch):
            for commit in commits[first : first + batch]:
                indexer.processor.apply(indexer.repos.by_did[commit.did], commit)
            started = time.perf_counter()
            await indexer.writer.flush()
            seconds += time.perf_counter() - started
    return seconds, batch
