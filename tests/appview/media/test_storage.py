"""What every storage keeps to, tried on a folder and on a real S3 server."""

import asyncio
import hashlib
import os
import random
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from s3_server import S3Server

from appview.media.folder import FolderStorage
from appview.media.keys import BlobKey, StagingKey, VariantKey
from appview.media.s3 import S3Settings, S3Storage
from appview.media.storage import ObjectChanged, ObjectMissing, Staged, Storage, StorageUnavailable, Stored
from atprotocol.cid import RAW, cid_of

pytestmark = pytest.mark.xdist_group("s3")

MIB = 1024 * 1024
AUDIO = "audio/mpeg"
SOON = timedelta(hours=1)


@pytest.fixture
def s3_settings(s3_server: S3Server, s3_bucket: str) -> S3Settings:
    return S3Settings(
        s3_server.endpoint_url, s3_bucket, s3_server.access_key_id, s3_server.secret_access_key, part_bytes=5 * MIB
    )


@pytest.fixture
async def s3(s3_settings: S3Settings, tmp_path: Path) -> AsyncIterator[S3Storage]:
    async with S3Storage(s3_settings, tmp_path / "spool") as storage:
        yield storage


@pytest.fixture(params=["folder", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "s3":
        opened: S3Storage = request.getfixturevalue("s3")
        return opened
    return FolderStorage(tmp_path / "media")


def blob_key(content: bytes) -> BlobKey:
    return BlobKey(str(cid_of(content, RAW)))


KEY = blob_key(b"a key for whatever a test puts there")


async def put(storage: Storage, content: bytes, key: BlobKey | VariantKey = KEY, piece_bytes: int = 60_000) -> Stored:
    async with storage.staged() as staged:
        for start in range(0, len(content), piece_bytes):
            await staged.write(content[start : start + piece_bytes])
        await staged.finish()
        return await staged.publish(key, AUDIO)


async def get(storage: Storage, stored: Stored, start: int, end: int, limit_bytes: int = 70_000) -> bytes:
    pieces = []
    async with storage.read(KEY, start, end, stored.etag) as reader:
        while piece := await reader.read(limit_bytes):
            assert len(piece) <= limit_bytes
            pieces.append(piece)
        assert await reader.read(1) == b""
    return b"".join(pieces)


async def listed(storage: Storage, kind: type[BlobKey] | type[VariantKey] | type[StagingKey]) -> dict[object, Stored]:
    return {key: stored async for key, stored in storage.keys(kind)}


async def is_clean(storage: Storage, tmp_path: Path) -> bool:
    """Whether nothing of anything staged is anywhere."""
    files = [path for name in ("spool", "media/staging") for path in (tmp_path / name).glob("*")]
    return not files and await storage.discard_leftovers(datetime.now(UTC) + SOON, is_dry=True) == 0


@pytest.mark.parametrize("size_bytes", [0, 1, 60_001, 1_000_000])
async def test_what_is_published_is_there_and_the_same(storage: Storage, tmp_path: Path, size_bytes: int) -> None:
    content = random.Random(size_bytes).randbytes(size_bytes)
    assert await storage.stat(KEY) is None
    before = datetime.now(UTC).replace(microsecond=0)
    stored = await put(storage, content)
    assert stored.size_bytes == size_bytes
    assert stored.etag
    assert '"' not in stored.etag
    assert stored.modified_at.utcoffset() == timedelta(0)
    assert before <= stored.modified_at <= datetime.now(UTC)
    found = await storage.stat(KEY)
    assert found is not None
    assert (found.size_bytes, found.etag) == (size_bytes, stored.etag)
    assert await get(storage, stored, 0, size_bytes) == content
    assert (await listed(storage, BlobKey))[KEY].etag == stored.etag
    assert await is_clean(storage, tmp_path)


async def test_ranges_are_what_slices_are(storage: Storage) -> None:
    chosen = random.Random(1)
    content = chosen.randbytes(300_000)
    stored = await put(storage, content)
    ranges = [(0, 0), (300_000, 300_000), (0, 1), (0, 2), (299_999, 300_000), (0, 300_000), (70_000, 140_000)]
    ranges += [tuple(sorted(chosen.choices(range(300_001), k=2))) for _ in range(60)]
    for start, end in ranges:
        assert await get(storage, stored, start, end, chosen.choice([1_000, 65_536, 1_000_000])) == content[start:end]


async def test_a_range_that_is_none_is_refused(storage: Storage) -> None:
    stored = await put(storage, b"abc")
    for start, end in ((-1, 2), (2, 1)):
        with pytest.raises(ValueError, match="range"):
            async with storage.read(KEY, start, end, stored.etag):
                pass
    for start, end in ((0, 4), (1, 100), (3, 4), (50, 60)):
        with pytest.raises(StorageUnavailable):
            async with storage.read(KEY, start, end, stored.etag):
                pass
    for start, end in ((0, 3), (1, 1)):
        async with storage.read(KEY, start, end, stored.etag) as reader:
            with pytest.raises(ValueError, match="limit"):
                await reader.read(0)


async def test_an_empty_range_asks_nobody(storage: Storage) -> None:
    async with storage.read(KEY, 5, 5, "of no version") as reader:
        assert await reader.read(100) == b""


async def test_another_version_is_never_taken_for_the_one_asked_for(storage: Storage) -> None:
    first = await put(storage, b"first version")
    second = await put(storage, b"other version")
    assert first.etag != second.etag
    with pytest.raises(ObjectChanged):
        async with storage.read(KEY, 0, 5, first.etag):
            pass
    assert await get(storage, second, 0, 13) == b"other version"
    assert len(await listed(storage, BlobKey)) == 1


async def test_what_is_missing_is_told_apart(storage: Storage) -> None:
    for key in (KEY, VariantKey(KEY.cid, "mp3-128")):
        assert await storage.stat(key) is None
        with pytest.raises(ObjectMissing, match=KEY.cid):
            async with storage.read(key, 0, 1, "whatever"):
                pass


async def test_deleting_twice_is_deleting(storage: Storage) -> None:
    stored = await put(storage, b"content")
    variant = VariantKey(KEY.cid, "mp3-128")
    await put(storage, b"variant", variant)
    for _ in range(2):
        await storage.delete(KEY)
        assert await storage.stat(KEY) is None
    with pytest.raises(ObjectMissing):
        await get(storage, stored, 0, 1)
    assert list(await listed(storage, VariantKey)) == [variant]
    await storage.delete(variant)
    assert await listed(storage, VariantKey) == {}
    # And again, into places that may have been tidied up.
    await put(storage, b"variant", variant)
    assert list(await listed(storage, VariantKey)) == [variant]


async def test_keys_are_listed_by_their_kind(storage: Storage) -> None:
    blobs = [blob_key(bytes([number])) for number in range(5)]
    variants = [VariantKey(key.cid, profile) for key in blobs for profile in ("mp3-128", "opus-96")]
    for number, key in enumerate([*blobs, *variants]):
        await put(storage, bytes(number), key)
    assert {key: stored.size_bytes for key, stored in (await listed(storage, BlobKey)).items()} == {
        key: number for number, key in enumerate(blobs)
    }
    assert {key: stored.size_bytes for key, stored in (await listed(storage, VariantKey)).items()} == {
        key: number for number, key in enumerate(variants, len(blobs))
    }
    assert await listed(storage, StagingKey) == {}


async def test_more_keys_than_a_page_has_are_all_listed(storage: Storage) -> None:
    keys = {VariantKey(blob_key(bytes([number % 100])).cid, f"p{number}") for number in range(1_050)}
    turns = asyncio.Semaphore(16)

    async def put_one(key: VariantKey) -> None:
        async with turns:
            await put(storage, b"x", key)

    await asyncio.gather(*map(put_one, keys))
    found = [key async for key, _ in storage.keys(VariantKey)]
    assert len(found) == len(keys)
    assert set(found) == keys


async def test_pages_of_every_size_give_the_same_keys(s3_settings: S3Settings, tmp_path: Path, s3: S3Storage) -> None:
    keys = {blob_key(bytes([number])) for number in range(12)}
    for key in keys:
        await put(s3, b"x", key)
    for page_keys in (1, 5, 12, 13):
        async with S3Storage(replace(s3_settings, list_page_keys=page_keys), tmp_path / "other") as storage:
            assert set(await listed(storage, BlobKey)) == keys


async def test_what_is_not_ours_is_passed_over_in_a_bucket(s3: S3Storage, s3_settings: S3Settings) -> None:
    client = s3._bucket.client
    for name in ("blobs/readme.txt", f"blobs/{KEY.cid}/x", f"variants/{KEY.cid}", "staging/x", "blobs/", "x"):
        await client.put_object(Bucket=s3_settings.bucket, Key=name, Body=b"")
    await client.create_multipart_upload(Bucket=s3_settings.bucket, Key="staging/x")
    for kind in (BlobKey, VariantKey, StagingKey):
        assert await listed(s3, kind) == {}
    assert await s3.discard_leftovers(datetime.now(UTC) + SOON) == 0
    assert (await client.list_objects_v2(Bucket=s3_settings.bucket, Prefix=""))["KeyCount"] >= 4


async def test_what_is_not_ours_is_passed_over_in_a_folder(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path / "media")
    await put(storage, b"x")
    shelf = next((tmp_path / "media" / "blobs").iterdir())
    assert shelf.name == KEY.cid[-2:]
    other = blob_key(b"elsewhere")
    for path in (
        shelf / "readme.txt",
        shelf / other.cid,
        shelf.parent / other.cid,
        tmp_path / "media" / "staging" / "x",
    ):
        path.write_bytes(b"")
    (shelf / "folder").mkdir()
    assert list(await listed(storage, BlobKey)) == [KEY]
    assert await storage.discard_leftovers(datetime.now(UTC) + SOON) == 0
    assert await storage.stat(other) is None


async def test_what_is_staged_is_invisible_until_it_is_published(storage: Storage, tmp_path: Path) -> None:
    async with storage.staged() as staged:
        await staged.write(b"some ")
        await staged.write(b"content")
        assert await listed(storage, BlobKey) == {}
        await staged.finish()
        assert staged.path.read_bytes() == b"some content"
        assert await listed(storage, BlobKey) == await listed(storage, VariantKey) == {}
        [(key, stored)] = (await listed(storage, StagingKey)).items()
        assert isinstance(key, StagingKey)
        assert stored.size_bytes == 12
        assert await storage.stat(KEY) is None
        await staged.publish(KEY, AUDIO)
        assert (await listed(storage, BlobKey)).keys() == {KEY}
    assert await is_clean(storage, tmp_path)


class Interrupted(Exception):
    """What a test raises."""


@pytest.mark.parametrize("is_finished", [False, True])
@pytest.mark.parametrize("size_bytes", [10, 11 * MIB])
async def test_leaving_without_publishing_removes_every_trace(
    storage: Storage, tmp_path: Path, is_finished: bool, size_bytes: int
) -> None:
    async def leave(error: type[BaseException] | None) -> None:
        async with storage.staged() as staged:
            for _ in range(0, size_bytes, MIB):
                await staged.write(bytes(min(size_bytes, MIB)))
            if is_finished:
                await staged.finish()
            if error is not None:
                raise error

    await leave(None)
    assert await is_clean(storage, tmp_path)
    with pytest.raises(Interrupted):
        await leave(Interrupted)
    assert await is_clean(storage, tmp_path)
    with pytest.raises(asyncio.CancelledError):
        await leave(asyncio.CancelledError)
    assert await is_clean(storage, tmp_path)
    assert await listed(storage, BlobKey) == {}


async def test_one_who_is_cancelled_anywhere_leaves_no_trace(storage: Storage, tmp_path: Path) -> None:
    """Cancelled after more and more steps of the loop, until it gets through."""
    content = random.Random(2).randbytes(100_000)
    for steps in range(0, 4_000, 7):
        task = asyncio.create_task(put(storage, content))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            # What was asked of the server just then may still be on its way.
            found = await storage.stat(KEY)
            if found is not None:
                assert await get(storage, found, 0, found.size_bytes) == content
        else:
            break
        if steps > 200:
            await asyncio.sleep(0.001 * (steps % 30))
    assert not list((tmp_path / "spool").glob("*"))
    if isinstance(storage, S3Storage):
        # A request that was given up may reach the server after the one that cleaned up.
        await storage.discard_leftovers(datetime.now(UTC) + SOON)
    assert await is_clean(storage, tmp_path)


async def test_steps_out_of_order_are_refused(storage: Storage) -> None:
    async with storage.staged() as staged:
        with pytest.raises(RuntimeError):
            await staged.publish(KEY, AUDIO)
        await staged.write(b"x")
        await staged.finish()
        with pytest.raises(RuntimeError):
            await staged.finish()
        with pytest.raises(RuntimeError):
            await staged.write(b"y")
        for mime_type in ("", "audio", "audio/mpeg\r\nX-Evil: 1", "audio/ümlaut"):
            with pytest.raises(ValueError, match="media type"):
                await staged.publish(KEY, mime_type)
        await staged.publish(KEY, AUDIO)
        with pytest.raises(RuntimeError):
            await staged.publish(KEY, AUDIO)


async def test_two_who_publish_under_one_key_leave_one_whole_object(storage: Storage, tmp_path: Path) -> None:
    contents = [bytes([number]) * (10_000 + number) for number in range(8)]

    async def publish(content: bytes) -> Stored:
        async with storage.staged() as staged:
            await staged.write(content)
            await staged.finish()
            await arrived.wait()
            return await staged.publish(KEY, AUDIO)

    arrived = asyncio.Barrier(len(contents))
    published = await asyncio.gather(*map(publish, contents))
    assert [stored.size_bytes for stored in published] == [len(content) for content in contents]
    found = await storage.stat(KEY)
    assert found is not None
    assert await get(storage, found, 0, found.size_bytes) in contents
    assert found.etag in {stored.etag for stored in published}
    assert await is_clean(storage, tmp_path)


async def test_variants_that_come_and_go_at_once_are_whole_or_missing(storage: Storage) -> None:
    """The folder of a blob's variants is made and removed all the time."""
    keys = [VariantKey(KEY.cid, f"p{number}") for number in range(4)]

    async def come_and_go(key: VariantKey) -> None:
        for _ in range(15):
            await put(storage, b"content", key)
            await storage.delete(key)

    await asyncio.gather(*map(come_and_go, keys))
    assert await listed(storage, VariantKey) == {}


class Crashes:
    """Staged objects of a process that died: nobody cleans up, until the test is over."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._opened: list[AbstractAsyncContextManager[Staged]] = []

    async def stage(self, size_bytes: int, *, is_finished: bool) -> Staged:
        opened = self._storage.staged()
        self._opened.append(opened)
        staged = await opened.__aenter__()
        for _ in range(0, size_bytes, MIB):
            await staged.write(bytes(min(size_bytes, MIB)))
        if is_finished:
            await staged.finish()
        return staged

    async def close(self) -> None:
        for opened in self._opened:
            await opened.__aexit__(None, None, None)


@pytest.fixture
async def crashes(storage: Storage) -> AsyncIterator[Crashes]:
    crashes = Crashes(storage)
    yield crashes
    await crashes.close()


async def test_leftovers_of_a_crash_are_found_when_they_are_old(
    storage: Storage, tmp_path: Path, crashes: Crashes
) -> None:
    stored = await put(storage, b"to be kept")
    left = [
        await crashes.stage(10, is_finished=True),
        await crashes.stage(6 * MIB, is_finished=True),
        await crashes.stage(6 * MIB, is_finished=False),
    ]
    now = datetime.now(UTC)
    assert await storage.discard_leftovers(now - SOON) == 0
    # Three files, and in the bucket two objects and an upload.
    expected = 6 if isinstance(storage, S3Storage) else 3
    assert await storage.discard_leftovers(now + SOON, is_dry=True) == expected
    assert await storage.discard_leftovers(now + SOON) == expected
    assert not any(staged.path.exists() for staged in left)
    assert await is_clean(storage, tmp_path)
    assert await get(storage, stored, 0, 10) == b"to be kept"


async def test_an_upload_that_is_still_written_to_is_no_leftover(storage: Storage, crashes: Crashes) -> None:
    """However long ago it began: what counts is the last write."""
    staged = await crashes.stage(6 * MIB, is_finished=False)
    later = datetime.now(UTC) + SOON
    os.utime(staged.path, (later.timestamp() + 60, later.timestamp() + 60))
    assert await storage.discard_leftovers(later) == 0
    os.utime(staged.path, (later.timestamp() - 60, later.timestamp() - 60))
    assert await storage.discard_leftovers(later) > 0


async def test_staged_bytes_that_were_discarded_are_not_published(storage: Storage) -> None:
    async with storage.staged() as staged:
        await staged.write(b"x")
        await staged.finish()
        await storage.discard_leftovers(datetime.now(UTC) + SOON)
        with pytest.raises(ObjectMissing):
            await staged.publish(KEY, AUDIO)
    assert await storage.stat(KEY) is None


@pytest.mark.parametrize("size_bytes", [6 * MIB, 11 * MIB])
async def test_an_upload_that_was_discarded_is_not_finished(s3: S3Storage, tmp_path: Path, size_bytes: int) -> None:
    async with s3.staged() as staged:
        await staged.write(bytes(6 * MIB))
        assert await s3.discard_leftovers(datetime.now(UTC) + SOON) == 2

        async def go_on() -> None:
            await staged.write(bytes(size_bytes - 6 * MIB))
            await staged.finish()

        with pytest.raises(StorageUnavailable):
            await go_on()
    assert await is_clean(s3, tmp_path)


async def test_twenty_megabytes_pass_through_two_parts_of_memory(storage: Storage, tmp_path: Path) -> None:
    piece = random.Random(3).randbytes(64 * 1024)
    count = 20 * MIB // len(piece)
    digest = hashlib.sha256(piece * count).hexdigest()
    tracemalloc.start()
    try:
        async with storage.staged() as staged:
            for _ in range(count):
                await staged.write(piece)
            await staged.finish()
            stored = await staged.publish(KEY, AUDIO)
        read = hashlib.sha256()
        async with storage.read(KEY, 0, stored.size_bytes, stored.etag) as reader:
            while got := await reader.read(64 * 1024):
                read.update(got)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert stored.size_bytes == 20 * MIB
    assert read.hexdigest() == digest
    # Two parts of 5 MiB, which grow a little beyond what they need, and what the client loads the first time.
    assert peak_bytes < 14 * MIB
    assert await is_clean(storage, tmp_path)


async def test_sizes_around_a_part_are_kept(s3: S3Storage) -> None:
    for size_bytes in (5 * MIB - 1, 5 * MIB, 5 * MIB + 1, 10 * MIB):
        content = random.Random(size_bytes).randbytes(size_bytes)
        # Pieces larger than a part, too.
        stored = await put(s3, content, piece_bytes=7 * MIB)
        assert stored.size_bytes == size_bytes
        assert await get(s3, stored, 0, size_bytes) == content


async def test_many_read_at_once(storage: Storage) -> None:
    content = random.Random(4).randbytes(400_000)
    stored = await put(storage, content)
    starts = range(0, 300_000, 3_000)
    got = await asyncio.gather(*(get(storage, stored, start, start + 100_000, 9_000) for start in starts))
    assert got == [content[start : start + 100_000] for start in starts]


async def test_a_folder_has_no_urls(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path / "media")
    assert storage.public_url(KEY) is None
    assert await storage.presigned_url(KEY, 60, mime_type=AUDIO, file_name=None) is None


async def test_a_public_url_is_the_base_and_the_key(s3_settings: S3Settings, s3: S3Storage, tmp_path: Path) -> None:
    assert s3.public_url(KEY) is None
    for base in ("https://cdn.example", "https://cdn.example/"):
        storage = S3Storage(replace(s3_settings, public_base_url=base), tmp_path)
        assert storage.public_url(KEY) == f"https://cdn.example/blobs/{KEY.cid}"


@pytest.mark.parametrize("file_name", [None, 'Ein Lied "für" dich; x=1 \r\nX-Evil: 1 \U0001f3b5 \ud800.mp3'])
async def test_a_presigned_url_gives_the_bytes_and_says_what_they_are(s3: S3Storage, file_name: str | None) -> None:
    await put(s3, b"some content")
    url = await s3.presigned_url(KEY, 60, mime_type="audio/flac", file_name=file_name)
    assert url is not None
    assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == ["60"]
    async with aiohttp.ClientSession() as session:
        async with session.get(aiohttp.client.URL(url, encoded=True), headers={"Range": "bytes=5-8"}) as response:
            assert response.status == 206
            assert await response.read() == b"cont"
            assert response.headers["Content-Type"] == "audio/flac"
            told = response.headers.get("Content-Disposition")
            if file_name is None:
                assert told is None
            else:
                assert told is not None
                assert told.startswith(
                    "inline; filename*=UTF-8''Ein%20Lied%20%22f%C3%BCr%22%20dich%3B%20x%3D1%20%0D%0AX"
                )
        async with session.get(aiohttp.client.URL(url.replace(KEY.cid, blob_key(b"").cid), encoded=True)) as response:
            assert response.status == 403
    for seconds in (0, 8 * 86_400):
        with pytest.raises(ValueError, match="seconds"):
            await s3.presigned_url(KEY, seconds, mime_type=AUDIO, file_name=None)


async def test_what_is_published_tells_browsers_and_caches_what_it_is(s3: S3Storage, s3_settings: S3Settings) -> None:
    await put(s3, b"some content")
    told = await s3._bucket.client.head_object(Bucket=s3_settings.bucket, Key=KEY.path)
    assert told["ContentType"] == AUDIO
    assert told["CacheControl"] == "public, max-age=31536000, immutable"
