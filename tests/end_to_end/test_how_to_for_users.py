"""How to call us for a user and how to publish, as docs/how-to tells strangers: every snippet is run on a local network."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from account import Account
from markdown_snippets import HOW_TO, run_page
from node_packages import install
from postgres import PostgresForTests
from proxied_stage import CREATED_AT, FOLLOW, LIKE, Stage, staged
from running_plyr import ROOT

CLIENTS = ROOT / "tests" / "clients" / "typescript"
pytestmark = pytest.mark.xdist_group("local-network")


@pytest.fixture(scope="module")
async def stage(postgres: PostgresForTests, migrated: str) -> AsyncIterator[Stage]:
    async with staged(postgres.create_database(template=migrated)) as stage:
        yield stage


def environment_of(stage: Stage, account: Account, **others: str) -> dict[str, str]:
    """Return the variables that the pages name."""
    return {
        "PLYR": stage.plyr.url,
        "PLYR_DID": stage.did,
        "PDS": account.pds.url,
        "HANDLE": account.handle,
        "PASSWORD": account.password,
    } | others


async def test_calling_for_a_user(stage: Stage, tmp_path: Path) -> None:
    packages = install(CLIENTS)
    packages.lay_out(tmp_path, [])
    shutil.copytree(ROOT / "lexicons", tmp_path / "lexicons")
    artist = await stage.net.create_account("artist.pds1.test")
    song, other = await stage.publish(artist, "Song", duration=3600), await stage.publish(artist, "Other")
    listener = await stage.net.create_account("listener.pds1.test")
    await listener.create_record(FOLLOW, {"subject": artist.did, "createdAt": CREATED_AT})
    liked = await listener.create_record(LIKE, {"subject": other.strong_ref, "createdAt": CREATED_AT})
    await stage.has_read(listener, liked.rev)

    await run_page(HOW_TO / "call-it-for-a-user.md", tmp_path, environment_of(stage, listener, TRACK=song.uri))


async def test_publishing(stage: Stage, tmp_path: Path) -> None:
    artist = await stage.net.create_account("publisher.pds1.test")
    await run_page(HOW_TO / "publish-a-track.md", tmp_path, environment_of(stage, artist))
