"""Reading an answer's body within bounds: of bytes after decompression, of time, and of slowness.

Time is counted only while we wait for the other side, so a reader that is busy elsewhere is not the
server's fault. Decompression is ours, a bounded piece at a time: a library that inflates a whole network
chunk at once can be made to fill the memory before any cap is looked at.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import TypeVar

from aiohttp import StreamReader

from atprotocol.errors import NetworkError, ResponseTooLarge

T = TypeVar("T")
PIECE_BYTES = 65536
_GZIP = 16 + zlib.MAX_WBITS


class Patience:
    """How long we wait for one answer: in all, and at least so many bytes in each window."""

    def __init__(self, total_seconds: float, window_seconds: float, minimum_bytes_per_second: float) -> None:
        """Begin with everything left."""
        self._left = total_seconds
        self._window_seconds = window_seconds
        self._window_left = window_seconds
        self._window_bytes = 0
        self._wanted_bytes = minimum_bytes_per_second * window_seconds

    async def wait(self, awaitable: Awaitable[T]) -> T:
        """Await something that is no part of a body. Raises NetworkError when the time is over."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            async with asyncio.timeout(max(self._left, 0)):
                return await awaitable
        except TimeoutError as error:
            raise NetworkError("the answer took too long") from error
        finally:
            self._left -= loop.time() - begun

    async def read(self, reader: StreamReader) -> bytes:
        """Return the next bytes of a body, nothing at its end.

        Raises NetworkError when the time is over, or the window's bytes were too few.
        """
        loop = asyncio.get_running_loop()
        while True:
            begun = loop.time()
            piece = None
            try:
                async with asyncio.timeout(max(min(self._left, self._window_left), 0)):
                    piece = await reader.readany()
            except TimeoutError:
                pass
            waited = loop.time() - begun
            self._left -= waited
            self._window_left -= waited
            self._window_bytes += len(piece or b"")
            if piece is not None:
                return piece
            if self._left <= 0:
                raise NetworkError("the answer took too long")
            if self._window_left <= 0:
                if self._window_bytes < self._wanted_bytes:
                    raise NetworkError("the answer came too slowly")
                self._window_left, self._window_bytes = self._window_seconds, 0


async def read_bounded(
    reader: StreamReader, patience: Patience, max_bytes: int, content_encoding: str
) -> AsyncIterator[bytes]:
    """Yield a body in pieces, decompressed.

    Raises ResponseTooLarge beyond `max_bytes`, NetworkError for a body that is cut short or cannot be read.
    """
    if content_encoding not in ("", "identity", "gzip", "x-gzip"):
        raise NetworkError(f"an encoding that was not asked for: {content_encoding[:40]!r}")
    inflater = _Inflater() if content_encoding.endswith("gzip") else None
    total = 0
    while piece := await patience.read(reader):
        for plain in inflater.inflate(piece) if inflater else (piece,):
            total += len(plain)
            if total > max_bytes:
                raise ResponseTooLarge(f"the answer is longer than {max_bytes} bytes")
            yield plain
    rest = inflater.finish() if inflater else b""
    if total + len(rest) > max_bytes:
        raise ResponseTooLarge(f"the answer is longer than {max_bytes} bytes")
    if rest:
        yield rest


class _Inflater:
    """Gzip, of one member or several, in pieces of bounded size."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)

    def inflate(self, piece: bytes) -> Iterator[bytes]:
        while piece:
            if self._member.eof:
                self._member = zlib.decompressobj(_GZIP)
            try:
                plain = self._member.decompress(piece, PIECE_BYTES)
            except zlib.error as error:
                raise NetworkError("the answer is not the gzip that it claims to be") from error
            if plain:
                yield plain
            piece = self._member.unused_data if self._member.eof else self._member.unconsumed_tail

    def finish(self) -> bytes:
        """Return what is left, at most the end of one match. Raises NetworkError for a body cut short."""
        rest = self._member.flush()
        if not self._member.eof:
            raise NetworkError("the answer was cut short")
        return rest
