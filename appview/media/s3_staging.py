"""Bytes on their way into a bucket: to `staging/<uuid>` in parts while they arrive, and to a local file beside.

At most two parts are in memory, one being filled and one being sent; whoever writes waits for the network. What fits in one
part is sent by one request. All parts but the last have one size, as R2 demands. Integrity is checked by
Content-MD5, computed in a thread, and bodies are not signed besides. See
https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
"""

import asyncio
import base64
import contextlib
import hashlib
import io
from pathlib import Path
from typing import Any

from appview.media.keys import BlobKey, StagingKey, VariantKey
from appview.media.local_file import ArrivingFile
from appview.media.s3_requests import Bucket, stored_of
from appview.media.storage import ObjectMissing, Steps, StorageError, StorageUnavailable, Stored, check_mime_type

_CACHE_CONTROL = "public, max-age=31536000, immutable"  # a key names its content
_MAX_COPIED_BYTES = 5 * 1024**3


class S3Staged:
    """One upload; see `Staged`."""

    def __init__(self, bucket: Bucket, key: StagingKey, spool_dir: Path, part_bytes: int) -> None:
        """Name the object to write to; nothing is there before `open`."""
        self.path = spool_dir / str(key.name)
        self._bucket = bucket
        self._name = key.path
        self._part_bytes = part_bytes
        self._spool = ArrivingFile(self.path, key.path)
        self._filling = io.BytesIO()
        self._sending: asyncio.Task[None] | None = None
        self._upload_id: str | None = None
        self._parts: list[dict[str, Any]] = []
        self._is_in_bucket = False
        self._steps = Steps()

    async def open(self) -> None:
        """Make the local file. Raises StorageUnavailable."""
        await self._spool.open()

    async def write(self, piece: bytes) -> None:
        """Append bytes; see `Staged.write`."""
        with self._steps.writing():
            await self._spool.write(piece)
            left = memoryview(piece)
            while left:
                fitting = left[: self._part_bytes - self._filling.tell()]
                self._filling.write(fitting)
                left = left[len(fitting) :]
                if self._filling.tell() == self._part_bytes:
                    await self._send_part()

    async def finish(self) -> None:
        """Complete the upload; see `Staged.finish`."""
        with self._steps.finishing():
            await self._spool.flush()
            # Once it is asked for there may be an object, whatever the answer is.
            if self._upload_id is None:
                self._is_in_bucket = True
                await self._send("put_object", self._filling)
                return
            if self._filling.tell():
                await self._send_part()
            await self._sent()
            self._is_in_bucket = True
            parts = {"Parts": self._parts}
            await self._ask("complete_multipart_upload", UploadId=self._upload_id, MultipartUpload=parts)
            self._upload_id = None

    async def publish(self, key: BlobKey | VariantKey, mime_type: str) -> Stored:
        """Copy the object to its key, within the storage; see `Staged.publish`."""
        check_mime_type(mime_type)
        size_bytes = self._spool.size_bytes
        if size_bytes > _MAX_COPIED_BYTES:
            raise StorageUnavailable(f"copy_object {key.path}: {size_bytes} bytes are more than one copy takes")
        with self._steps.publishing():
            answer = await self._bucket.ask(
                "copy_object",
                key.path,
                Key=key.path,
                CopySource={"Bucket": self._bucket.name, "Key": self._name},
                MetadataDirective="REPLACE",
                ContentType=mime_type,
                CacheControl=_CACHE_CONTROL,
            )
            told = answer.get("CopyObjectResult", {})
            return stored_of(f"copy_object {key.path}", size_bytes, told.get("ETag"), told.get("LastModified"))

    async def discard(self) -> None:
        """Remove every trace but what was published; what the storage does not let go of now is a leftover."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
        await self._spool.discard()
        with contextlib.suppress(StorageError):
            if self._upload_id is not None:
                await self._ask("abort_multipart_upload", UploadId=self._upload_id)
        with contextlib.suppress(StorageError):
            if self._is_in_bucket:
                await self._ask("delete_object")

    async def _send_part(self) -> None:
        """Begin to send the part that is filled, once the one before has arrived. Raises its StorageError."""
        await self._sent()
        if self._upload_id is None:
            answer = await self._ask("create_multipart_upload")
            self._upload_id = str(answer["UploadId"])
        self._sending = asyncio.create_task(self._upload_part(self._filling, len(self._parts) + 1))
        self._filling = io.BytesIO()

    async def _sent(self) -> None:
        """Wait for the part that is being sent. Raises its StorageError."""
        if self._sending is not None:
            # Not the task itself: one who is cancelled here leaves it to `discard`.
            await asyncio.wait([self._sending])
            sending, self._sending = self._sending, None
            sending.result()

    async def _upload_part(self, part: io.BytesIO, number: int) -> None:
        answer = await self._send("upload_part", part, UploadId=self._upload_id, PartNumber=number)
        self._parts.append({"ETag": answer["ETag"], "PartNumber": number})

    async def _send(self, operation: str, body: io.BytesIO, **arguments: Any) -> dict[str, Any]:
        digest = await asyncio.to_thread(_md5, body)
        body.seek(0)
        # A BytesIO is sent in small pieces as the network takes them; bytes would be copied whole into its buffer.
        return await self._ask(operation, Body=body, ContentMD5=digest, **arguments)

    async def _ask(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """Ask about the staged object; an upload that is gone was discarded, or completed by a try whose answer was lost."""
        try:
            return await self._bucket.ask(operation, self._name, Key=self._name, **arguments)
        except ObjectMissing as error:
            raise StorageUnavailable(str(error)) from None


def _md5(body: io.BytesIO) -> str:
    with body.getbuffer() as view:
        return base64.b64encode(hashlib.md5(view, usedforsecurity=False).digest()).decode()
