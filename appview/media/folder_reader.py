"""Ranges of files on disk, as fast as memory and without making the event loop wait for the disk.

What the page cache holds is copied in the loop (Linux's RWF_NOWAIT, some microseconds); everything else is read in a
thread. A descriptor is closed once, after every thread that may use it. See preadv2(2).
"""

import asyncio
import errno
import os
from pathlib import Path

from appview.media.local_file import disk_error
from appview.media.storage import Piece, StorageUnavailable, check_limit

_MAX_PIECE_BYTES = 256 * 1024
_NOWAIT: int | None = getattr(os, "RWF_NOWAIT", None)
# What file systems that cannot answer at once say to the flag: some network and overlay file systems.
_NO_NOWAIT = frozenset((errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS))


async def open_file(path: Path) -> tuple[int, os.stat_result]:
    """Open a file for reading; the descriptor is the caller's to close. Raises OSError."""
    opening = asyncio.ensure_future(asyncio.to_thread(_open, path))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close_opened)
        raise


async def close_file(descriptor: int, working: "asyncio.Future[bytes] | None") -> None:
    """Close a descriptor, after the read in a thread that may still use it."""
    if working is not None and not working.done():
        working.add_done_callback(lambda _: os.close(descriptor))
    elif os.fstat(descriptor).st_nlink == 0:
        # The last to close a deleted file waits until its blocks are freed.
        await asyncio.shield(asyncio.to_thread(os.close, descriptor))
    else:
        os.close(descriptor)


class FolderReader:
    """A range of an open file."""

    def __init__(self, descriptor: int, name: str, start: int, end: int) -> None:
        """Take an open file, the key's path by which errors call it, and the range."""
        self.working: asyncio.Future[bytes] | None = None
        self._descriptor = descriptor
        self._name = name
        self._offset = start
        self._end = end
        self._is_cache_asked = _NOWAIT is not None

    async def read(self, limit_bytes: int) -> Piece:
        """Return the next bytes; see `Reader.read`."""
        check_limit(limit_bytes)
        wanted = min(limit_bytes, self._end - self._offset, _MAX_PIECE_BYTES)
        if wanted == 0:
            return b""
        try:
            piece: Piece = self._read_cached(wanted) or await self._read_in_thread(wanted)
        except OSError as error:
            raise disk_error("read", self._name, error) from error
        if not piece:
            raise StorageUnavailable(f"read {self._name}: it ended at byte {self._offset}, before byte {self._end}")
        self._offset += len(piece)
        return piece

    def _read_cached(self, wanted: int) -> bytearray:
        """Return what the page cache has of the next bytes, be it nothing."""
        # The piece itself, which is given away: a buffer of our own would cost another copy.
        piece = bytearray(wanted) if self._is_cache_asked else bytearray()
        if _NOWAIT is None or not piece:
            return piece
        try:
            # Nothing is no end: some kernels say it of what is not cached (preadv2(2), BUGS). The thread decides.
            count = os.preadv(self._descriptor, [piece], self._offset, _NOWAIT)
        except BlockingIOError:
            return bytearray()
        except OSError as error:
            if error.errno not in _NO_NOWAIT:
                raise
            self._is_cache_asked = False
            return bytearray()
        del piece[count:]
        return piece

    async def _read_in_thread(self, wanted: int) -> bytes:
        self.working = asyncio.ensure_future(asyncio.to_thread(os.pread, self._descriptor, wanted, self._offset))
        return await asyncio.shield(self.working)


def _open(path: Path) -> tuple[int, os.stat_result]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return descriptor, os.fstat(descriptor)


def _close_opened(opening: "asyncio.Future[tuple[int, os.stat_result]]") -> None:
    if not opening.cancelled() and opening.exception() is None:
        os.close(opening.result()[0])
