"""A TypeScript client that @atproto/lex makes from the lexicons, against the appview on a real socket.

The generated client refuses answers that are not what the lexicons promise, so it is a second opinion
beside our own validator. Type stripping lets Node run it as it is; the compiler checks its types once.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from node_packages import NodePackages, install
from running_appview import REPOSITORY, SETTINGS, Clock
from seeds import NAMESPACE, Account, Seeds, Written, blob
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp
from xrpc_client import XrpcClient

from appview.app import create_app, pool_opener
from appview.xrpc.rate_limit import MethodLimits, Window
from atprotocol.lexicon.catalog import Catalog
from plyr.listening import port_of, port_taken, serve

SOURCE = Path(__file__).parent / "typescript"
CATALOG = Catalog.load(REPOSITORY / "lexicons")
METHODS = {nsid for nsid in CATALOG.method_nsids if nsid.startswith(f"{NAMESPACE}.")}
LABELS = {"$type": "com.atproto.label.defs#selfLabels", "values": [{"val": "sexual"}]}
GUARD_SECONDS = 60
# So many subjects may ask for a sync before the next is told to wait.
SYNC_REQUESTS = 2
pytestmark = pytest.mark.xdist_group("npm")


@pytest.fixture(scope="module")
def packages() -> NodePackages:
    return install(SOURCE)


@pytest.fixture(scope="module")
async def client_folder(packages: NodePackages, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with the client's program and what is generated for it."""
    folder = tmp_path_factory.mktemp("client")
    packages.lay_out(folder, [SOURCE / name for name in ("client.ts", "tsconfig.json", "package.json")])
    await _run(
        packages, folder, "node_modules/@atproto/lex/bin/lex", "build", "--lexicons", str(REPOSITORY / "lexicons"),
        "--out", "./lexicons", "--import-ext", ".ts", "--index-file",
    )  # fmt: skip
    return folder


async def _run(packages: NodePackages, folder: Path, *arguments: str, stdin: str = "") -> str:
    process = await asyncio.create_subprocess_exec(
        packages.node,
        *arguments,
        cwd=folder,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(GUARD_SECONDS):
        output, errors = await process.communicate(stdin.encode())
    assert process.returncode == 0, (output + errors).decode()
    return output.decode()


async def _call(packages: NodePackages, folder: Path, url: str, subjects: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Return for each subject what came of every method."""
    stdin = json.dumps({"service": url, "subjects": subjects})
    outcomes: list[dict[str, Any]] = json.loads(await _run(packages, folder, "client.ts", stdin=stdin))
    return outcomes


@asynccontextmanager
async def _served(app: ASGIApp) -> AsyncIterator[str]:
    """Serve an application as the program does, and give its URL."""
    ready = asyncio.Event()
    with port_taken("127.0.0.1", 0) as sockets:
        serving = asyncio.create_task(serve(app, sockets, ready.set))
        try:
            async with asyncio.timeout(GUARD_SECONDS):
                await ready.wait()
            yield f"http://127.0.0.1:{port_of(sockets)}"
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)


@pytest.fixture
async def seeds(database_url: str) -> AsyncIterator[Seeds]:
    connection = await asyncpg.connect(database_url)
    yield Seeds(connection)
    await connection.close()


@pytest.fixture
async def appview_url(database_url: str) -> AsyncIterator[str]:
    limits = MethodLimits(by_address=(Window(SYNC_REQUESTS, 3600),))
    settings = replace(SETTINGS, rate_windows=(), sync_request_limits=limits)
    async with _served(
        create_app(settings, CATALOG, open_pool=pool_opener(database_url, settings), clock=Clock())
    ) as url:
        yield url


async def _something_of_everything(seeds: Seeds) -> tuple[Account, Written, Written]:
    """Write an account, a track and a list whose views have every field that they can have."""
    artist, listener = await seeds.account(), await seeds.account()
    await seeds.profile(artist, displayName="An Artist", bio="Plays", avatarBlob=blob("face", "image/png"))
    await seeds.profile(listener, source="bluesky", displayName="A Listener", description="Listens")
    track = await seeds.track(
        artist,
        features=(listener, await seeds.actor()),
        title="Tom\0bola \N{MUSICAL SYMBOL G CLEF}",
        album="First",
        duration=200,
        description="Words",
        image=blob("cover", "image/jpeg"),
        imageUrl="https://example.com/cover.jpg",
        audioUrl="https://example.com/audio.mp3",
        labels=LABELS,
        supportGate={"type": "any"},
        tags=["ambient", "live"],
    )
    await seeds.track(artist, tags=["ambient", "live"])
    for liker in (artist, listener):
        await seeds.like(liker, track)
        await seeds.comment(liker, track, text="Nice", timestamp_ms=1000)
    hidden = await seeds.track(await seeds.account(takendown=True))
    of_tracks = await seeds.track_list(
        artist, [track, hidden], name="Album", listType="album", description="Words", image=blob("sleeve", "image/webp")
    )
    await seeds.execute("INSERT INTO network.cursors VALUES ('relay.example.com', 'x', 7, now() - interval '1 hour')")
    return artist, track, of_tracks


def _subject(did: str, track: str, of_tracks: str) -> dict[str, str]:
    return {"did": did, "track": track, "list": of_tracks}


async def test_every_method_answers_and_fails_as_the_generated_client_expects(
    packages: NodePackages, client_folder: Path, appview_url: str, seeds: Seeds
) -> None:
    artist, track, of_tracks = await _something_of_everything(seeds)
    there = _subject(artist.did, track.uri, of_tracks.uri)
    nowhere = _subject("did:example:nobody", f"{track.uri}z", f"{of_tracks.uri}z")

    answers, failures, more = await _call(packages, client_folder, appview_url, [there, nowhere, there])

    assert answers.keys() == METHODS, "every method of the lexicons is called"
    assert {nsid: outcome for nsid, outcome in answers.items() if "output" not in outcome} == {}
    outputs = {nsid.removeprefix(f"{NAMESPACE}."): outcome["output"] for nsid, outcome in answers.items()}
    assert outputs["index.requestSync"] == {"status": "queued"}
    # What the client read is what was sent, blobs, labels and odd characters included.
    async with httpx.AsyncClient(base_url=appview_url, trust_env=False) as http:
        ours = XrpcClient(http, CATALOG, NAMESPACE)
        asked: dict[str, dict[str, Any]] = {
            "actor.getProfile": {"actor": artist.did},
            "feed.getActorTracks": {"actor": artist.did, "filter": "all"},
            "feed.getComments": {"uri": track.uri},
            "feed.getLatest": {"tags": ["ambient", "live"], "limit": 1},
            "feed.getLikes": {"uri": track.uri},
            "feed.getTrack": {"uri": track.uri},
            "feed.getTracks": {"uris": [track.uri, of_tracks.uri]},
            "index.getRecordStatus": {"uri": track.uri},
            "index.getRepoStatus": {"did": artist.did},
            "index.getStats": {},
            "library.getList": {"uri": of_tracks.uri},
            "actor.searchActors": {"q": "artist"},
            "feed.getTags": {"q": "amb"},
            "feed.searchTracks": {"q": "tom", "actor": artist.did, "tag": "ambient"},
            "library.searchLists": {"q": "album", "purpose": "album"},
        }
        assert {name: await ours.answer(name, **parameters) for name, parameters in asked.items()} | {
            "index.requestSync": {"status": "queued"}
        } == outputs
    assert "cursor" in outputs["feed.getLatest"]
    assert [len(outputs[name][items]) for name, items in [
        ("feed.getActorTracks", "tracks"), ("feed.getComments", "comments"), ("feed.getLikes", "likes"),
        ("feed.getTracks", "tracks"), ("library.getList", "items"), ("index.getStats", "upstreams"),
        ("actor.searchActors", "actors"), ("feed.getTags", "tags"), ("feed.searchTracks", "tracks"), ("library.searchLists", "lists"),
    ]] == [2, 2, 2, 2, 2, 1, 2, 1, 1, 1]  # fmt: skip

    # Every error that a lexicon declares comes under its own name, from the method that declares it.
    declared = {(nsid, error) for nsid in METHODS for error in CATALOG.method(nsid).error_names}
    failed = {
        (nsid, outcome["error"]) for each in (failures, more) for nsid, outcome in each.items() if "error" in outcome
    }
    refused_by = {outcome["refusedBy"] for each in (failures, more) for outcome in each.values() if "error" in outcome}
    assert failed == declared
    assert refused_by == {"server"}


async def test_an_answer_that_breaks_its_lexicon_is_refused_by_the_client(
    packages: NodePackages, client_folder: Path
) -> None:
    """Else the test above would prove nothing."""

    async def nothing(_: Request) -> JSONResponse:
        return JSONResponse({})

    did = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
    app = Starlette(routes=[Route("/xrpc/{nsid}", nothing, methods=["GET", "POST"])])
    async with _served(app) as url:
        (outcomes,) = await _call(packages, client_folder, url, [_subject(did, f"at://{did}", f"at://{did}")])

    assert {nsid: outcome.get("refusedBy") for nsid, outcome in outcomes.items()} == dict.fromkeys(METHODS, "client")


async def test_the_generated_types_fit_the_methods(packages: NodePackages, client_folder: Path) -> None:
    await _run(packages, client_folder, "node_modules/typescript/bin/tsc", "--project", ".")
    (client_folder / "wrong.ts").write_text(
        "import { Client } from '@atproto/lex'\nimport { fm } from './lexicons/index.ts'\n"
        "await new Client({ service: 'http://localhost' }).call(fm.plyr.feed.getLatest, { limit: 'fifty' })\n"
    )
    with pytest.raises(AssertionError, match="not assignable to type 'number'"):
        await _run(packages, client_folder, "node_modules/typescript/bin/tsc", "--project", ".")
