"""Media in a bucket of R2, or of anything else that speaks S3.

One client for its lifetime, with path addressing and Signature Version 4, without checksums that R2 does not know and
without a proxy from the environment. Uploads are in `s3_staging`, requests and their failures in `s3_requests`.
R2 has no ACLs: what is public is decided by the domain in front of the bucket. What R2 knows:
https://developers.cloudflare.com/r2/api/s3/api/
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote
from uuid import UUID, uuid4

import aioboto3
from aiobotocore.config import AioConfig
from botocore.handlers import add_expect_header

from appview.media.keys import BlobKey, Key, StagingKey, VariantKey, parse_key
from appview.media.local_file import disk_error
from appview.media.s3_requests import FAILURES, Bucket, stored_of, unavailable
from appview.media.s3_staging import S3Staged
from appview.media.storage import (
    NothingToRead,
    ObjectMissing,
    Reader,
    Staged,
    StorageUnavailable,
    Stored,
    check_limit,
    check_range,
)

_PREFIXES = {BlobKey: "blobs/", VariantKey: "variants/", StagingKey: "staging/"}
_MEBIBYTE = 1024 * 1024
_MAX_PRESIGNED_SECONDS = 7 * 24 * 60 * 60


@dataclass(frozen=True, slots=True)
class S3Settings:
    """Which bucket, how to be let in, and how long to wait. `part_bytes` is what an upload sends at once (at least 5 MiB).

    `request_timeout_seconds` bounds a request with its retries and its wait for one of `max_connections`.
    """

    endpoint_url: str | None
    bucket: str
    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    region: str = "auto"
    public_base_url: str | None = None
    part_bytes: int = 8 * _MEBIBYTE
    list_page_keys: int = 1000
    max_connections: int = 600
    max_attempts: int = 3
    connect_timeout_seconds: float = 5.0
    read_timeout_seconds: float = 30.0
    request_timeout_seconds: float = 120.0


class S3Storage:
    """Objects in a bucket, to be used as an asynchronous context manager."""

    def __init__(self, settings: S3Settings, spool_dir: Path) -> None:
        """Name the bucket, and a folder for local files of what is being uploaded; it is made on first use."""
        self._settings = settings
        self._spool_dir = spool_dir
        self._stack = contextlib.AsyncExitStack()
        self._opened: Bucket | None = None

    async def __aenter__(self) -> Self:
        """Open the client; nobody is asked."""
        settings = self._settings
        session = aioboto3.Session(
            aws_access_key_id=settings.access_key_id,
            aws_secret_access_key=settings.secret_access_key,
            region_name=settings.region,
        )
        client = await self._stack.enter_async_context(
            session.client("s3", endpoint_url=settings.endpoint_url, config=_configuration(settings))
        )
        # The client would wait for the permission to send a body, and no timeout of its own ends that wait.
        client.meta.events.unregister("before-call.s3", add_expect_header)
        self._opened = Bucket(client, settings.bucket, settings.request_timeout_seconds)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the client and its connections."""
        if self._opened is not None:
            self._opened.close()
        await self._stack.aclose()

    @contextlib.asynccontextmanager
    async def staged(self) -> AsyncIterator[Staged]:
        """Open an object to write to; see `Storage.staged`."""
        staged = S3Staged(self._bucket, StagingKey(uuid4()), self._spool_dir, self._settings.part_bytes)
        try:
            await staged.open()
            yield staged
        finally:
            await asyncio.shield(staged.discard())

    async def stat(self, key: Key) -> Stored | None:
        """Return the version that is there now; see `Storage.stat`."""
        try:
            answer = await self._bucket.ask("head_object", key.path, Key=key.path)
        except ObjectMissing:
            return None
        return stored_of(
            f"head_object {key.path}", answer.get("ContentLength"), answer.get("ETag"), answer.get("LastModified")
        )

    @contextlib.asynccontextmanager
    async def read(self, key: Key, start: int, end: int, etag: str) -> AsyncIterator[Reader]:
        """Open a range of a version; see `Storage.read`."""
        check_range(start, end)
        if start == end:
            yield NothingToRead()
            return
        where = f"get_object {key.path}"
        answer = await self._bucket.ask(
            "get_object", key.path, Key=key.path, Range=f"bytes={start}-{end - 1}", IfMatch=f'"{etag}"'
        )
        body = answer["Body"]
        try:
            # One who knows no ranges answers with the whole, which is right when that is what was asked for.
            begins = str(answer.get("ContentRange", "bytes 0-")).startswith(f"bytes {start}-")
            if not begins or answer.get("ContentLength") != end - start:
                raise StorageUnavailable(f"{where}: the answer is not the range asked for")
            yield _BodyReader(body, where, end - start)
        finally:
            # A body that was read to its end has given its connection back; another one's is of no more use.
            body.close()

    async def delete(self, key: Key) -> None:
        """Remove an object, if it is there; see `Storage.delete`."""
        with contextlib.suppress(ObjectMissing):
            await self._bucket.ask("delete_object", key.path, Key=key.path)

    async def keys(
        self, kind: type[BlobKey] | type[VariantKey] | type[StagingKey]
    ) -> AsyncIterator[tuple[Key, Stored]]:
        """Yield every object of a kind; see `Storage.keys`."""
        prefix = _PREFIXES[kind]
        where: dict[str, Any] = {"Prefix": prefix, "MaxKeys": self._settings.list_page_keys}
        while True:
            page = await self._bucket.ask("list_objects_v2", prefix, **where)
            for each in page.get("Contents", ()):
                key = parse_key(each["Key"])
                if key is not None:
                    told = each.get("Size"), each.get("ETag"), each.get("LastModified")
                    yield key, stored_of(f"list_objects_v2 {prefix}", *told)
            if not page.get("IsTruncated"):
                return
            where["ContinuationToken"] = page["NextContinuationToken"]

    async def discard_leftovers(self, older_than: datetime, *, is_dry: bool = False) -> int:
        """Remove staged objects, unfinished uploads and local files; see `Storage.discard_leftovers`."""
        spooled = await asyncio.to_thread(_spooled, self._spool_dir)
        # Objects and uploads tell when they began; one that we are still writing to has a younger local file.
        written = {StagingKey(UUID(path.name)).path for path, at in spooled.items() if at >= older_than}
        objects = [
            key.path
            async for key, stored in self.keys(StagingKey)
            if stored.modified_at < older_than and key.path not in written
        ]
        uploads = [
            (path, upload_id)
            async for path, upload_id, began_at in self._uploads()
            if began_at < older_than and path not in written
        ]
        files = [path for path, at in spooled.items() if at < older_than]
        if not is_dry:
            for path in objects:
                await self._bucket.ask("delete_object", path, Key=path)
            for path, upload_id in uploads:
                with contextlib.suppress(ObjectMissing):
                    await self._bucket.ask("abort_multipart_upload", path, Key=path, UploadId=upload_id)
            await asyncio.to_thread(_remove, files)
        return len(objects) + len(uploads) + len(files)

    def public_url(self, key: BlobKey | VariantKey) -> str | None:
        """Return the URL of the object at the CDN; see `Storage.public_url`."""
        base = self._settings.public_base_url
        return None if base is None else f"{base.rstrip('/')}/{key.path}"

    async def presigned_url(
        self, key: BlobKey | VariantKey, seconds: int, *, mime_type: str, file_name: str | None
    ) -> str | None:
        """Return a signed URL of the object; see `Storage.presigned_url`. Raises ValueError for over seven days."""
        if not 1 <= seconds <= _MAX_PRESIGNED_SECONDS:
            raise ValueError(f"a signature cannot last {seconds} seconds")
        arguments = {"Bucket": self._bucket.name, "Key": key.path, "ResponseContentType": mime_type}
        if file_name is not None:
            name = quote(file_name, safe="", errors="replace")
            arguments["ResponseContentDisposition"] = f"inline; filename*=UTF-8''{name}"
        try:
            url: str = await self._bucket.client.generate_presigned_url(
                "get_object", Params=arguments, ExpiresIn=seconds
            )
        except FAILURES as error:
            raise unavailable(f"presign {key.path}", error) from None
        return url

    @property
    def _bucket(self) -> Bucket:
        if self._opened is None:
            raise RuntimeError("the storage is not open")
        return self._opened

    async def _uploads(self) -> AsyncIterator[tuple[str, str, datetime]]:
        """Yield key, number and beginning of every upload to staging that is not complete."""
        prefix = _PREFIXES[StagingKey]
        where: dict[str, Any] = {"Prefix": prefix}
        while True:
            page = await self._bucket.ask("list_multipart_uploads", prefix, **where)
            for each in page.get("Uploads", ()):
                if isinstance(parse_key(each["Key"]), StagingKey):
                    yield each["Key"], each["UploadId"], each["Initiated"]
            if not page.get("IsTruncated"):
                return
            where |= {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}


class _BodyReader:
    """The body of an answer that should have `left` bytes."""

    def __init__(self, body: Any, where: str, left: int) -> None:
        self._body = body
        self._where = where
        self._left = left

    async def read(self, limit_bytes: int) -> bytes:
        """Return the next bytes; see `Reader.read`."""
        check_limit(limit_bytes)
        if self._left == 0:
            return b""
        try:
            piece: bytes = await self._body.read(min(limit_bytes, self._left))
        except FAILURES as error:
            raise unavailable(self._where, error) from None
        if not piece:
            raise StorageUnavailable(f"{self._where}: the body ended {self._left} bytes early")
        self._left -= len(piece)
        return piece


def _configuration(settings: S3Settings) -> Any:
    return AioConfig(
        signature_version="s3v4",
        s3={"addressing_style": "path", "payload_signing_enabled": False},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        connect_timeout=settings.connect_timeout_seconds,
        read_timeout=settings.read_timeout_seconds,
        retries={"mode": "standard", "total_max_attempts": settings.max_attempts},
        max_pool_connections=settings.max_connections,
        proxies={},
    )


def _spooled(folder: Path) -> dict[Path, datetime]:
    """Return the local files of uploads, and when each was last written to. Raises StorageUnavailable."""
    found = {}
    try:
        for path in folder.iterdir():
            if isinstance(parse_key(f"staging/{path.name}"), StagingKey):
                with contextlib.suppress(FileNotFoundError):
                    found[path] = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise disk_error("list", "staging", error) from error
    return found


def _remove(paths: list[Path]) -> None:
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise disk_error("delete", f"staging/{path.name}", error) from error
