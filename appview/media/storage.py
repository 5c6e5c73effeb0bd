"""Where media are kept, as the rest of the program sees it: one protocol, whatever lies below.

Bytes arrive in a staged object that nobody sees and are published whole, under a key that names their content.
Readers ask for a range of the version that they know by its etag and get exactly that, or an error: never
something else, never something short. Implemented by `folder` (a disk) and `s3` (R2 and its like). Errors name
the operation and the key; they carry no URL and no credentials.
"""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol, TypeAlias

from appview.media.keys import BlobKey, Key, StagingKey, VariantKey

_MIME_TYPE = re.compile(r"[!-~]{1,64}/[!-~][ -~]{0,190}")


@dataclass(frozen=True, slots=True)
class Stored:
    """One version of an object; `etag` changes with its bytes, `modified_at` is in UTC."""

    size_bytes: int
    etag: str
    modified_at: datetime


class StorageError(Exception):
    """An operation on the storage did not do what was asked."""


class ObjectMissing(StorageError):
    """There is no such object."""


class ObjectChanged(StorageError):
    """The object is there, and not in the version that was asked for."""


class StorageUnavailable(StorageError):
    """The storage is down, slow, misconfigured or broke off: try again later."""


class StorageFull(StorageUnavailable):
    """There is no room left: on the disk, or in the quota of the bucket."""


class Staged(Protocol):
    """Bytes that are arriving, visible to nobody.

    `path` is a local file with the bytes that have been written, complete after `finish` and there until `publish`,
    for tools that seek. The operations follow one another; a call out of order, or after a failed `write` or `finish`, is a
    RuntimeError.
    """

    path: Path

    async def write(self, piece: bytes) -> None:
        """Append bytes. Raises StorageUnavailable."""

    async def finish(self) -> None:
        """Declare that all bytes are there, and make them last. Raises StorageUnavailable."""

    async def publish(self, key: BlobKey | VariantKey, mime_type: str) -> Stored:
        """Show the finished bytes under a key, in place of what was there; readers see nothing of it, or all.

        Raises StorageUnavailable, ObjectMissing when the staged bytes were discarded meanwhile, and ValueError for what is no media type.
        """


# Belongs to whoever was given it.
Piece: TypeAlias = bytes | bytearray


class Reader(Protocol):
    """A range of one version of an object, from its beginning to its end."""

    async def read(self, limit_bytes: int) -> Piece:
        """Return the next bytes, at most so many (at least 1); none exactly at the end of the range.

        Raises StorageUnavailable when the source fails or ends early.
        """


class Storage(Protocol):
    """Objects by key."""

    def staged(self) -> AbstractAsyncContextManager[Staged]:
        """Open an object to write to; leaving without `publish` removes every trace. Raises StorageUnavailable.

        What a crash leaves behind `discard_leftovers` finds.
        """

    async def stat(self, key: Key) -> Stored | None:
        """Return the version that is there now, None when there is none. Raises StorageUnavailable."""

    def read(self, key: Key, start: int, end: int, etag: str) -> AbstractAsyncContextManager[Reader]:
        """Open bytes `start` to `end` (exclusive) of the version `etag`; an empty range asks nobody.

        Raises ObjectMissing, ObjectChanged or StorageUnavailable on opening, ValueError for a range that is none.
        """

    async def delete(self, key: Key) -> None:
        """Remove an object, if it is there. Raises StorageUnavailable."""

    def keys(self, kind: type[BlobKey] | type[VariantKey] | type[StagingKey]) -> AsyncIterator[tuple[Key, Stored]]:
        """Yield every object of a kind, in no promised order; what has no key of ours is passed over. Raises StorageUnavailable."""

    async def discard_leftovers(self, older_than: datetime, *, is_dry: bool = False) -> int:
        """Remove what staging left behind and nobody wrote to since; return how many things that are. Raises StorageUnavailable.

        `older_than` has a time zone and lies further back than any upload takes. Dry, it only counts.
        """

    def public_url(self, key: BlobKey | VariantKey) -> str | None:
        """Return the URL at which everybody can fetch the object, None when none is configured."""

    async def presigned_url(
        self, key: BlobKey | VariantKey, seconds: int, *, mime_type: str, file_name: str | None
    ) -> str | None:
        """Return a URL that fetches the object for so many seconds, made without asking anybody; None where there is no such thing."""


class _State(StrEnum):
    WRITING = "being written"
    FINISHED = "finished"
    PUBLISHED = "published"
    BROKEN = "broken, or busy"


class Steps:
    """The order in which a staged object is used: writes, one end, one publication; what broke is only left."""

    def __init__(self) -> None:
        """Begin with writes."""
        self._state = _State.WRITING

    def writing(self) -> AbstractContextManager[None]:
        """Return the block of one write, after which others may follow."""
        return self._step(_State.WRITING, _State.BROKEN, _State.WRITING)

    def finishing(self) -> AbstractContextManager[None]:
        """Return the block that ends the writes."""
        return self._step(_State.WRITING, _State.BROKEN, _State.FINISHED)

    def publishing(self) -> AbstractContextManager[None]:
        """Return the block of the publication, which may be tried again."""
        return self._step(_State.FINISHED, _State.FINISHED, _State.PUBLISHED)

    @contextmanager
    def _step(self, before: _State, after_failure: _State, after: _State) -> Iterator[None]:
        if self._state is not before:
            raise RuntimeError(f"a staged object is {self._state}, and should be {before}")
        # A failed write leaves a gap: what came after it must never look whole.
        self._state = _State.BROKEN
        outcome = after_failure
        try:
            yield
            outcome = after
        finally:
            self._state = outcome


class NothingToRead:
    """An empty range."""

    async def read(self, limit_bytes: int) -> bytes:
        """Return the end."""
        check_limit(limit_bytes)
        return b""


def check_range(start: int, end: int) -> None:
    """Raise ValueError unless start and end bound a range, be it empty."""
    if not 0 <= start <= end:
        raise ValueError(f"no range of bytes: {start} to {end}")


def check_limit(limit_bytes: int) -> None:
    """Raise ValueError for a limit that would make the end of a range look like any other place."""
    if limit_bytes < 1:
        raise ValueError(f"no limit to read by: {limit_bytes}")


def check_mime_type(mime_type: str) -> None:
    """Raise ValueError for what cannot stand in a Content-Type header."""
    if _MIME_TYPE.fullmatch(mime_type) is None:
        raise ValueError(f"no media type: {mime_type[:80]!r}")
