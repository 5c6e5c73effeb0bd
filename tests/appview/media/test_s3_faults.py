"""A bucket whose server, network or settings fail: told as such, never short, and nothing of it left behind."""

import asyncio
import gc
import random
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from faulty_s3 import Cut, Fault, FaultyS3, Reset, Says, Silent, faulty_s3
from s3_server import S3Server

from appview.media.keys import BlobKey, StagingKey
from appview.media.s3 import S3Settings, S3Storage
from appview.media.storage import ObjectMissing, Storage, StorageFull, StorageUnavailable, Stored
from atprotocol.cid import RAW, cid_of

pytestmark = pytest.mark.xdist_group("s3")

MIB = 1024 * 1024
KEY = BlobKey(str(cid_of(b"a key for whatever a test puts there", RAW)))
SOON = timedelta(hours=1)
INTERNAL_ERROR = (
    b"<?xml version='1.0'?><Error><Code>InternalError</Code><Message>http://secret.example/</Message></Error>"
)


@pytest.fixture
async def proxy(s3_server: S3Server) -> AsyncIterator[FaultyS3]:
    async with faulty_s3(s3_server.port) as proxy:
        yield proxy


@pytest.fixture
def settings(s3_server: S3Server, s3_bucket: str, proxy: FaultyS3) -> S3Settings:
    return S3Settings(
        proxy.endpoint_url,
        s3_bucket,
        s3_server.access_key_id,
        s3_server.secret_access_key,
        part_bytes=5 * MIB,
        max_attempts=2,
        connect_timeout_seconds=1.0,
        read_timeout_seconds=0.3,
    )


@pytest.fixture
async def storage(settings: S3Settings, tmp_path: Path) -> AsyncIterator[S3Storage]:
    async with S3Storage(settings, tmp_path / "spool") as storage:
        yield storage


async def put(storage: Storage, content: bytes) -> Stored:
    async with storage.staged() as staged:
        for start in range(0, len(content), MIB):
            await staged.write(content[start : start + MIB])
        await staged.finish()
        return await staged.publish(KEY, "audio/mpeg")


async def get(storage: Storage, start: int, end: int, etag: str, got: bytearray) -> None:
    async with storage.read(KEY, start, end, etag) as reader:
        while piece := await reader.read(64 * 1024):
            got += piece


async def every_operation_fails(storage: Storage, settings: S3Settings, error: type[Exception]) -> list[str]:
    """Try everything that asks the server; return what was said."""

    async def keys() -> None:
        async for _ in storage.keys(BlobKey):
            pass

    operations: dict[str, Callable[[], Awaitable[object]]] = {
        "stat": lambda: storage.stat(KEY),
        "read": lambda: get(storage, 0, 10, "an-etag", bytearray()),
        "put": lambda: put(storage, b"content"),
        "put in parts": lambda: put(storage, bytes(11 * MIB)),
        "delete": lambda: storage.delete(KEY),
        "keys": keys,
        "leftovers": lambda: storage.discard_leftovers(datetime.now(UTC)),
    }
    said = []
    for operation, operate in operations.items():
        with pytest.raises(error) as caught:
            await operate()
        told = [str(caught.value), repr(caught.value), "".join(traceback.format_exception(caught.value))]
        for text in told:
            assert settings.secret_access_key not in text, operation
            assert settings.access_key_id not in text, operation
            assert "http://" not in text, operation
            assert "Signature" not in text.replace("SignatureDoesNotMatch", ""), operation
        said.append(told[0])
    return said


@pytest.mark.parametrize(
    "fault",
    [
        Silent(),
        Reset(),
        Says(500, INTERNAL_ERROR),
        Says(503, b"<?xml version='1.0'?><Error><Code>SlowDown</Code></Error>"),
        Says(500),
        Says(502, b"<html>no gateway</html>"),
        Says(400, b"no XML <"),
        Says(403, INTERNAL_ERROR.replace(b"InternalError", b"AccessDenied")),
        Says(429, b""),
    ],
    ids=repr,
)
async def test_a_server_that_fails_is_unavailable_to_every_operation(
    proxy: FaultyS3, storage: S3Storage, settings: S3Settings, tmp_path: Path, fault: Fault
) -> None:
    proxy.fault = fault
    await every_operation_fails(storage, settings, StorageUnavailable)
    proxy.fault = None
    # And everything goes on when it is back; what could not be cleaned up is found.
    assert not list((tmp_path / "spool").iterdir())
    stored = await put(storage, b"content")
    await storage.discard_leftovers(datetime.now(UTC) + SOON)
    assert [key async for key, _ in storage.keys(StagingKey)] == []
    found = await storage.stat(KEY)
    assert found is not None
    assert found.etag == stored.etag


async def test_a_server_that_is_down_is_unavailable_until_it_is_back(
    proxy: FaultyS3, storage: S3Storage, settings: S3Settings
) -> None:
    await put(storage, b"content")
    await proxy.refuse()
    await every_operation_fails(storage, settings, StorageUnavailable)
    await proxy.listen()
    assert await storage.stat(KEY) is not None


async def test_a_body_is_sent_without_waiting_for_a_permission(proxy: FaultyS3, storage: S3Storage) -> None:
    """Where there is none, only the limit of a whole request would end the wait."""
    proxy.fault = Silent()
    with pytest.raises(StorageUnavailable, match="ReadTimeoutError"):
        await put(storage, b"content")


async def test_a_fault_that_passes_is_tried_again(proxy: FaultyS3, storage: S3Storage) -> None:
    stored = await put(storage, b"content")
    for fault in (Says(503), Reset()):
        proxy.fault = fault
        before = len(proxy.requests)
        asking = asyncio.create_task(storage.stat(KEY))
        while len(proxy.requests) == before:
            await asyncio.sleep(0)
        proxy.fault = None
        found = await asking
        assert found is not None
        assert found.etag == stored.etag


@pytest.mark.parametrize("is_silent", [False, True])
@pytest.mark.parametrize("after_bytes", [0, 1, 65_536, 200_000, 299_999])
async def test_a_body_that_is_cut_is_never_short_in_silence(
    proxy: FaultyS3, storage: S3Storage, after_bytes: int, is_silent: bool
) -> None:
    content = random.Random(1).randbytes(400_000)
    stored = await put(storage, content)
    proxy.fault = Cut(after_bytes, is_silent)
    got = bytearray()
    with pytest.raises(StorageUnavailable, match=KEY.cid):
        await get(storage, 50_000, 350_000, stored.etag, got)
    assert len(got) <= after_bytes
    assert content[50_000:].startswith(got)
    proxy.fault = None
    got = bytearray()
    await get(storage, 50_000, 350_000, stored.etag, got)
    assert got == content[50_000:350_000]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"0123456789", ""),
        (b"0123", "Content-Range: bytes 2-5/10\r\n"),
        (b"012", "Content-Range: bytes 0-2/10\r\n"),
        (b"01234", "Content-Range: bytes 0-4/10\r\n"),
    ],
)
async def test_an_answer_with_another_range_is_refused(
    proxy: FaultyS3, storage: S3Storage, body: bytes, headers: str
) -> None:
    proxy.fault = Says(206 if headers else 200, body, headers)
    with pytest.raises(StorageUnavailable, match="range"):
        await get(storage, 0, 4, "an-etag", bytearray())


async def test_parts_that_fail_fail_the_upload_and_leave_no_trace(
    proxy: FaultyS3, storage: S3Storage, tmp_path: Path
) -> None:
    for only in ("partNumber=1", "partNumber=3", "?uploads", "uploadId=", "PUT /"):
        proxy.only, proxy.fault = only, Says(500, INTERNAL_ERROR)
        with pytest.raises(StorageUnavailable):
            await put(storage, bytes(16 * MIB))
        proxy.fault = None
        # An abort that failed too is a leftover of the bucket.
        assert await storage.discard_leftovers(datetime.now(UTC) + SOON) == (1 if only == "uploadId=" else 0)
        assert not list((tmp_path / "spool").iterdir())
        assert await storage.stat(KEY) is None


async def test_what_was_not_published_after_all_is_published_by_a_second_try(
    proxy: FaultyS3, storage: S3Storage
) -> None:
    async with storage.staged() as staged:
        await staged.write(b"content")
        await staged.finish()
        proxy.fault = Reset()
        with pytest.raises(StorageUnavailable):
            await staged.publish(KEY, "audio/mpeg")
        proxy.fault = None
        await staged.publish(KEY, "audio/mpeg")
    assert await storage.discard_leftovers(datetime.now(UTC) + SOON) == 0


async def test_an_upload_that_failed_is_never_taken_for_the_whole(proxy: FaultyS3, storage: S3Storage) -> None:
    async with storage.staged() as staged:
        proxy.fault = Reset()
        with pytest.raises(StorageUnavailable):
            await staged.write(bytes(11 * MIB))
        proxy.fault = None
        with pytest.raises(RuntimeError):
            await staged.finish()


async def test_a_full_bucket_is_told(proxy: FaultyS3, storage: S3Storage) -> None:
    for fault in (Says(507), Says(403, INTERNAL_ERROR.replace(b"InternalError", b"QuotaExceeded"))):
        proxy.fault = fault
        with pytest.raises(StorageFull, match="full"):
            await put(storage, b"content")


async def test_keys_that_are_refused_are_told_without_being_told(
    storage: S3Storage, settings: S3Settings, tmp_path: Path
) -> None:
    await put(storage, b"content")
    wrong = "anothersecret0123456789"
    for changed in (replace(settings, secret_access_key=wrong), replace(settings, access_key_id="nobody123")):
        assert wrong not in repr(changed)
        assert "nobody123" not in repr(changed)
        async with S3Storage(changed, tmp_path / "spool") as refused:
            said = await every_operation_fails(refused, changed, StorageUnavailable)
            assert all(f"bucket {settings.bucket} refuses these keys" in text for text in said)
            assert wrong not in repr(refused)


async def test_a_bucket_that_does_not_exist_is_told(settings: S3Settings, tmp_path: Path) -> None:
    changed = replace(settings, bucket="no-such-bucket")
    async with S3Storage(changed, tmp_path / "spool") as storage:
        said = await every_operation_fails(storage, changed, StorageUnavailable)
    assert all("bucket no-such-bucket does not exist" in text for text in said)


async def test_a_name_that_leads_nowhere_is_unavailable(settings: S3Settings, tmp_path: Path) -> None:
    changed = replace(settings, endpoint_url="http://nowhere.invalid:9")
    async with S3Storage(changed, tmp_path / "spool") as storage:
        with pytest.raises(StorageUnavailable):
            await storage.stat(KEY)


async def test_whoever_waits_for_a_connection_does_not_wait_for_ever(
    settings: S3Settings, tmp_path: Path, storage: S3Storage
) -> None:
    stored = await put(storage, bytes(3 * MIB))
    changed = replace(settings, max_connections=1, request_timeout_seconds=0.5, read_timeout_seconds=30.0)
    async with S3Storage(changed, tmp_path / "spool") as narrow:
        async with narrow.read(KEY, 0, 3 * MIB, stored.etag) as reader:
            await reader.read(1)
            with pytest.raises(StorageUnavailable, match="TimeoutError"):
                await narrow.stat(KEY)
        assert await narrow.stat(KEY) is not None


async def test_a_reader_that_leaves_early_closes_its_connection(proxy: FaultyS3, storage: S3Storage) -> None:
    stored = await put(storage, bytes(8 * MIB))
    await settled(proxy)
    for error in (None, ValueError, asyncio.CancelledError):
        try:
            async with storage.read(KEY, 0, 8 * MIB, stored.etag) as reader:
                await reader.read(1)
                assert proxy.open_connections == 1
                if error is not None:
                    raise error
        except (ValueError, asyncio.CancelledError):
            pass
        await settled(proxy)
        assert proxy.open_connections == 0


async def settled(proxy: FaultyS3) -> None:
    for _ in range(500):
        if proxy.open_connections == 0:
            return
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "fault", [None, Silent(), Reset(), Says(500), Cut(1_000), Cut(1_000, is_silent=True)], ids=repr
)
async def test_nothing_outlives_a_storage(
    s3_server: S3Server, s3_bucket: str, tmp_path: Path, settings: S3Settings, fault: Fault | None
) -> None:
    """Tasks and descriptors, after failures and after operations cancelled at any moment."""

    async def life() -> None:
        async with AsyncExitStack() as stack:
            own = await stack.enter_async_context(faulty_s3(s3_server.port))
            changed = replace(settings, endpoint_url=own.endpoint_url)
            async with S3Storage(changed, tmp_path / "spool") as storage:
                stored = await put(storage, bytes(300_000))
                own.fault = fault
                tasks = [
                    asyncio.create_task(operation)
                    for _ in range(3)
                    for operation in (
                        get(storage, 0, 300_000, stored.etag, bytearray()),
                        put(storage, bytes(12 * MIB)),
                        storage.stat(KEY),
                    )
                ]
                for number, task in enumerate(tasks[:6]):
                    await asyncio.sleep(0.005 * number)
                    task.cancel()
                results = await asyncio.gather(*tasks, return_exceptions=True)
                for result in results:
                    assert not isinstance(result, BaseException) or isinstance(
                        result, StorageUnavailable | ObjectMissing | asyncio.CancelledError
                    ), result
                own.fault = None

    await life()
    gc.collect()
    tasks_before, files_before = len(asyncio.all_tasks()), open_files()
    await life()
    for _ in range(1_000):
        gc.collect()
        if len(asyncio.all_tasks()) <= tasks_before and open_files() <= files_before:
            break
        await asyncio.sleep(0.01)
    assert len(asyncio.all_tasks()) <= tasks_before
    assert open_files() <= files_before
    assert not list((tmp_path / "spool").iterdir())


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


async def test_a_closed_storage_opens_no_connections_again(
    proxy: FaultyS3, settings: S3Settings, tmp_path: Path
) -> None:
    async with S3Storage(settings, tmp_path / "spool") as storage:
        opened: AbstractAsyncContextManager[object] = storage.staged()
        await opened.__aenter__()
    before = len(proxy.requests)
    with pytest.raises(StorageUnavailable, match="closed"):
        await storage.stat(KEY)
    await opened.__aexit__(None, None, None)
    assert len(proxy.requests) == before
