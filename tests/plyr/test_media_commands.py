"""`plyr work` and `plyr media`, as an operator runs them."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from audio_samples import sample
from blob_host import BlobHost, blob_host, cid_text
from plyr_command import environment
from seeds import Seeds, Written

from appview.media.folder import FolderStorage
from appview.media.keys import BlobKey

MUSIC = [sample("mp3", seconds=0.5, hertz=200.0 + 50 * number) for number in range(3)]


class Operator:
    """A database with three tracks and their host, and the commands on it."""

    def __init__(
        self, url: str, host: BlobHost, folder: Path, tracks: list[Written], connection: asyncpg.Connection
    ) -> None:
        self.host = host
        self.folder = folder
        self.tracks = tracks
        self.connection = connection
        self.environment = environment(
            PLYR_DATABASE_URL=url,
            PLYR_ALLOWED_HOSTS=f"localhost:{host.port}",
            PLYR_MEDIA_DIR=str(folder),
            PLYR_MEDIA_GRACE_HOURS="0",
        )

    async def run(self, *arguments: str) -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "plyr", *arguments, env=self.environment, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(60):
            out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()

    async def asked(self, *arguments: str) -> dict[str, object]:
        code, out, err = await self.run(*arguments, "--json")
        assert code == 0, err
        found: dict[str, object] = json.loads(out)
        return found

    async def worked(self) -> None:
        """Run a worker until no job is left, and end it in order."""
        for content in MUSIC:
            await self.connection.execute(
                "INSERT INTO plyr.media_jobs (kind, subject) VALUES ('blob', $1) ON CONFLICT DO NOTHING",
                cid_text(content),
            )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "plyr", "work", env=self.environment, stdout=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(60):
            while await self.connection.fetchval("SELECT count(*) FROM plyr.media_jobs"):
                await asyncio.sleep(0.1)
            process.send_signal(signal.SIGTERM)
            out, _ = await process.communicate()
        assert process.returncode == 0
        assert "plyr works" in out.decode()


@pytest.fixture
async def operator(database_url: str, tmp_path: Path) -> AsyncIterator[Operator]:
    connection = await asyncpg.connect(database_url)
    async with blob_host() as host:
        seeds = Seeds(connection)
        account = await seeds.account(pds=host.url)
        tracks = []
        for content in MUSIC:
            blob = {
                "$type": "blob",
                "ref": {"$link": host.put(content)},
                "mimeType": "audio/mpeg",
                "size": len(content),
            }
            tracks.append(await seeds.track(account, audioBlob=blob))
        yield Operator(database_url, host, tmp_path / "media", tracks, connection)
    await connection.close()


async def test_an_operator_mirrors_looks_verifies_and_sweeps(operator: Operator) -> None:
    await operator.worked()
    status = await operator.asked("media", "status")
    assert status["mirror"] == "on-play"
    assert status["blobs"] == {"ready": {"count": 3, "size_bytes": sum(map(len, MUSIC))}}
    assert status["variants"]["aac-160"]["count"] == 3  # type: ignore[index]
    code, out, _ = await operator.run("media", "status")
    assert code == 0
    assert "3 blobs are named as audio." in out
    # One is lost, and mended from its host.
    storage = FolderStorage(operator.folder)
    await storage.delete(BlobKey(cid_text(MUSIC[0])))
    found = await operator.asked("media", "verify")
    assert found["lost"] == [{"key": f"blobs/{cid_text(MUSIC[0])}", "reason": "the object is missing"}]
    assert (found["objects"], found["unmended"]) == (6, [])
    assert await storage.stat(BlobKey(cid_text(MUSIC[0]))) is not None
    code, out, err = await operator.run("media", "verify")
    assert (code, "Verifying: 6 of 6 objects" in err) == (0, True)
    assert out.startswith("6 objects")
    # One is deleted: a dry run tells, a real one does it.
    await Seeds(operator.connection).delete(operator.tracks[1])
    dry = await operator.asked("media", "sweep", "--dry-run")
    assert [(each["cid"], each["reason"]) for each in dry["freed"]] == [(cid_text(MUSIC[1]), "unreferenced")]  # type: ignore[attr-defined]
    assert await storage.stat(BlobKey(cid_text(MUSIC[1]))) is not None
    code, out, _ = await operator.run("media", "sweep")
    assert code == 0
    assert out.startswith("1 blobs (")
    assert await storage.stat(BlobKey(cid_text(MUSIC[1]))) is None
    assert await storage.stat(BlobKey(cid_text(MUSIC[2]))) is not None


async def test_what_could_not_be_mended_is_told_by_the_exit_code_and_tried_again_on_demand(operator: Operator) -> None:
    await operator.worked()
    lost = cid_text(MUSIC[2])
    await FolderStorage(operator.folder).delete(BlobKey(lost))
    operator.host.put(MUSIC[2], status=400, error="BlobNotFound")
    code, out, _ = await operator.run("media", "verify", "--json")
    assert (code, json.loads(out)["unmended"]) == (1, [lost])
    operator.host.put(MUSIC[2])
    assert (await operator.asked("media", "retry"))["blobs"] == [lost]
    await operator.worked()
    code, out, _ = await operator.run("media", "retry")
    assert (code, out) == (1, "0 blobs and 0 URLs are tried again by the worker that runs, or the next one.\n")
    code, out, _ = await operator.run("media", "retry", lost)
    assert code == 0


async def test_an_index_that_looks_rebuilt_is_left_alone(operator: Operator) -> None:
    await operator.worked()
    for table in ("blob_references", "tracks", "records", "repos"):
        await operator.connection.execute(f"DELETE FROM network.{table}")
    code, out, _ = await operator.run("media", "sweep")
    assert code == 1
    assert "the index is empty" in out
    code, out, _ = await operator.run("media", "sweep", "--force")
    assert code == 0
    assert out.startswith("3 blobs")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("media", "retry", "nonsense"), 2, "bafkrei"),
        (("media", "nonsense"), 2, "nonsense"),
        (("work", "--mirror", "x"), 2, "--mirror (PLYR_MIRROR)"),
    ],
)
async def test_wrong_usage_is_told(operator: Operator, arguments: tuple[str, ...], code: int, said: str) -> None:
    found, _, err = await operator.run(*arguments)
    assert (found, said in err, "Traceback" in err) == (code, True, False)
    assert str(operator.folder) not in err


async def test_a_storage_that_is_away_is_told_in_a_sentence(operator: Operator) -> None:
    operator.environment |= {
        "PLYR_S3_BUCKET": "bucket",
        "PLYR_S3_ENDPOINT_URL": "http://127.0.0.1:9",
        "PLYR_S3_ACCESS_KEY_ID": "key",
        "PLYR_S3_SECRET_ACCESS_KEY": "secret-of-the-bucket",
    }
    code, _, err = await operator.run("media", "sweep")
    assert code == 1
    assert "the storage of audio and pictures: list" in err
    assert "Traceback" not in err
    assert "secret-of-the-bucket" not in err
