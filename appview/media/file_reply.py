"""Answer with a file, or a part of it, by HTTP's rules, and send it no faster than it is taken.

Nothing is compressed, guessed or run: the media type is what the bytes are, nosniff and a sandbox say so. A body that
cannot be finished is not finished: the connection is closed before the promised length, which is how a client knows.
Source: RFC 9110 §14, §15.3.7, §15.5.17; RFC 8187 (file names); https://atproto.com/specs/blob (headers of blobs)
"""

import asyncio
import logging
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.types import Message, Receive, Send

from appview.media.ranges import Asked, NotModified, Part, PreconditionFailed, Unsatisfiable, Whole, asked_for
from appview.media.storage import Reader, StorageUnavailable

# Bytes that one listener has in our memory; more for whoever took FAST_BYTES of them at once, one after another.
PIECE_BYTES: Final = 65536
LARGEST_PIECE_BYTES: Final = 262_144
FAST_BYTES: Final = 1 << 20
# Whoever takes nothing for so long is let go; a player asks again where it was.
STALL_SECONDS: Final = 120.0
_AT_ONCE_SECONDS: Final = 0.002
# Sends no byte, and waits until what was sent before has been taken.
_NOTHING: Final[Message] = {"type": "http.response.body", "body": b"", "more_body": True}

CORS: Final[Mapping[str, str]] = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Accept-Ranges, Content-Range, Content-Length, Content-Disposition, ETag, Retry-After, "
    "RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, RateLimit-Policy",
    "Cross-Origin-Resource-Policy": "cross-origin",
}
PREFLIGHT: Final[Mapping[str, str]] = {
    **CORS,
    "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
    "Access-Control-Allow-Headers": "authorization, range, if-range, if-match, if-none-match",
    "Access-Control-Max-Age": "86400",
}
_CONDITIONS: Final = ("range", "if-range", "if-match", "if-none-match")
_ENDINGS: Final = {
    "audio/mpeg": "mp3",
    "audio/flac": "flac",
    "audio/wav": "wav",
    "audio/aiff": "aiff",
    "audio/mp4": "m4a",
    "audio/ogg": "ogg",
    "audio/aac": "aac",
    "audio/webm": "webm",
}
_NOT_IN_A_NAME: Final = re.compile(r'[\x00-\x1f\x7f-\x9f/\\:*?"<>|\u2028-\u202e\u2066-\u2069\ud800-\udfff]+')
_NOT_PLAIN: Final = re.compile(r"[^A-Za-z0-9 ._()\[\]-]")
_LONGEST_NAME: Final = 120

logger = logging.getLogger(__name__)


class File:
    """What is known of a file before it is read: its size, its type, its strong ETag and who may keep it."""

    def __init__(self, size_bytes: int, mime_type: str, tag: str, cache_control: str, name: str | None) -> None:
        """Take the facts; `name` is what it is called where it is saved, without an ending."""
        self.size_bytes = size_bytes
        self.mime_type = mime_type
        self.tag = tag
        self.cache_control = cache_control
        self.name = name

    def asked(self, request: Request) -> Asked:
        """Return what a request asks for of it."""
        given = {name: ", ".join(values) for name in _CONDITIONS if (values := request.headers.getlist(name))}
        return asked_for(given, size_bytes=self.size_bytes, etag=self.tag, is_get=request.method == "GET")

    def headers(self, asked: Asked) -> tuple[int, dict[str, str]]:
        """Return the status and the headers of the answer."""
        headers = {
            **CORS,
            "Accept-Ranges": "bytes",
            "Cache-Control": self.cache_control,
            "ETag": f'"{self.tag}"',
            "Vary": "Authorization",
            "X-Content-Type-Options": "nosniff",
            # A browser that is given the address itself makes a page of it, which has to be allowed to play it.
            "Content-Security-Policy": "default-src 'none'; media-src 'self'; sandbox",
        }
        match asked:
            case NotModified():
                return 304, headers
            case PreconditionFailed():
                return 412, headers | {"Content-Length": "0"}
            case Unsatisfiable():
                return 416, headers | {"Content-Range": f"bytes */{self.size_bytes}", "Content-Length": "0"}
            case Whole():
                status, length = 200, self.size_bytes
            case Part(start=start, end=end):
                status, length = 206, end - start
                headers["Content-Range"] = f"bytes {start}-{end - 1}/{self.size_bytes}"
        headers |= {"Content-Type": self.mime_type, "Content-Length": str(length)}
        if self.name is not None:
            headers["Content-Disposition"] = content_disposition(self.name, self.mime_type)
        return status, headers


def bounds(asked: Whole | Part, size_bytes: int) -> tuple[int, int]:
    """Return from where to where (exclusive) bytes are wanted."""
    return (asked.start, asked.end) if isinstance(asked, Part) else (0, size_bytes)


def file_name(name: str, mime_type: str) -> str:
    """Return a name that any file system takes, with the ending that the type has."""
    cleaned = " ".join(_NOT_IN_A_NAME.sub(" ", name).split()).strip(". ")[:_LONGEST_NAME] or "audio"
    return f"{cleaned}.{_ENDINGS.get(mime_type, 'bin')}"


def content_disposition(name: str, mime_type: str) -> str:
    """Return the header that plays a file in place, and names it where it is saved."""
    full = file_name(name, mime_type)
    plain = _NOT_PLAIN.sub("_", full)
    extended = "" if plain == full else f"; filename*=UTF-8''{quote(full, safe='')}"
    return f'inline; filename="{plain}"{extended}'


async def send_head(send: Send, status: int, headers: Mapping[str, str], *, has_body: bool = False) -> None:
    """Send status and headers; without a body to come that is the whole answer."""
    raw = [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    if not has_body:
        await send({"type": "http.response.body", "body": b""})


async def send_body(reader: Reader, receive: Receive, send: Send) -> None:
    """Send what a reader gives until its end, or until the client is gone; a source that fails leaves the body short."""
    seconds = asyncio.get_running_loop().time
    is_sending = True
    leaving = asyncio.ensure_future(_left(receive))
    try:
        async with asyncio.timeout(None) as patience:

            def leave(_: object) -> None:
                if is_sending and not patience.expired():
                    patience.reschedule(seconds())

            leaving.add_done_callback(leave)
            try:
                await _pump(reader, send, leaving, patience)
            finally:
                is_sending = False
    except StorageUnavailable as error:
        logger.warning("media.broken_off error=%s", error)
    except TimeoutError:
        if not patience.expired():
            raise
        if not leaving.done():
            logger.warning("media.broken_off error=the listener took nothing")
    finally:
        leaving.cancel()


async def _pump(reader: Reader, send: Send, leaving: "asyncio.Future[None]", patience: asyncio.Timeout) -> None:
    seconds = asyncio.get_running_loop().time
    at_once_bytes = 0
    while piece := await reader.read(LARGEST_PIECE_BYTES if at_once_bytes >= FAST_BYTES else PIECE_BYTES):
        began, size_bytes = seconds(), len(piece)
        patience.reschedule(began + STALL_SECONDS)
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        # One piece for each listener: this one is on its way, and only there. The next is read when it was taken.
        del piece
        # Others have their turn, also where this listener takes everything at once.
        await asyncio.sleep(0)
        await send(_NOTHING)
        at_once_bytes = at_once_bytes + size_bytes if seconds() - began < _AT_ONCE_SECONDS else 0
        patience.reschedule(None)
        # Whoever left in the meantime is told by nothing else from here on.
        if leaving.done():
            return
    await send({"type": "http.response.body", "body": b""})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
