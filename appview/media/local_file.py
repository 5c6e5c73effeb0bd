"""A file on the local disk that is being written, without blocking the event loop.

Small pieces are gathered and written in a thread. The descriptor is closed only when no thread can use it any
more, also when the one who waited was cancelled: its number may be somebody else's a moment later. A disk that is
full is told apart from one that fails; neither is named by the path at which it is mounted.
"""

import asyncio
import contextlib
import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from appview.media.storage import StorageFull, StorageUnavailable

_GATHERED_BYTES = 256 * 1024
# EFBIG is what a limit on the size of files says, of the file system or of the process.
_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_FOLDER_MODE = 0o700
_FILE_MODE = 0o600

_Result = TypeVar("_Result")


def disk_error(operation: str, path: str, error: OSError) -> StorageUnavailable:
    """Return what an error of the operating system means for an operation on the object at a key's path."""
    reason = os.strerror(error.errno) if error.errno is not None else type(error).__name__
    kind = StorageFull if error.errno in _FULL else StorageUnavailable
    return kind(f"{operation} {path}: {reason}")


def make_folder(folder: Path) -> None:
    """Make a folder, its missing parents too, for us alone and to last. Raises OSError."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(_FOLDER_MODE)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class ArrivingFile:
    """A file that did not exist before, to be written from its beginning to its end by one task."""

    def __init__(self, path: Path, name: str) -> None:
        """Name the file, and the key's path by which errors call it."""
        self.path = path
        self.size_bytes = 0
        self._name = name
        self._descriptor: int | None = None
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._working: asyncio.Future[Any] | None = None

    async def open(self) -> None:
        """Make the file, and its folder when that is missing. Raises StorageUnavailable."""
        await self.in_thread("stage", self._open)

    async def write(self, piece: bytes) -> None:
        """Append bytes. Raises StorageUnavailable, StorageFull among them."""
        self._gathered.append(piece)
        self._gathered_bytes += len(piece)
        self.size_bytes += len(piece)
        if self._gathered_bytes >= _GATHERED_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Hand everything to the operating system. Raises StorageUnavailable, StorageFull among them."""
        gathered = b"".join(self._gathered) if len(self._gathered) > 1 else self._gathered[0] if self._gathered else b""
        self._gathered, self._gathered_bytes = [], 0
        if gathered:
            await self.in_thread("write", self._write, gathered)

    async def settle(self) -> os.stat_result:
        """Make the bytes last on the disk and return what the file is now. Raises StorageUnavailable, StorageFull among them."""
        await self.flush()
        return await self.in_thread("finish", self._settle)

    async def discard(self) -> None:
        """Close the file, and remove it where it still has its name."""
        if self._working is not None:
            await asyncio.wait([self._working])
        self._gathered = []
        await asyncio.to_thread(self._discard)

    async def in_thread(self, operation: str, function: Callable[..., _Result], *arguments: object) -> _Result:
        """Run a function on this file in a thread; `discard` waits for it. Raises StorageUnavailable for OSError."""
        working = asyncio.ensure_future(asyncio.to_thread(function, *arguments))
        self._working = working
        try:
            return await asyncio.shield(working)
        except OSError as error:
            raise disk_error(operation, self._name, error) from error

    def _open(self) -> None:
        make_folder(self.path.parent)
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)

    def _opened(self) -> int:
        if self._descriptor is None:
            raise RuntimeError("the file is not open")
        return self._descriptor

    def _write(self, piece: bytes) -> None:
        left = memoryview(piece)
        while left:
            left = left[os.write(self._opened(), left) :]

    def _settle(self) -> os.stat_result:
        descriptor = self._opened()
        # The system's own stamps are some milliseconds coarse, and inodes are used again: this tells versions apart.
        now_ns = time.time_ns()
        os.utime(descriptor, ns=(now_ns, now_ns))
        os.fsync(descriptor)
        return os.fstat(descriptor)

    def _discard(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):  # NFS says so late; whoever needed the bytes has asked `settle`
                os.close(descriptor)
            with contextlib.suppress(OSError):
                self.path.unlink()
