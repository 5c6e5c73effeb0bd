"""A media worker that is killed at any step leaves nothing half published, loses no job, and leaves no orphan behind the sweeper."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from audio_samples import sample
from blob_host import BlobHost, blob_host, cid_text
from media_campaign import run_media_campaign
from s3_server import S3Server
from seeds import Seeds, Written

from appview.media.folder import FolderStorage
from appview.media.keys import BlobKey, StagingKey, VariantKey
from appview.media.s3 import S3Settings, S3Storage
from appview.media.storage import Storage

pytestmark = pytest.mark.xdist_group("s3")
ROOT = Path(__file__).resolve().parents[2]
MUSIC = sample("flac", seconds=1.0)
CID = cid_text(MUSIC)
# Longer than a lease, and than what is left over may lie about.
LATER_SECONDS = 3 * 86_400.0
FETCHING = ("taken", "asked", "received", "staged", "probed", "published", "written", "rendered", "finished")
LETTING_GO = ("taken", "forgotten", "deleted", "let go", "finished")


@dataclass
class Crashing:
    """A database with one track, its host, and a storage that outlives workers."""

    url: str
    connection: asyncpg.Connection
    host: BlobHost
    storage: Storage
    arguments: list[str]
    track: Written

    async def run(self, *arguments: str) -> tuple[int, list[str]]:
        """Run a worker to its end and return how it ended and the steps that it did."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(ROOT / "tests" / "crash" / "doomed_worker.py"),
            *self.arguments,
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        async with asyncio.timeout(60):
            said, _ = await process.communicate()
        return process.returncode or 0, said.decode().splitlines()

    async def objects(self) -> dict[str, bytes]:
        """Return everything that is visible under a key of content, with its bytes."""
        found = {}
        for kind in (BlobKey, VariantKey):
            async for key, stored in self.storage.keys(kind):
                async with self.storage.read(key, 0, stored.size_bytes, stored.etag) as reader:
                    content = b""
                    while piece := await reader.read(1 << 20):
                        content += piece
                found[key.path] = content
        return found

    async def is_consistent(self) -> None:
        """Whatever is visible is whole, and whatever the rows call kept is there."""
        objects = await self.objects()
        for path, content in objects.items():
            if path.startswith("blobs/"):
                assert cid_text(content) == path.removeprefix("blobs/")
        for row in await self.connection.fetch("SELECT cid FROM plyr.blobs WHERE state = 'ready'"):
            assert f"blobs/{row['cid']}" in objects
        for row in await self.connection.fetch("SELECT * FROM plyr.blob_variants"):
            assert cid_text(objects[f"variants/{row['cid']}/{row['profile']}"]) == row["content_cid"]

    async def leftovers(self) -> int:
        """Return how many objects are left in staging."""
        return len([key async for key, _ in self.storage.keys(StagingKey)])


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest) -> tuple[S3Server, str] | None:
    if request.param == "folder":
        return None
    return request.getfixturevalue("s3_server"), request.getfixturevalue("s3_bucket")


@pytest.fixture
async def crashing(place: tuple[S3Server, str] | None, database_url: str, tmp_path: Path) -> AsyncIterator[Crashing]:
    connection = await asyncpg.connect(database_url)
    async with blob_host() as host:
        arguments = ["--database", database_url, "--host", host.url, "--folder", str(tmp_path)]
        if place is None:
            storage: Storage = FolderStorage(tmp_path / "media")
            opened = None
        else:
            server, bucket = place
            settings = S3Settings(server.endpoint_url, bucket, server.access_key_id, server.secret_access_key)
            storage = opened = await S3Storage(settings, tmp_path / "spool").__aenter__()
            arguments += [
                "--bucket",
                f"{server.endpoint_url} {bucket} {server.access_key_id} {server.secret_access_key}",
            ]
        seeds = Seeds(connection)
        host.put(MUSIC)
        blob = {"$type": "blob", "ref": {"$link": CID}, "mimeType": "audio/flac", "size": len(MUSIC)}
        track = await seeds.track(await seeds.account(pds=host.url), audioBlob=blob)
        await connection.execute("INSERT INTO plyr.media_jobs (kind, subject) VALUES ('blob', $1)", CID)
        yield Crashing(database_url, connection, host, storage, arguments, track)
        if opened is not None:
            await opened.__aexit__(None, None, None)
    await connection.close()


async def _finished(crashing: Crashing, expected: set[str]) -> None:
    """Let another worker take over, and see that it ends as if nothing had been."""
    for _ in range(2):
        code, _ = await crashing.run("--ahead-seconds", str(LATER_SECONDS), "--sweep")
        assert code == 0
    assert set(await crashing.objects()) == expected
    await crashing.is_consistent()
    assert await crashing.connection.fetchval("SELECT count(*) FROM plyr.media_jobs") == 0
    assert await crashing.leftovers() == 0


@pytest.mark.parametrize("step", FETCHING)
async def test_a_kill_at_any_step_of_fetching_loses_and_halves_nothing(crashing: Crashing, step: str) -> None:
    code, steps = await crashing.run("--die-at", step)
    assert (code, steps[-1]) == (-signal.SIGKILL, step), "it did not die there: the test proves nothing"
    await crashing.is_consistent()
    if step == "taken":
        # Whose lease has not ended is not taken from it.
        assert (await crashing.run())[1] == []
        assert await crashing.connection.fetchval("SELECT count(*) FROM plyr.media_jobs") == 1
    await _finished(crashing, {f"blobs/{CID}", f"variants/{CID}/aac-160"})
    assert await crashing.connection.fetchval("SELECT state FROM plyr.blobs") == "ready"


@pytest.mark.parametrize("step", LETTING_GO)
async def test_a_kill_at_any_step_of_letting_go_leaves_nothing_behind(crashing: Crashing, step: str) -> None:
    assert (await crashing.run())[0] == 0
    await Seeds(crashing.connection).take_down(crashing.track.uri)
    await crashing.connection.execute("INSERT INTO plyr.media_jobs (kind, subject) VALUES ('blob', $1)", CID)
    code, steps = await crashing.run("--die-at", step)
    assert (code, steps[-1]) == (-signal.SIGKILL, step), "it did not die there: the test proves nothing"
    await crashing.is_consistent()
    await _finished(crashing, set())
    assert await crashing.connection.fetchval("SELECT count(*) FROM plyr.blobs") == 0


@pytest.mark.parametrize("step", ["forgotten", "deleted"])
async def test_a_reference_that_comes_while_bytes_are_let_go_has_them_in_the_end(crashing: Crashing, step: str) -> None:
    assert (await crashing.run())[0] == 0
    await Seeds(crashing.connection).take_down(crashing.track.uri)
    await crashing.connection.execute("INSERT INTO plyr.media_jobs (kind, subject) VALUES ('blob', $1)", CID)
    assert (await crashing.run("--die-at", step))[0] == -signal.SIGKILL
    await crashing.connection.execute("DELETE FROM plyr.takedowns")
    await crashing.connection.execute("UPDATE plyr.media_jobs SET wanted = wanted + 1")
    await _finished(crashing, {f"blobs/{CID}", f"variants/{CID}/aac-160"})


def test_a_worker_that_is_killed_at_random_moments_ends_as_if_it_had_never_been() -> None:
    report = run_media_campaign(kills=6, seed=5, blobs=10)
    assert report.problems == []
    assert report.kills == 6
