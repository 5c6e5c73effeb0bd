"""An event stream as raw frames: connect once, yield, end. When to connect again is the caller's policy.

The address is judged like any other URL's, after every redirect; no proxy is read from the environment. The
size of a message is bounded above the protocol's 5 MB. Nothing is sent but pongs, and nothing is decoded.
Sources: https://atproto.com/specs/event-stream, https://atproto.com/specs/sync
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urljoin

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as websocket_connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from atprotocol.errors import ForbiddenAddress, FrameError, NetworkError, StreamRefused
from atprotocol.net.addresses import Policy, Target
from atprotocol.net.connections import open_socket, retry_after

MAX_MESSAGE_BYTES = 8_000_000
MAX_REDIRECTS = 5
CONNECT_TIMEOUT_SECONDS = 20.0
PING_SECONDS = 30.0
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_REFUSED = frozenset((405, 426, 501))
_WEB_SCHEMES = {"https": "wss", "http": "ws"}


class Connection:
    """An open stream: iterate over it for frames, each the bytes of one message."""

    def __init__(self, websocket: ClientConnection, url: str) -> None:
        """Wrap a WebSocket that is open."""
        self.url = url
        self._websocket = websocket

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield frames until the other side closes in order.

        Raises NetworkError when the connection breaks, FrameError for a message that is text.
        """
        try:
            async for message in self._websocket:
                if isinstance(message, str):
                    raise FrameError("a message is text, frames are binary")
                yield message
        except ConnectionClosed as error:
            raise NetworkError(f"the stream broke: {error}") from error


@asynccontextmanager
async def connect(
    url: str,
    cursor: int | None,
    policy: Policy,
    resolver: AbstractResolver | None = None,
    *,
    user_agent: str = "atprotocol",
    timeout_seconds: float = CONNECT_TIMEOUT_SECONDS,
) -> AsyncIterator[Connection]:
    """Open the event stream at `url` (ws, wss, http or https, with its path) after `cursor`; None is from now.

    Raises StreamRefused where there will never be a stream, NetworkError with the wait that was asked for, or
    ForbiddenAddress.
    """
    next_url = url if cursor is None else f"{url}{'&' if '?' in url else '?'}cursor={cursor}"
    asking = resolver or ThreadedResolver()
    websocket: ClientConnection | None = None
    target: Target | None = None
    try:
        async with asyncio.timeout(timeout_seconds):
            for _ in range(MAX_REDIRECTS + 1):
                target = policy.check(_websocket_url(next_url), schemes=("wss", "ws"))
                connection = await open_socket(target, policy, asking)
                answer = await _shake_hands(target, connection, user_agent)
                if isinstance(answer, ClientConnection):
                    websocket = answer
                    break
                next_url = _location(next_url, answer)
    except TimeoutError as error:
        raise NetworkError(f"{url}: no stream within {timeout_seconds} s") from error
    if websocket is None or target is None:
        raise NetworkError(f"more than {MAX_REDIRECTS} redirects from {url}")
    try:
        yield Connection(websocket, str(target.url))
    finally:
        await websocket.close()


class Backoff:
    """How long to wait before each reconnection: longer after each failure, never nothing, and never in step."""

    def __init__(self, random: Callable[[], float], first_seconds: float = 1.0, longest_seconds: float = 60.0) -> None:
        """Take the randomness, a function to [0, 1), and the bounds."""
        self._random = random
        self._first_seconds = first_seconds
        self._longest_seconds = longest_seconds
        self._failures = 0

    def failed(self, retry_after_seconds: float | None = None) -> float:
        """Return the seconds to wait now; also when an accepted connection was dropped.

        A wait that the other side asked for is honoured, jitter comes on top.
        """
        ceiling: float = min(self._longest_seconds, self._first_seconds * 2.0 ** min(self._failures, 30))
        self._failures += 1
        jittered = ceiling * (0.5 + self._random() / 2)
        return jittered if retry_after_seconds is None else retry_after_seconds + jittered

    def succeeded(self) -> None:
        """Start over: a frame arrived. That a connection was accepted is not yet success."""
        self._failures = 0


class _OneAttempt(websocket_connect):
    """A connect that leaves redirects to us, who judge them."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def _shake_hands(target: Target, connection: socket.socket, user_agent: str) -> ClientConnection | str:
    """Return the open WebSocket, or where we are sent instead."""
    try:
        return await _OneAttempt(
            str(target.url),
            sock=connection,
            server_hostname=target.host if target.secure else None,
            proxy=None,
            compression=None,
            max_size=MAX_MESSAGE_BYTES,
            max_queue=64,
            ping_interval=PING_SECONDS,
            ping_timeout=PING_SECONDS * 2,
            close_timeout=2,
            open_timeout=None,
            user_agent_header=user_agent,
        )
    except InvalidStatus as error:
        status = error.response.status_code
        # Plain, because the library's own raises LookupError for a header that comes twice.
        headers = {name.title(): value for name, value in error.response.headers.raw_items()}
        if status in _REDIRECTS and "Location" in headers:
            return headers["Location"]
        if status in _REFUSED:
            raise StreamRefused(f"{target.url}: status {status}") from error
        raise NetworkError(f"{target.url}: status {status}", retry_after_seconds=retry_after(headers)) from error
    except (InvalidHandshake, InvalidURI, OSError, EOFError) as error:
        raise NetworkError(f"{target.url}: {error}") from error
    except BaseException:
        connection.close()
        raise


def _location(url: str, answer: str) -> str:
    try:
        return urljoin(_http_url(url), answer)
    except ValueError as error:
        raise ForbiddenAddress(f"a redirect to what is no URL: {answer[:80]!r}") from error


def _websocket_url(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return f"{_WEB_SCHEMES.get(scheme.lower(), scheme)}{separator}{rest}"


def _http_url(url: str) -> str:
    # urljoin knows no ws: URLs.
    return "http" + url[2:] if url.startswith("ws") else url
