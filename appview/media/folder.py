"""Media in a folder on disk.

    staging/<uuid>                      what is arriving
    blobs/<xy>/<cid>                    `xy` are the last two letters of the CID: its first ones are all the same
    variants/<xy>/<cid>/<profile>

A staged file is made to last, renamed to its place, and the folder is made to last: readers see nothing or all,
after a crash too. A version is told by inode, size and time of modification. Media types are kept nowhere: the database has
them. Files and folders are for this user alone, and nothing here waits for the disk in the event loop (`folder_reader`, `local_file`).
"""

import asyncio
import contextlib
import errno
import os
import stat
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from appview.media.folder_reader import FolderReader, close_file, open_file
from appview.media.keys import BlobKey, Key, StagingKey, VariantKey, parse_key
from appview.media.local_file import ArrivingFile, disk_error, make_folder, sync_folder
from appview.media.storage import (
    NothingToRead,
    ObjectChanged,
    ObjectMissing,
    Reader,
    Staged,
    Steps,
    StorageUnavailable,
    Stored,
    check_mime_type,
    check_range,
)

# A folder can be removed between its making and a rename into it, by whoever deletes the last variant; not for ever.
_PUBLISH_ATTEMPTS = 20


class FolderStorage:
    """Objects as files below one folder, which is made on first use."""

    def __init__(self, root: Path) -> None:
        """Name the folder. Staging lies in it, so that all is on one file system."""
        self._root = root

    @contextlib.asynccontextmanager
    async def staged(self) -> AsyncIterator[Staged]:
        """Open a file to write to; see `Storage.staged`."""
        key = StagingKey(uuid4())
        file = ArrivingFile(self._path(key), key.path)
        try:
            await file.open()
            yield _StagedFile(file, self._path)
        finally:
            await asyncio.shield(file.discard())

    async def stat(self, key: Key) -> Stored | None:
        """Return the version that is there now; see `Storage.stat`."""
        try:
            status = await asyncio.to_thread(os.stat, self._path(key))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise disk_error("stat", key.path, error) from error
        return _stored(status) if stat.S_ISREG(status.st_mode) else None

    @contextlib.asynccontextmanager
    async def read(self, key: Key, start: int, end: int, etag: str) -> AsyncIterator[Reader]:
        """Open a range of a version, which stays readable when the object is replaced or deleted; see `Storage.read`."""
        check_range(start, end)
        if start == end:
            yield NothingToRead()
            return
        try:
            descriptor, status = await open_file(self._path(key))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ObjectMissing(f"read {key.path}: there is no such object") from error
        except OSError as error:
            raise disk_error("read", key.path, error) from error
        reader = FolderReader(descriptor, key.path, start, end)
        try:
            if _stored(status).etag != etag:
                raise ObjectChanged(f"read {key.path}: it is no longer the version asked for")
            if end > status.st_size:
                raise StorageUnavailable(f"read {key.path}: it ends before byte {end}")
            yield reader
        finally:
            await close_file(descriptor, reader.working)

    async def delete(self, key: Key) -> None:
        """Remove an object, if it is there; see `Storage.delete`."""
        try:
            await asyncio.to_thread(_delete, self._path(key))
        except OSError as error:
            raise disk_error("delete", key.path, error) from error

    async def keys(
        self, kind: type[BlobKey] | type[VariantKey] | type[StagingKey]
    ) -> AsyncIterator[tuple[Key, Stored]]:
        """Yield every object of a kind; see `Storage.keys`."""
        name = {BlobKey: "blobs", VariantKey: "variants", StagingKey: "staging"}[kind]
        # Staging has no folders in between. Of the others, one fan-out folder is read in a turn.
        root = self._root / name
        try:
            shelves = [root] if kind is StagingKey else await asyncio.to_thread(_folders, root)
            for shelf in shelves:
                for path, status in await asyncio.to_thread(_files, shelf):
                    key = parse_key("/".join((name, *path.relative_to(shelf).parts)))
                    # A file in a place that is not its own is not found by its key.
                    if key is not None and self._path(key) == path:
                        yield key, _stored(status)
        except OSError as error:
            raise disk_error("list", name, error) from error

    async def discard_leftovers(self, older_than: datetime, *, is_dry: bool = False) -> int:
        """Remove staged files that nobody wrote to since; see `Storage.discard_leftovers`."""
        found = [key async for key, stored in self.keys(StagingKey) if stored.modified_at < older_than]
        if not is_dry:
            for key in found:
                await self.delete(key)
        return len(found)

    def public_url(self, key: BlobKey | VariantKey) -> str | None:  # noqa: ARG002  (as the protocol has it)
        """Return None: a folder is on no network."""
        return None

    async def presigned_url(
        self,
        key: BlobKey | VariantKey,  # noqa: ARG002
        seconds: int,  # noqa: ARG002
        *,
        mime_type: str,  # noqa: ARG002
        file_name: str | None,  # noqa: ARG002
    ) -> str | None:
        """Return None: a folder is on no network."""
        return None

    def _path(self, key: Key) -> Path:
        kind, *parts = key.path.split("/")
        # The text of a CID ends in eight bits: 256 folders.
        return self._root.joinpath(kind, *([] if isinstance(key, StagingKey) else [key.cid[-2:]]), *parts)


class _StagedFile:
    """A file in the staging folder; see `Staged`."""

    def __init__(self, file: ArrivingFile, place: Callable[[Key], Path]) -> None:
        """Take an open file, and where keys lie."""
        self.path = file.path
        self._file = file
        self._place = place
        self._steps = Steps()
        self._stored: Stored | None = None

    async def write(self, piece: bytes) -> None:
        """Append bytes; see `Staged.write`."""
        with self._steps.writing():
            await self._file.write(piece)

    async def finish(self) -> None:
        """Make the bytes last; see `Staged.finish`."""
        with self._steps.finishing():
            self._stored = _stored(await self._file.settle())

    async def publish(self, key: BlobKey | VariantKey, mime_type: str) -> Stored:
        """Rename the file to its place; see `Staged.publish`."""
        check_mime_type(mime_type)
        with self._steps.publishing():
            try:
                await self._file.in_thread("publish", _publish, self.path, self._place(key))
            except _Gone:
                raise ObjectMissing(f"publish {key.path}: the staged bytes were discarded") from None
        assert self._stored is not None
        return self._stored


class _Gone(Exception):
    """The staged file is no longer there."""


def _publish(source: Path, target: Path) -> None:
    for _ in range(_PUBLISH_ATTEMPTS):
        make_folder(target.parent)
        try:
            source.replace(target)
        except FileNotFoundError:
            if not source.exists():
                raise _Gone from None
        else:
            # Whoever deleted the object again, and its folder, needs nothing to last.
            with contextlib.suppress(FileNotFoundError):
                sync_folder(target.parent)
            return
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))


def _delete(path: Path) -> None:
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return
    # What was taken down must not come back with a crash.
    with contextlib.suppress(FileNotFoundError):
        sync_folder(path.parent)
    if path.parent.parent.parent.name == "variants":
        with contextlib.suppress(OSError):  # other variants are left, or came just now
            path.parent.rmdir()


def _folders(folder: Path) -> list[Path]:
    try:
        return [each for each in folder.iterdir() if each.is_dir()]
    except FileNotFoundError:
        return []


def _files(folder: Path) -> list[tuple[Path, os.stat_result]]:
    """Return the regular files below a folder; what disappears meanwhile is passed over."""
    found = []
    for where, _, names in os.walk(folder, onerror=_unless_gone):
        for name in names:
            path = Path(where, name)
            with contextlib.suppress(FileNotFoundError):
                status = path.lstat()
                if stat.S_ISREG(status.st_mode):
                    found.append((path, status))
    return found


def _unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _stored(status: os.stat_result) -> Stored:
    return Stored(
        size_bytes=status.st_size,
        etag=f"{status.st_ino}-{status.st_size}-{status.st_mtime_ns}",
        modified_at=datetime.fromtimestamp(status.st_mtime, UTC),
    )
