"""The storage is down, slow, broken or full: nothing is half published, no job is lost, and listeners are told."""

import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from audio_samples import sample
from blob_host import cid_text
from faulty_s3 import Cut, Fault, FaultyS3, Reset, Says, Silent, faulty_s3
from media_stage import MediaStage, media_stage
from running_appview import SharedDatabase
from s3_server import S3Server

from appview.media.folder import FolderStorage
from appview.media.keys import BlobKey, StagingKey, VariantKey
from appview.media.s3 import S3Settings, S3Storage
from atprotocol.lexicon.catalog import Catalog

pytestmark = pytest.mark.xdist_group("s3")
MUSIC = sample("wav", seconds=8.0)
CID = cid_text(MUSIC)
INTERNAL_ERROR = b"<?xml version='1.0'?><Error><Code>InternalError</Code></Error>"
FAULTS: list[Fault] = [Reset(), Says(500, INTERNAL_ERROR), Says(503, INTERNAL_ERROR), Silent()]


@pytest.fixture
async def proxy(s3_server: S3Server) -> AsyncIterator[FaultyS3]:
    async with faulty_s3(s3_server.port) as proxy:
        yield proxy


@pytest.fixture
async def stage(
    database: SharedDatabase, catalog: Catalog, s3_server: S3Server, s3_bucket: str, proxy: FaultyS3, tmp_path: Path
) -> AsyncIterator[MediaStage]:
    settings = S3Settings(
        proxy.endpoint_url,
        s3_bucket,
        s3_server.access_key_id,
        s3_server.secret_access_key,
        max_attempts=2,
        connect_timeout_seconds=1.0,
        read_timeout_seconds=0.3,
    )
    async with (
        S3Storage(settings, tmp_path / "spool") as storage,
        media_stage(database, catalog, storage, tmp_path, redirects=False) as made,
    ):
        yield made


async def visible(stage: MediaStage) -> int:
    return len([key async for key, _ in stage.storage.keys(BlobKey)]) + len(
        [key async for key, _ in stage.storage.keys(VariantKey)]
    )


@pytest.mark.parametrize("only", ["POST", "PUT", "DELETE", "GET"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault)[:10])
async def test_what_cannot_be_kept_now_is_kept_later_and_counts_no_try(
    stage: MediaStage, proxy: FaultyS3, fault: Fault, only: str
) -> None:
    track = await stage.track(await stage.account(), MUSIC)
    proxy.fault, proxy.only = fault, only
    await stage.mirrored(track)
    assert [attempts for _, attempts in await stage.jobs()] in ([], [0])
    proxy.fault = None
    # Either nothing of it is visible, or all of what the rows call kept.
    if await stage.state(CID) == "ready":
        assert await stage.storage.stat(BlobKey(CID)) is not None
    assert (await stage.http.get(stage.path(track))).content == MUSIC
    stage.clock.move(3600)
    await stage.work()
    assert (await stage.state(CID), await stage.jobs(), await visible(stage)) == ("ready", [], 2)
    assert (await stage.http.get(stage.path(track))).content == MUSIC


async def test_a_bucket_that_is_away_is_told_to_listeners_and_comes_back(stage: MediaStage, proxy: FaultyS3) -> None:
    track = await stage.track(await stage.account(), MUSIC)
    await stage.mirrored(track)
    for fault in FAULTS:
        proxy.fault = fault
        response = await stage.http.get(stage.path(track))
        assert (response.status_code, response.headers["retry-after"]) == (503, "5")
        assert response.headers["access-control-allow-origin"] == "*"
        # What is known without the bytes is told.
        assert (await stage.http.head(stage.path(track))).status_code == 200
        proxy.fault = None
    await proxy.refuse()
    assert (await stage.http.get(stage.path(track))).status_code == 503
    await proxy.listen()
    assert (await stage.http.get(stage.path(track))).content == MUSIC
    assert stage.host.asked[CID] == 1


@pytest.mark.parametrize("is_silent", [False, True])
async def test_a_body_that_breaks_off_ends_early_and_is_no_whole(
    stage: MediaStage, proxy: FaultyS3, is_silent: bool
) -> None:
    track = await stage.track(await stage.account(), MUSIC)
    await stage.mirrored(track)
    proxy.fault, proxy.only = Cut(500_000, is_silent), "GET"
    got = bytearray()

    async def listen() -> None:
        async with stage.http.stream("GET", stage.path(track)) as response:
            assert response.status_code == 200
            async for piece in response.aiter_raw():
                got.extend(piece)

    with pytest.raises(httpx.RemoteProtocolError):
        await listen()
    assert MUSIC.startswith(bytes(got))
    proxy.fault = None
    assert (await stage.http.get(stage.path(track))).content == MUSIC


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a file system with room for two megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here: that takes root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


async def test_a_full_disk_keeps_what_it_had_and_takes_more_when_there_is_room(
    database: SharedDatabase, catalog: Catalog, small_disk: Path, tmp_path: Path
) -> None:
    storage = FolderStorage(small_disk)
    async with media_stage(database, catalog, storage, tmp_path) as stage:
        account = await stage.account()
        first = await stage.track(account, small := sample("wav", seconds=4.0))
        await stage.mirrored(first)
        second = await stage.track(account, MUSIC)
        await stage.mirrored(second)
        assert await stage.state(CID) is None
        assert [attempts for _, attempts in await stage.jobs()] == [0]
        assert [key async for key, _ in storage.keys(StagingKey)] == []
        assert (await stage.http.get(stage.path(first))).content == small
        assert (await stage.http.get(stage.path(second))).content == MUSIC
        await storage.delete(BlobKey(cid_text(small)))
        stage.clock.move(3600)
        await stage.work()
        assert await stage.state(CID) == "ready"
        assert (await stage.http.get(stage.path(second))).content == MUSIC
