"""Requests to one bucket, each bounded in time, and what their failures mean.

Of what the libraries say only the error's code and the HTTP status are told on: their texts may hold URLs, and their objects
the request with its signature. So nothing is chained to the errors raised here. Codes:
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

import asyncio
import re
from datetime import UTC, datetime
from typing import Any

from aiohttp import ClientError as HttpError
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from appview.media.storage import ObjectChanged, ObjectMissing, StorageError, StorageFull, StorageUnavailable, Stored

# What can go wrong between us and the storage, beside an answer that is an error.
FAILURES = (BotoCoreError, HttpError, ResponseParserError, OSError)
_CODE = re.compile(r"[A-Za-z0-9.]{1,60}")
_FULL = frozenset(("QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "XMinioStorageFull", "InsufficientCapacity"))


class Bucket:
    """The requests to one bucket."""

    def __init__(self, client: Any, name: str, request_timeout_seconds: float) -> None:
        """Take an open client; the bucket need not exist yet."""
        self.client = client
        self.name = name
        self._timeout_seconds = request_timeout_seconds
        self._is_known_to_exist = False
        self._is_closed = False

    def close(self) -> None:
        """Refuse what is asked from now on: the client would open connections again that nobody closes."""
        self._is_closed = True

    async def ask(self, operation: str, path: str, **arguments: Any) -> dict[str, Any]:
        """Return the answer to an operation of the client on this bucket; `path` is the key, or what errors call it.

        Raises ObjectMissing, ObjectChanged, StorageFull or StorageUnavailable.
        """
        where = f"{operation} {path}"
        if self._is_closed:
            raise StorageUnavailable(f"{where}: the storage is closed")
        try:
            async with asyncio.timeout(self._timeout_seconds):
                answer: dict[str, Any] = await getattr(self.client, operation)(Bucket=self.name, **arguments)
        except ClientError as error:
            meant = self._answered(where, error)
        except FAILURES as error:
            raise unavailable(where, error) from None
        else:
            self._is_known_to_exist = True
            return answer
        if isinstance(meant, ObjectMissing) and not self._is_known_to_exist:
            await self._check_exists(where)
        raise meant

    async def _check_exists(self, where: str) -> None:
        """Raise StorageUnavailable unless the bucket exists: many an answer does not tell its absence from an object's."""
        self._is_known_to_exist = True  # so that this asks once
        try:
            await self.ask("head_bucket", self.name)
        except ObjectMissing:
            self._is_known_to_exist = False
            raise StorageUnavailable(f"{where}: bucket {self.name} does not exist") from None
        except StorageUnavailable:
            self._is_known_to_exist = False
            raise

    def _answered(self, where: str, error: ClientError) -> StorageError:
        told = str(error.response.get("Error", {}).get("Code", ""))
        code = told if _CODE.fullmatch(told) else "unknown"
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in _FULL or status == 507:
            return StorageFull(f"{where}: bucket {self.name} is full ({code}, HTTP {status})")
        if code == "NoSuchBucket":
            return StorageUnavailable(f"{where}: bucket {self.name} does not exist")
        if status in (401, 403):
            return StorageUnavailable(f"{where}: bucket {self.name} refuses these keys ({code}, HTTP {status})")
        if status == 404:
            return ObjectMissing(f"{where}: there is no such object ({code})")
        if status == 412:
            return ObjectChanged(f"{where}: it is no longer the version asked for")
        return StorageUnavailable(f"{where}: error {code}, HTTP {status}")


def unavailable(where: str, error: BaseException) -> StorageUnavailable:
    """Return what a failure between us and the storage means, by the name of its class alone."""
    return StorageUnavailable(f"{where}: {type(error).__name__}")


def stored_of(where: str, size_bytes: object, etag: object, modified_at: object) -> Stored:
    """Return the version that an answer tells of. Raises StorageUnavailable when it tells of none.

    Times are whole seconds: some answers have fractions, and others about the same object have none.
    """
    if not (isinstance(size_bytes, int) and isinstance(etag, str) and isinstance(modified_at, datetime)):
        raise StorageUnavailable(f"{where}: the answer lacks what it must tell")
    return Stored(size_bytes, etag.strip('"'), modified_at.astimezone(UTC).replace(microsecond=0))
