"""Schemathesis reads the description of the methods and tries to catch the service breaking it.

It is another program on the other side of a real socket. Every operation is asked what is right, what is at the edge
and what is wrong, over a database with things in it, and each answer is held against the description: status, media
type, headers, shape. It draws the same every time.
"""

import asyncio
import json
import os
import re
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from running_appview import SETTINGS, Clock, SharedDatabase, everybodys_key
from seeds import NOW, Seeds

from appview.api.methods import METHODS
from appview.app import create_app, pool_opener
from appview.xrpc.rate_limit import MethodLimits
from atprotocol.lexicon.catalog import Catalog
from plyr.listening import port_of, port_taken, serve

HOOKS = Path(__file__).with_name("schemathesis_hooks.py")
GUARD_SECONDS = 300
# For each operation, beside what stands at the edges of its parameters. `just test` has no time for more.
EXAMPLES = 20
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
)


async def _seed(seeds: Seeds) -> dict[str, list[str]]:
    """Put something of every kind in, some of it odd; return what there is to be asked for, by format."""
    artist, listener, gone = [await seeds.account(handle=f"{name}.example.com") for name in ("artist", "listener", "gone")]  # fmt: skip
    await seeds.profile(artist, displayName="曲 <b>", bio="…")
    await seeds.profile(listener, source="bluesky", displayName="L")
    tracks = [
        await seeds.track(artist, tags=["ambient"], duration=61, at=NOW - timedelta(days=1)),
        await seeds.track(artist, title="é" * 128, tags=["ai"], features=(listener,), album="A", description="d"),
        await seeds.track(artist, supportGate={"type": "any"}, audioBlob=None, audioUrl="https://a.example/a b.mp3"),
        await seeds.track(listener, visibility="unlisted", labels={"$type": "com.atproto.label.defs#selfLabels", "values": [{"val": "sexual"}]}),
        await seeds.track(gone, imageUrl="https://ä.example/ü.png"),
    ]  # fmt: skip
    likes = [await seeds.like(listener, track) for track in tracks] + [await seeds.like(artist, tracks[0])]
    comments = [await seeds.comment(listener, track, text="曲", timestamp_ms=5, updatedAt="2026-11-22T10:00:00.5+09:00") for track in tracks]  # fmt: skip
    lists = [
        await seeds.track_list(artist, tracks, name="An Album", listType="album"),
        await seeds.track_list(listener, [*tracks, *tracks], name="P", listType="playlist", description="d"),
        await seeds.track_list(listener, [], listType="liked"),
    ]
    await seeds.follow(listener, artist)
    await seeds.overlay(tracks[1], legacy_id=7, play_count=3)
    await seeds.take_down(gone.did)
    await seeds.record(artist, "track", {"title": 1}, verdict="rejected", problems=[{"path": "/title", "rule": "type", "message": "must be a string"}])  # fmt: skip
    await seeds.delete(tracks.pop(3))
    await seeds.rank()
    return {
        "did": [account.did for account in (artist, listener, gone)],
        "handle": [account.handle for account in (artist, listener, gone)],
        "at-uri": [written.uri for written in (*tracks, *lists, *likes, *comments)],
    }


async def _schemathesis(address: str, known: dict[str, list[str]], folder: Path) -> tuple[int | None, str]:
    """Run it against an address; return how it ended, and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "schemathesis.cli",
        "run",
        f"{address}/openapi.json",
        f"--url={address}",
        f"--checks={','.join(CHECKS)}",
        "--phases=examples,coverage,fuzzing",
        f"--max-examples={EXAMPLES}",
        "--seed=1",
        "--generation-deterministic",
        "--continue-on-failure",
        "--suppress-health-check=all",
        "--no-color",
        cwd=folder,
        env={**os.environ, "SCHEMATHESIS_HOOKS": str(HOOKS), "KNOWN": json.dumps(known)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(GUARD_SECONDS):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return process.returncode, said.decode()


async def test_no_answer_is_other_than_it_is_described(
    database: SharedDatabase, catalog: Catalog, tmp_path: Path
) -> None:
    await database.empty()
    known = await _seed(Seeds(database.owner))
    # Whoever asks thousands of times in a second is not what is looked into here.
    limits = {"rate_windows": (), "account_rate_windows": (), "sync_request_limits": MethodLimits(), "play_limits": MethodLimits()}  # fmt: skip
    settings = replace(SETTINGS, **limits)  # type: ignore[arg-type]
    opener = pool_opener(database.url, settings)
    app = create_app(settings, catalog, open_pool=opener, clock=Clock(), resolve_key=everybodys_key)
    ready = asyncio.Event()
    with port_taken("127.0.0.1", 0) as sockets:
        serving = asyncio.create_task(serve(app, sockets, ready.set))
        try:
            await ready.wait()
            ended, said = await _schemathesis(f"http://127.0.0.1:{port_of(sockets)}", known, tmp_path)
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
    assert ended == 0, said
    tested = re.search(r"Operations:\s+(\d+) selected", said)
    assert tested is not None, said
    assert int(tested[1]) >= len(METHODS), said
