"""Third parties' clients sign in at the reference PDS and call us through it: @atproto/api, its XrpcClient, generated ones, the Python SDK."""

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from account import Account, Written
from atproto import AtUri, Client, exceptions, models
from atproto_client.models.dot_dict import DotDict
from node_packages import NodePackages, install
from postgres import PostgresForTests
from proxied_stage import CREATED_AT, FOLLOW, LIKE, Stage, staged
from running_plyr import ROOT

SOURCE = ROOT / "tests" / "clients" / "typescript"
GENERATED = (
    ("node_modules/@atproto/lex/bin/lex", "build", "--out", "generated/lex", "--import-ext", ".ts", "--index-file"),
    ("node_modules/@atcute/lex-cli/cli.mjs", "generate"),
)
GUARD_SECONDS = 60
pytestmark = pytest.mark.xdist_group("local-network")


@pytest.fixture(scope="module")
def packages() -> NodePackages:
    return install(SOURCE)


@pytest.fixture(scope="module")
async def stage(postgres: PostgresForTests, migrated: str) -> AsyncIterator[Stage]:
    async with staged(postgres.create_database(template=migrated)) as stage:
        yield stage


@pytest.fixture(scope="module")
async def song(stage: Stage) -> Written:
    artist = await stage.net.create_account("artist.pds1.test")
    return await stage.publish(artist, "Song", duration=200)


async def follower(stage: Stage, song: Written, name: str) -> Account:
    """Make an account that follows the artist."""
    account = await stage.net.create_account(f"{name}.pds1.test")
    await account.create_record(FOLLOW, {"subject": song.uri.split("/")[2], "createdAt": CREATED_AT})
    return account


async def test_typescript_clients_through_the_listener_s_host(
    packages: NodePackages, stage: Stage, song: Written, tmp_path: Path
) -> None:
    listener = await follower(stage, song, "listener")
    packages.lay_out(tmp_path, [SOURCE / name for name in ("through_host.ts", "lex.config.js", "package.json")])
    shutil.copytree(ROOT / "lexicons", tmp_path / "lexicons")
    for generator in GENERATED:
        await packages.run(tmp_path, *generator)

    asked = {
        "pds": listener.pds.url,
        "handle": listener.handle,
        "password": listener.password,
        "proxy": stage.proxy,
        "track": song.strong_ref,
    }
    told: dict[str, Any] = json.loads(await packages.run(tmp_path, "through_host.ts", stdin=json.dumps(asked)))

    assert told["liked"]["viewer"] == {"like": told["like"]}
    assert told["like"].startswith(f"at://{listener.did}/{LIKE}/")
    for client, (view, timeline, suggested) in told["read"].items():
        assert view == told["liked"], client
        assert [each["uri"] for each in timeline["tracks"]] == [song.uri], client
        assert timeline["tracks"][0]["viewer"] == view["viewer"], client
        assert suggested["coldStart"] is True, client
    assert told["plays"] == [{"counted": first, "playCount": 1} for first in (True, False, False, False)]
    assert told["after"]["viewer"] == {}
    assert told["failed"] == [{"status": 400, "error": "TrackNotFound"}] * 2


async def test_the_python_sdk_through_the_listener_s_host(stage: Stage, song: Written) -> None:
    listener = await follower(stage, song, "pythonist")
    told = await asyncio.to_thread(_as_the_sdk_does, stage, listener, song)

    like, liked, timeline, suggested, plays, after, failed = told
    assert (like.startswith(f"at://{listener.did}/{LIKE}/"), liked["viewer"]) == (True, {"like": like})
    assert [each["uri"] for each in timeline["tracks"]] == [song.uri]
    assert suggested["coldStart"] is True
    assert [play["counted"] for play in plays] == [True, False]
    assert after["viewer"] == {}
    assert failed == (400, "TrackNotFound")


def _as_the_sdk_does(stage: Stage, listener: Account, song: Written) -> tuple[Any, ...]:
    client = Client(listener.pds.url)
    client.login(listener.handle, listener.password, fetch_bsky_profile=False)
    appview = client.with_proxy("plyr_appview", stage.did)

    def ask(method: str, **parameters: Any) -> Any:
        return appview.invoke_query(f"fm.plyr.feed.{method}", DotDict(parameters)).content

    def play(key: str) -> Any:
        body = DotDict({"uri": song.uri, "idempotencyKey": key})
        called = appview.invoke_procedure("fm.plyr.feed.recordPlay", data=body, input_encoding="application/json")
        return called.content

    def seen(like: str | None) -> Any:
        while (view := ask("getTrack", uri=song.uri))["viewer"].get("like") != like:
            assert time.monotonic() < until, view
        return view

    until = time.monotonic() + GUARD_SECONDS
    record = {"$type": LIKE, "subject": song.strong_ref, "createdAt": CREATED_AT}
    created = client.com.atproto.repo.create_record(
        models.ComAtprotoRepoCreateRecord.Data(repo=listener.did, collection=LIKE, record=record)
    )
    liked = seen(created.uri)
    timeline, suggested, plays = ask("getTimeline", limit=10), ask("getForYou"), [play("play-one"), play("play-two")]
    own = AtUri.from_str(liked["viewer"]["like"])
    client.com.atproto.repo.delete_record(
        models.ComAtprotoRepoDeleteRecord.Data(repo=own.host, collection=own.collection, rkey=own.rkey)
    )
    after = seen(None)
    with pytest.raises(exceptions.BadRequestError) as missing:
        ask("getTrack", uri=f"{song.uri}z")
    response = missing.value.response
    return created.uri, liked, timeline, suggested, plays, after, (response.status_code, response.content.error)
