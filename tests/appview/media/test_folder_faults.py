"""A folder of media when the disk is full, files change under a reader, and processes die."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from appview.media.folder import FolderStorage
from appview.media.keys import BlobKey, Key, StagingKey, VariantKey
from appview.media.storage import ObjectMissing, StorageFull, StorageUnavailable, Stored
from atprotocol.cid import RAW, cid_of

ROOT = Path(__file__).resolve().parents[3]
MIB = 1024 * 1024
KEY = BlobKey(str(cid_of(b"a key for whatever a test puts there", RAW)))
OTHER = BlobKey(str(cid_of(b"another", RAW)))
SOON = timedelta(hours=1)


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    return FolderStorage(tmp_path / "media")


async def put(storage: FolderStorage, content: bytes, key: BlobKey | VariantKey = KEY) -> Stored:
    async with storage.staged() as staged:
        await staged.write(content)
        await staged.finish()
        return await staged.publish(key, "audio/mpeg")


async def get(storage: FolderStorage, stored: Stored, key: Key = KEY) -> bytes:
    content = b""
    async with storage.read(key, 0, stored.size_bytes, stored.etag) as reader:
        while piece := await reader.read(64 * 1024):
            content += piece
    return content


def file_of(root: Path, key: BlobKey = KEY) -> Path:
    return root / "blobs" / key.cid[-2:] / key.cid


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


async def until_closed(before: int) -> int:
    """Return how many files are open once no thread holds one any more."""
    for _ in range(1_000):
        if open_files() <= before:
            break
        await asyncio.sleep(0.01)
    return open_files()


async def fill(root: Path) -> None:
    """Write more than the megabyte that there is room for, and see that only this fails."""
    storage = FolderStorage(root)
    kept = await put(storage, b"kept" * 1_000)

    async def write_too_much(piece_bytes: int) -> None:
        async with storage.staged() as staged:
            for _ in range(3 * MIB // piece_bytes + 1):
                await staged.write(bytes(piece_bytes))
            await staged.finish()
            await staged.publish(OTHER, "audio/mpeg")

    for piece_bytes in (64 * 1024, 2 * MIB):
        with pytest.raises(StorageFull, match="staging/") as caught:
            await write_too_much(piece_bytes)
        assert str(root) not in str(caught.value)
        assert await storage.stat(OTHER) is None
        assert not list((root / "staging").iterdir())
    # There is room again, for what was there and for what is small.
    assert await get(storage, kept) == b"kept" * 1_000
    await put(storage, bytes(100_000), OTHER)


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """Give a file system of one megabyte."""
    with tempfile.TemporaryDirectory() as name:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", name], capture_output=True, check=False
        )
        if mounted.returncode != 0:
            pytest.skip(
                "no file system can be mounted here; the test with a limit on the size of files stands for this one"
            )
        try:
            yield Path(name)
        finally:
            subprocess.run(["umount", name], check=True)


async def test_a_full_disk_is_told_and_leaves_no_trace(small_disk: Path) -> None:
    await fill(small_disk / "media")


def test_a_limit_on_the_size_of_files_is_told_like_a_full_disk(tmp_path: Path) -> None:
    script = (
        "import asyncio, resource, sys; from pathlib import Path\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({MIB}, {MIB}))\n"
        "from test_folder_faults import fill\n"
        "asyncio.run(fill(Path(sys.argv[1])))\n"
    )
    run_python(script, str(tmp_path / "media"), timeout=60).check_returncode()


def run_python(script: str, *arguments: str, timeout: float | None = None) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join((str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)))
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
        timeout=timeout,
        check=False,
        text=True,
    )


async def test_what_a_killed_process_left_is_seen_by_nobody_and_found(tmp_path: Path) -> None:
    script = (
        "import asyncio, os, signal, sys; from pathlib import Path\n"
        "from appview.media.folder import FolderStorage\n"
        "async def main():\n"
        "    async with FolderStorage(Path(sys.argv[1])).staged() as staged:\n"
        "        await staged.write(bytes(500_000))\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    died = await asyncio.to_thread(run_python, script, str(tmp_path / "media"), timeout=60)
    assert died.returncode == -signal.SIGKILL
    storage = FolderStorage(tmp_path / "media")
    assert [key async for key, _ in storage.keys(BlobKey)] == []
    [(key, stored)] = [each async for each in storage.keys(StagingKey)]
    assert stored.size_bytes == 500_000
    assert await storage.discard_leftovers(datetime.now(UTC) - SOON) == 0
    assert await storage.discard_leftovers(datetime.now(UTC) + SOON) == 1
    assert await storage.stat(key) is None


@pytest.mark.parametrize("is_deleted", [True, False])
async def test_a_version_that_is_being_read_is_read_to_its_end(storage: FolderStorage, is_deleted: bool) -> None:
    content = random.Random(1).randbytes(300_000)
    stored = await put(storage, content)
    before = open_files()
    async with storage.read(KEY, 0, len(content), stored.etag) as reader:
        got = await reader.read(1_000)
        if is_deleted:
            await storage.delete(KEY)
        else:
            await put(storage, b"another version")
        while piece := await reader.read(64 * 1024):
            got += piece
    assert got == content
    assert open_files() == before


@pytest.mark.parametrize("left_bytes", [0, 100, 149_999, 299_999])
async def test_a_file_that_is_cut_under_a_reader_is_never_short_in_silence(
    storage: FolderStorage, tmp_path: Path, left_bytes: int
) -> None:
    content = random.Random(2).randbytes(300_000)
    stored = await put(storage, content)
    got = bytearray()

    async def read() -> None:
        async with storage.read(KEY, 0, len(content), stored.etag) as reader:
            got.extend(await reader.read(100))
            os.truncate(file_of(tmp_path / "media"), left_bytes)
            while piece := await reader.read(40_000):
                got.extend(piece)

    with pytest.raises(StorageUnavailable, match=KEY.cid):
        await read()
    assert len(got) < len(content)
    assert content.startswith(got)


async def test_what_is_not_in_memory_is_read_from_the_disk(storage: FolderStorage, tmp_path: Path) -> None:
    content = random.Random(3).randbytes(3 * MIB)
    stored = await put(storage, content)
    descriptor = os.open(file_of(tmp_path / "media"), os.O_RDONLY)
    try:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
    assert await get(storage, stored) == content


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="there is no file system in memory here")
async def test_a_file_system_in_memory_will_do() -> None:
    """It may refuse to be asked for what it has at once."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        storage = FolderStorage(Path(name))
        content = random.Random(4).randbytes(MIB)
        assert await get(storage, await put(storage, content)) == content


async def test_a_file_that_was_changed_in_its_place_is_another_version(storage: FolderStorage, tmp_path: Path) -> None:
    stored = await put(storage, b"content")
    file_of(tmp_path / "media").write_bytes(b"CONTENT")
    found = await storage.stat(KEY)
    assert found is not None
    assert found.etag != stored.etag


async def test_versions_of_one_size_and_one_moment_differ(storage: FolderStorage) -> None:
    """Inodes are used again, and clocks of file systems are coarse."""
    etags = set()
    for _ in range(200):
        etags.add((await put(storage, b"content")).etag)
        await storage.delete(KEY)
    assert len(etags) == 200


async def test_files_are_closed_when_readers_are_cancelled_anywhere(storage: FolderStorage) -> None:
    content = random.Random(5).randbytes(200_000)
    stored = await put(storage, content)
    await get(storage, stored)
    before = open_files()
    for steps in range(60):
        tasks = [asyncio.create_task(get(storage, stored)) for _ in range(20)]
        for _ in range(steps):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(result == content or isinstance(result, asyncio.CancelledError) for result in results)
    assert await until_closed(before) == before


async def test_files_are_closed_when_writers_and_readers_fail(storage: FolderStorage) -> None:
    stored = await put(storage, b"content")
    before = open_files()
    for _ in range(20):
        with pytest.raises(StorageUnavailable):
            async with storage.read(KEY, 0, 100, stored.etag):
                pass
        with pytest.raises(ObjectMissing):
            async with storage.read(OTHER, 0, 100, stored.etag):
                pass
        async with storage.staged() as staged:
            await staged.write(b"x")
    assert await until_closed(before) == before


async def test_files_and_folders_are_for_this_user_alone(storage: FolderStorage, tmp_path: Path) -> None:
    await put(storage, b"content")
    await put(storage, b"content", VariantKey(KEY.cid, "mp3-128"))
    async with storage.staged():
        found = list((tmp_path / "media").rglob("*"))
        assert len(found) == 9
        for path in (tmp_path / "media", *found):
            assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


async def test_a_root_that_cannot_be_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "media").write_bytes(b"")
    storage = FolderStorage(tmp_path / "media")
    assert await storage.stat(KEY) is None
    with pytest.raises(StorageUnavailable) as caught:
        async with storage.staged():
            pass
    assert str(tmp_path) not in str(caught.value)


async def test_nothing_is_published_where_a_folder_is_in_the_way(storage: FolderStorage, tmp_path: Path) -> None:
    file_of(tmp_path / "media").mkdir(parents=True)
    with pytest.raises(StorageUnavailable):
        await put(storage, b"content")
    assert await storage.stat(KEY) is None
    assert not list((tmp_path / "media" / "staging").iterdir())


async def test_an_interrupted_write_is_never_taken_for_the_whole(storage: FolderStorage) -> None:
    async with storage.staged() as staged:
        await staged.write(b"x")
        writing = asyncio.create_task(staged.write(bytes(20 * MIB)))
        await asyncio.sleep(0)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        with pytest.raises(RuntimeError):
            await staged.finish()
