"""Let the bytes of an account's host through to listeners while they arrive and are hashed, each file once at a time.

Hosts do not give ranges, so a file is written to disk as it comes and every listener reads from there, waiting for what
is not there yet. The last bytes are given to nobody before the hash is right: whoever listens to the end has heard what
the artist signed, and whoever was lied to is told by a body that ends early. When nobody listens any longer the
fetch ends at once; what is whole is kept for a while, within a bound.
"""

import asyncio
import contextlib
import itertools
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from appview.media.folder_reader import FolderReader, close_file, open_file
from appview.media.local_file import ArrivingFile, disk_error
from appview.media.scratch import make_scratch_folder
from appview.media.sniffing import HEAD_BYTES, sniff_audio
from appview.media.storage import NothingToRead, Piece, Reader, StorageFull, StorageUnavailable
from atprotocol.errors import BlobMismatch, NetworkError, ProtocolError
from atprotocol.net.blobs import BlobHash, get_blob
from atprotocol.net.http import BoundedClient, StreamedResponse
from atprotocol.syntax.did import DID

# So many bytes at the end wait for the verdict.
HELD_BYTES = 65536
# What the disk has is told to listeners after so many bytes.
_TOLD_BYTES = 65536
_RENAMING_LOOKS = 100


class NotAudio(ProtocolError):
    """The bytes that a host gives are no audio that we take."""


@dataclass(frozen=True, slots=True)
class _Place:
    pds: str
    did: str
    cid: str


class Arrival:
    """One file on its way; `size_bytes` and `mime_type` are known once it may be read."""

    def __init__(self, place: _Place, path: Path) -> None:
        """Begin with nothing."""
        self.place = place
        self.path = path
        self.size_bytes = 0
        self.mime_type = ""
        self.is_verified = False
        self.listeners = 0
        self.last_used = 0.0
        self.task: asyncio.Task[None] | None = None
        self._is_described = False
        self._available = 0
        self._failure: Exception | None = None
        self._changed = asyncio.Condition()

    async def described(self) -> None:
        """Wait until size and media type are known. Raises what ended it before."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._is_described or self._failure is not None)
        if self._failure is not None and not self._is_described:
            raise self._failure

    async def ready_to(self, offset: int, limit: int) -> int:
        """Wait until there is something at an offset that may be given, and return how many bytes, at most `limit`.

        Raises StorageUnavailable when there will never be.
        """
        if (ready := min(limit, self._givable - offset)) > 0:
            return ready
        async with self._changed:
            await self._changed.wait_for(lambda: self._givable > offset or self._failure is not None)
        if self._givable <= offset:
            raise StorageUnavailable(f"the host of blobs/{self.place.cid} ended it early") from self._failure
        return min(limit, self._givable - offset)

    @asynccontextmanager
    async def read(self, start: int, end: int) -> AsyncIterator[Reader]:
        """Open a range, to be read within the block."""
        if start == end:
            yield NothingToRead()
            return
        descriptor = await self._open()
        file = FolderReader(descriptor, f"blobs/{self.place.cid}", start, end)
        try:
            yield _ArrivingReader(self, file, start, end)
        finally:
            await close_file(descriptor, file.working)

    async def _open(self) -> int:
        for _ in range(_RENAMING_LOOKS):
            try:
                return (await open_file(self.path))[0]
            except FileNotFoundError:
                # It is becoming whole, and gets another name just now.
                await asyncio.sleep(0.01)
        raise StorageUnavailable(f"the file of blobs/{self.place.cid} is gone")

    @property
    def _givable(self) -> int:
        return self._available if self.is_verified else min(self._available, self.size_bytes - HELD_BYTES)

    async def describe(self, size_bytes: int, mime_type: str) -> None:
        """Let listeners begin."""
        async with self._changed:
            self.size_bytes, self.mime_type, self._is_described = size_bytes, mime_type, True
            self._changed.notify_all()

    async def advance(self, available: int, *, is_verified: bool = False) -> None:
        """Tell listeners how many bytes are on the disk, and that all are right."""
        async with self._changed:
            self._available, self.is_verified = available, is_verified
            self._changed.notify_all()

    async def fail(self, error: Exception) -> None:
        """Tell listeners that nothing more comes."""
        async with self._changed:
            self._failure = error
            self._changed.notify_all()


class _ArrivingReader:
    """A range of a file that is still being written."""

    def __init__(self, arrival: Arrival, file: FolderReader, start: int, end: int) -> None:
        self._arrival = arrival
        self._file = file
        self._offset = start
        self._end = end

    async def read(self, limit_bytes: int) -> Piece:
        if self._offset == self._end:
            return b""
        ready = await self._arrival.ready_to(self._offset, min(limit_bytes, self._end - self._offset))
        piece = await self._file.read(ready)
        self._offset += len(piece)
        return piece


class Arrivals:
    """The files on their way, and those that came a moment ago."""

    def __init__(
        self,
        client: BoundedClient,
        *,
        max_bytes: int,
        spool_bytes: int,
        spool_seconds: float,
        seconds: Callable[[], float],
        folder: Path | None = None,
    ) -> None:
        """Take the bounds; `seconds` is a clock, `folder` where files lie (the system's temporary one unless given)."""
        self._client = client
        self._max_bytes = max_bytes
        self._spool_bytes = spool_bytes
        self._spool_seconds = spool_seconds
        self._seconds = seconds
        self._parent = folder
        self._folder: Path | None = None
        self._numbers = itertools.count()
        self.by_place: dict[_Place, Arrival] = {}

    async def __aenter__(self) -> "Arrivals":
        """Make the folder."""
        self._folder = await asyncio.to_thread(make_scratch_folder, self._parent)
        return self

    async def __aexit__(self, *_: object) -> None:
        """End every fetch and remove every file."""
        for arrival in list(self.by_place.values()):
            await self._drop(arrival)
        if self._folder is not None:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    @asynccontextmanager
    async def open(self, pds: str, did: str, cid: str) -> AsyncIterator[Arrival]:
        """Give a file whose size and media type are known, within the block.

        Raises BlobNotFound, RepoGone, BlobMismatch, NotAudio, NetworkError, or StorageUnavailable when there is no room.
        """
        place = _Place(pds, did, cid)
        arrival = self.by_place.get(place) or await self._start(place)
        arrival.listeners += 1
        try:
            await arrival.described()
            yield arrival
        finally:
            arrival.listeners -= 1
            arrival.last_used = self._seconds()
            if not arrival.listeners and not arrival.is_verified:
                # At once, so that nobody joins what is being given up.
                self._forget(arrival)
                await asyncio.shield(self._drop(arrival))

    async def _start(self, place: _Place) -> Arrival:
        await self._make_room()
        # Somebody else may have begun meanwhile.
        if (arrival := self.by_place.get(place)) is not None:
            return arrival
        assert self._folder is not None, "to be used as an asynchronous context manager"
        arrival = self.by_place[place] = Arrival(place, self._folder / str(next(self._numbers)))
        arrival.task = asyncio.create_task(self._fetch(arrival), name="arrival")
        return arrival

    async def _make_room(self) -> None:
        now = self._seconds()
        unused = sorted(
            (each for each in self.by_place.values() if not each.listeners), key=lambda each: each.last_used
        )
        held = sum(each.size_bytes or self._max_bytes for each in self.by_place.values())
        for arrival in unused:
            is_old = now - arrival.last_used > self._spool_seconds
            if is_old or held + self._max_bytes > self._spool_bytes:
                held -= arrival.size_bytes
                await self._drop(arrival)
        if held + self._max_bytes > self._spool_bytes and self.by_place:
            raise StorageFull("too many files stream through at once")

    def _forget(self, arrival: Arrival) -> None:
        if self.by_place.get(arrival.place) is arrival:
            del self.by_place[arrival.place]

    async def _drop(self, arrival: Arrival) -> None:
        self._forget(arrival)
        if arrival.task is not None:
            arrival.task.cancel()
            await asyncio.gather(arrival.task, return_exceptions=True)
            await arrival.fail(StorageUnavailable(f"blobs/{arrival.place.cid} was given up"))
        await asyncio.to_thread(arrival.path.unlink, missing_ok=True)

    async def _fetch(self, arrival: Arrival) -> None:
        """Fetch a file to its end, and tell its listeners how that goes."""
        place = arrival.place
        file = ArrivingFile(arrival.path, f"blobs/{place.cid}")
        try:
            async with get_blob(
                self._client, place.pds, DID(place.did), place.cid, max_bytes=self._max_bytes
            ) as response:
                await file.open()
                await self._receive(response, file, arrival)
        except (ProtocolError, NetworkError, StorageUnavailable) as error:
            self._forget(arrival)
            await arrival.fail(error)
        except OSError as error:
            self._forget(arrival)
            await arrival.fail(disk_error("keep", f"blobs/{place.cid}", error))
        finally:
            await file.discard()

    async def _receive(self, response: StreamedResponse, file: ArrivingFile, arrival: Arrival) -> None:
        blob_hash = BlobHash(arrival.place.cid)
        announced = _announced(response)
        head, told = b"", 0
        is_described = False
        async with contextlib.aclosing(response.chunks()) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                blob_hash.update(piece)
                await file.write(piece)
                head += piece[: HEAD_BYTES - len(head)]
                if not is_described and announced is not None and len(head) == HEAD_BYTES:
                    await arrival.describe(announced, _mime_type(head))
                    is_described = True
                if is_described and file.size_bytes - told >= _TOLD_BYTES:
                    await file.flush()
                    told = file.size_bytes
                    await arrival.advance(told)
        await file.flush()
        blob_hash.verify()
        if announced is not None and announced != blob_hash.size_bytes:
            raise BlobMismatch(f"{blob_hash.size_bytes} bytes came, {announced} were announced")
        if not is_described:
            await arrival.describe(blob_hash.size_bytes, _mime_type(head))
        # Closing the file that was written takes its name away, so what stays has another.
        whole = arrival.path.with_suffix(".whole")
        await asyncio.to_thread(arrival.path.rename, whole)
        arrival.path = whole
        await arrival.advance(blob_hash.size_bytes, is_verified=True)


def _announced(response: StreamedResponse) -> int | None:
    """Return how long a host says that the file is; None where its header says something else."""
    length = response.headers.get("Content-Length", "")
    if response.headers.get("Content-Encoding") or not (length.isascii() and length.isdigit() and len(length) < 16):
        return None
    return int(length)


def _mime_type(head: bytes) -> str:
    found = sniff_audio(head)
    if found is None:
        raise NotAudio("not-audio: the bytes are not audio that we take")
    return found
