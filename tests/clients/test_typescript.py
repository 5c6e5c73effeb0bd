"""TypeScript clients that @atproto/lex and @atcute/lex-cli make from the lexicons, against the appview on a real socket.

Generated clients refuse answers that are not what the lexicons promise, so they are second opinions
beside our own validator. Type stripping lets Node run them as they are; the compiler checks their types once.
"""

import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from made_up_accounts import MadeUpAccount
from node_packages import NodePackages, install
from running_appview import REPOSITORY, SETTINGS, VIEWERS_KEY, Clock, everybodys_key
from seeds import NAMESPACE, NOW, Account, Seeds
from served_appview import Everything, served, something_of_everything
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from xrpc_client import XrpcClient

from appview.api.methods import VIEWERS_ONLY
from appview.app import create_app, pool_opener
from appview.xrpc.rate_limit import MethodLimits, Window
from atprotocol.lexicon.catalog import Catalog
from atprotocol.syntax.did import DID

SOURCE = Path(__file__).parent / "typescript"
PROGRAMS = (
    "outcomes.ts",
    "lex_client.ts",
    "atcute_client.ts",
    "through_host.ts",
    "lex.config.js",
    "tsconfig.json",
    "package.json",
)
GENERATORS = {
    "lex_client.ts": ("node_modules/@atproto/lex/bin/lex", "build", "--out", "generated/lex", "--import-ext", ".ts", "--index-file"),
    "atcute_client.ts": ("node_modules/@atcute/lex-cli/cli.mjs", "generate"),
}  # fmt: skip
CATALOG = Catalog.load(REPOSITORY / "lexicons")
METHODS = {nsid for nsid in CATALOG.method_nsids if nsid.startswith(f"{NAMESPACE}.")}
FOR_VIEWERS = {f"{NAMESPACE}.{name}" for name in VIEWERS_ONLY}
# So many subjects may ask for a sync before the next is told to wait.
SYNC_REQUESTS = 2
# What the clients ask, by their methods, and the list of the answer that has to have something.
ASKED = {
    "actor.getProfile": None,
    "actor.getProfiles": "profiles",
    "actor.searchActors": "actors",
    "feed.getActivity": "activity",
    "feed.getActorLikes": "tracks",
    "feed.getActorTracks": "tracks",
    "feed.getComments": "comments",
    "feed.getForYou": "tracks",
    "feed.getHot": "tracks",
    "feed.getLatest": "tracks",
    "feed.getLikes": "likes",
    "feed.getPlayback": "sources",
    "feed.getRelated": "tracks",
    "feed.getTagged": "tracks",
    "feed.getTags": "tags",
    "feed.getTimeline": "tracks",
    "feed.getTop": "tracks",
    "feed.getTrack": None,
    "feed.getTracks": "tracks",
    "feed.searchTracks": "tracks",
    "index.getRecordStatus": None,
    "index.getRepoStatus": None,
    "index.getStats": "upstreams",
    "index.resolveLegacyId": None,
    "library.getActorLists": "lists",
    "library.getList": "items",
    "library.getLists": "lists",
    "library.getListsWithTrack": "lists",
    "library.searchLists": "lists",
}
PROCEDURES: dict[str, Any] = {
    "feed.recordPlay": {"counted": True, "playCount": 1},
    "index.requestSync": {"status": "queued"},
}
pytestmark = pytest.mark.xdist_group("npm")


def parameters_of(name: str, everything: Everything) -> dict[str, Any]:
    """Return what the clients' programs say in a call."""
    did, track, album = everything.artist.did, everything.track.uri, everything.album.uri
    chosen: dict[str, dict[str, Any]] = {
        "actor.getProfile": {"actor": did},
        "actor.getProfiles": {"actors": [did]},
        "actor.searchActors": {"q": "artist"},
        "feed.getActivity": {"actor": did, "types": ["track", "like", "comment", "list"]},
        "feed.getActorLikes": {"actor": did},
        "feed.getActorTracks": {"actor": did, "filter": "all"},
        "feed.getHot": {"limit": 1},
        "feed.getLatest": {"tags": ["ambient", "live"], "limit": 1},
        "feed.getPlayback": {"uri": everything.playable.uri},
        "feed.getTagged": {"tag": "ambient"},
        "feed.getTags": {"q": "amb"},
        "feed.getTop": {"period": "all", "by": "likes"},
        "feed.getTracks": {"uris": [track, album]},
        "feed.searchTracks": {"q": "everybody", "actor": did, "tag": "ambient"},
        "index.getRepoStatus": {"did": did},
        "index.resolveLegacyId": {"id": everything.legacy_id},
        "library.getActorLists": {"actor": did, "purpose": "album"},
        "library.getList": {"uri": album},
        "library.getLists": {"uris": [album]},
        "library.searchLists": {"q": "album", "purpose": "album"},
    }
    of_nothing = {"feed.getForYou", "feed.getTimeline", "index.getStats"}
    return chosen.get(name, {} if name in of_nothing else {"uri": track})


def tokens_of(account: Account) -> dict[str, str]:
    """Return tokens for what answers viewers only."""
    made_up = MadeUpAccount(DID(account.did), VIEWERS_KEY, SETTINGS.did)
    return {nsid: made_up.token(nsid, NOW.timestamp()) for nsid in FOR_VIEWERS}


def subject_of(everything: Everything, ending: str = "", **others: Any) -> dict[str, Any]:
    """Return what the programs ask about; an ending makes it what is not there."""
    return {
        "did": everything.artist.did,
        "track": everything.track.uri + ending,
        "playable": everything.playable.uri + ending,
        "list": everything.album.uri + ending,
        "legacyId": everything.legacy_id,
        "tokens": {},
    } | others


@pytest.fixture(scope="module")
def packages() -> NodePackages:
    return install(SOURCE)


@pytest.fixture(scope="module")
async def client_folder(packages: NodePackages, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with the clients' programs and what is generated for them."""
    folder = tmp_path_factory.mktemp("client")
    packages.lay_out(folder, [SOURCE / name for name in PROGRAMS])
    shutil.copytree(REPOSITORY / "lexicons", folder / "lexicons")
    for generator in GENERATORS.values():
        await packages.run(folder, *generator)
    return folder


async def _call(
    packages: NodePackages, folder: Path, program: str, url: str, subjects: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return for each subject what came of every method."""
    stdin = json.dumps({"service": url, "subjects": subjects})
    outcomes: list[dict[str, Any]] = json.loads(await packages.run(folder, program, stdin=stdin))
    return outcomes


@pytest.fixture
async def seeds(database_url: str) -> AsyncIterator[Seeds]:
    connection = await asyncpg.connect(database_url)
    yield Seeds(connection)
    await connection.close()


@pytest.fixture
async def appview_url(database_url: str) -> AsyncIterator[str]:
    limits = MethodLimits(by_address=(Window(SYNC_REQUESTS, 3600),))
    settings = replace(SETTINGS, rate_windows=(), account_rate_windows=(), sync_request_limits=limits)
    open_pool = pool_opener(database_url, settings)
    async with served(
        create_app(settings, CATALOG, open_pool=open_pool, clock=Clock(), resolve_key=everybodys_key)
    ) as url:
        yield url


@pytest.mark.parametrize("program", GENERATORS)
async def test_every_method_answers_and_fails_as_the_generated_client_expects(
    packages: NodePackages, client_folder: Path, appview_url: str, seeds: Seeds, program: str
) -> None:
    everything = await something_of_everything(seeds)
    there = subject_of(everything, tokens=tokens_of(everything.listener))
    nowhere = subject_of(everything, "z", did="did:example:nobody", legacyId=everything.legacy_id + 1)

    answers, failures, more = await _call(
        packages, client_folder, program, appview_url, [there, nowhere, subject_of(everything)]
    )

    assert answers.keys() == METHODS, "every method of the lexicons is called"
    assert {nsid: outcome for nsid, outcome in answers.items() if "output" not in outcome} == {}
    outputs = {nsid.removeprefix(f"{NAMESPACE}."): outcome["output"] for nsid, outcome in answers.items()}
    # What the client read is what was sent, blobs, labels and odd characters included.
    tokens = tokens_of(everything.listener)
    async with httpx.AsyncClient(base_url=appview_url, trust_env=False) as http:
        ours = XrpcClient(http, CATALOG, NAMESPACE)
        expected: dict[str, Any] = dict(PROCEDURES)
        for name in ASKED:
            token = tokens.get(f"{NAMESPACE}.{name}")
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            response = await ours.get(name, parameters_of(name, everything), headers=headers)
            expected[name] = response.json()
    assert outputs == expected
    assert [name for name, items in ASKED.items() if items is not None and not outputs[name][items]] == []
    assert [name for name in outputs if outputs[name].get("coldStart")] == []
    assert "cursor" in outputs["feed.getLatest"]
    assert "cursor" in outputs["feed.getHot"]

    # Every error that a lexicon declares comes under its own name, from the method that declares it.
    declared = {(nsid, error) for nsid in METHODS for error in CATALOG.method(nsid).error_names}
    to_nobody = {(nsid, "AuthenticationRequired") for nsid in FOR_VIEWERS}
    failed = [(nsid, outcome) for each in (failures, more) for nsid, outcome in each.items() if "error" in outcome]
    assert {(nsid, outcome["error"]) for nsid, outcome in failed} == declared | to_nobody
    # Only @atproto/lex generates the names of errors.
    of_declared = "declared" if program == "lex_client.ts" else "server"
    assert {(outcome["error"], outcome["from"]) for _, outcome in failed} == (
        {(error, of_declared) for _, error in declared} | {("AuthenticationRequired", "server")}
    )


@pytest.mark.parametrize("program", GENERATORS)
async def test_an_answer_that_breaks_its_lexicon_is_refused_by_the_client(
    packages: NodePackages, client_folder: Path, program: str
) -> None:
    """Else the test above would prove nothing."""

    async def nothing(_: Request) -> JSONResponse:
        return JSONResponse({})

    did = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
    uri = f"at://{did}/fm.plyr.track/x"
    subject = {"did": did, "track": uri, "playable": uri, "list": uri, "legacyId": 1, "tokens": {}}
    app = Starlette(routes=[Route("/xrpc/{nsid}", nothing, methods=["GET", "POST"])])
    async with served(app) as url:
        (outcomes,) = await _call(packages, client_folder, program, url, [subject])

    assert {nsid: outcome.get("from") for nsid, outcome in outcomes.items()} == dict.fromkeys(METHODS, "client")


async def test_the_generated_types_fit_the_methods(packages: NodePackages, client_folder: Path) -> None:
    await packages.run(client_folder, "node_modules/typescript/bin/tsc", "--project", ".")
    wrong = client_folder / "wrong.ts"
    for program in (
        "import { Client } from '@atproto/lex'\nimport { fm } from './generated/lex/index.ts'\n"
        "await new Client({ service: 'http://localhost' }).call(fm.plyr.feed.getLatest, { limit: 'fifty' })\n",
        "import { Client, simpleFetchHandler } from '@atcute/client'\nimport * as plyr from './generated/atcute/index.ts'\n"
        "const client = new Client({ handler: simpleFetchHandler({ service: 'http://localhost' }) })\n"
        "await client.call(plyr.FmPlyrFeedGetLatest, { params: { limit: 'fifty' } })\n",
    ):
        wrong.write_text(program)
        with pytest.raises(AssertionError, match="not assignable to type 'number"):
            await packages.run(client_folder, "node_modules/typescript/bin/tsc", "--project", ".")
    wrong.unlink()
