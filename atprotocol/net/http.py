"""The HTTP client for URLs that strangers chose: bounded in where it goes, how long and how much.

Public addresses only, judged on the address that is connected to and again after every redirect; only the
web's ports; caps on bytes (decompressed), time, slowness and redirects; a bounded number of requests to one
host at a time. It keeps no cookies and reads no proxy and no credentials from the environment. Pairs of
host and port that the policy names are exempt from the judgement of addresses, for tests and demonstrations.
"""

import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType

from aiohttp import (
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    TCPConnector,
    ThreadedResolver,
)
from aiohttp.abc import AbstractResolver
from yarl import URL

from atprotocol.data_model import Json
from atprotocol.errors import ForbiddenAddress, NetworkError, ResponseTooLarge
from atprotocol.net.addresses import Policy, Target
from atprotocol.net.body import Patience, read_bounded
from atprotocol.net.connections import PublicResolver, network_error, public_socket_factory, retry_after
from atprotocol.net.host_limiter import HostLimiter

DEFAULT_TIMEOUT_SECONDS = 15.0
MAX_REDIRECTS = 5
_REDIRECTS = frozenset((301, 302, 303, 307, 308))


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer, of any status; `headers` ignores case."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def retry_after_seconds(self) -> float | None:
        """Return the wait that the server asked for."""
        return retry_after(self.headers)

    def json(self) -> Json:
        """Return the body as JSON. Raises NetworkError when it is none."""
        try:
            value: Json = json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise NetworkError(f"no JSON from {self.url[:120]}") from error
        return value


class StreamedResponse:
    """An answer whose body is still to be read; it ends with the block that opened it."""

    def __init__(self, response: ClientResponse, patience: Patience, max_bytes: int) -> None:
        """Wrap an answer whose headers have arrived."""
        self.url = str(response.url)
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self._response = response
        self._patience = patience
        self._max_bytes = max_bytes

    @property
    def retry_after_seconds(self) -> float | None:
        """Return the wait that the server asked for."""
        return retry_after(self.headers)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body in pieces, decompressed. Raises ResponseTooLarge or another NetworkError."""
        encoding = self.headers.get("Content-Encoding", "").strip().lower()
        length = self._response.content_length
        if length is not None and length > self._max_bytes:
            raise ResponseTooLarge(f"the answer is {length} bytes long, {self._max_bytes} are allowed")
        pieces = read_bounded(self._response.content, self._patience, self._max_bytes, encoding)
        while True:
            # Only what the network does is translated here, not what the reader of a piece raises.
            try:
                piece = await anext(pieces, None)
            except (ClientError, OSError) as error:
                raise _translated(error, self._response.url.host or "") from error
            if piece is None:
                return
            yield piece

    async def read(self) -> bytes:
        """Return the whole body. Raises ResponseTooLarge or another NetworkError."""
        return b"".join([piece async for piece in self.chunks()])

    async def read_excuse(self) -> bytes:
        """Return what can be read of a body that only explains a failure; its length is no failure of its own."""
        pieces = []
        with contextlib.suppress(NetworkError):
            async for piece in self.chunks():
                pieces.append(piece)  # noqa: PERF401  (what came before the failure is kept)
        return b"".join(pieces)


class BoundedClient:
    """A client for one event loop, to be used as an asynchronous context manager."""

    def __init__(
        self,
        policy: Policy,
        resolver: AbstractResolver | None = None,
        *,
        per_host: int = 4,
        user_agent: str = "atprotocol",
        slow_window_seconds: float = 15.0,
        minimum_bytes_per_second: float = 1024.0,
    ) -> None:
        """Name the policy; `resolver` replaces the system's, `per_host` bounds the requests to one host."""
        self.policy = policy
        self._resolver = resolver
        # Told the host of every answer with status 429.
        self.on_too_many_requests: Callable[[str], None] = _ignore
        self._limiter = HostLimiter(per_host)
        self._user_agent = user_agent
        self._slow_window_seconds = slow_window_seconds
        self._minimum_bytes_per_second = minimum_bytes_per_second
        self._public: ClientSession | None = None
        self._opened: ClientSession | None = None

    async def __aenter__(self) -> "BoundedClient":
        """Open the connection pools."""
        resolver = self._resolver or ThreadedResolver()
        public = TCPConnector(
            resolver=PublicResolver(resolver, self.policy),
            socket_factory=public_socket_factory(self.policy),
            use_dns_cache=False,
            limit=0,
        )
        # Pairs on the allow-list have a pool of their own, so that no judged request can meet their connections.
        opened = TCPConnector(resolver=resolver, use_dns_cache=False, limit=0)
        self._public, self._opened = self._session(public), self._session(opened)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection pools."""
        for session in (self._public, self._opened):
            if session is not None:
                await session.close()

    async def get(
        self,
        url: str,
        *,
        max_bytes: int,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        max_redirects: int = MAX_REDIRECTS,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Return the answer to a GET, of any status but a redirect.

        Raises ForbiddenAddress, ResponseTooLarge, HostNotFound or another NetworkError.
        """
        bounds = {"max_bytes": max_bytes, "max_redirects": max_redirects}
        async with self.stream(url, timeout_seconds=timeout_seconds, headers=headers, **bounds) as response:
            body = await (response.read() if response.status < 400 else response.read_excuse())
            return Response(response.url, response.status, response.headers, body)

    @contextlib.asynccontextmanager
    async def stream(
        self,
        url: str,
        *,
        max_bytes: int,
        timeout_seconds: float,
        max_redirects: int = MAX_REDIRECTS,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[StreamedResponse]:
        """Open the answer to a GET, of any status but a redirect, to be read within the block.

        `timeout_seconds` counts the time spent waiting for the other side, over all redirects.
        Raises ForbiddenAddress, HostNotFound or another NetworkError.
        """
        patience = Patience(timeout_seconds, self._slow_window_seconds, self._minimum_bytes_per_second)
        next_url: URL | str = url
        for _ in range(max_redirects + 1):
            target = self.policy.check(next_url)
            async with self._limiter.turn(target.host):
                response = await self._ask(target, patience, headers or {})
                try:
                    if response.status == 429:
                        self.on_too_many_requests(target.host)
                    if response.status not in _REDIRECTS:
                        yield StreamedResponse(response, patience, max_bytes)
                        return
                    next_url = _location(response)
                finally:
                    # Not release(): what is left of a body must not be read to save a connection.
                    if not response.content.at_eof():
                        response.close()
                    response.release()
        raise NetworkError(f"more than {max_redirects} redirects from {str(url)[:120]}")

    async def _ask(self, target: Target, patience: Patience, headers: Mapping[str, str]) -> ClientResponse:
        session = self._opened if target.opened else self._public
        if session is None:
            raise RuntimeError("the client is not open")
        try:
            return await patience.wait(session.get(target.url, headers=headers, allow_redirects=False))
        except (ClientError, OSError, ValueError) as error:
            raise _translated(error, target.host) from error

    def _session(self, connector: TCPConnector) -> ClientSession:
        return ClientSession(
            connector=connector,
            cookie_jar=DummyCookieJar(),
            timeout=ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None),
            headers={"User-Agent": self._user_agent, "Accept-Encoding": "gzip"},
            auto_decompress=False,
            trust_env=False,
        )


def _ignore(_: str) -> None:
    """Tell nobody."""


def _location(response: ClientResponse) -> URL:
    location = response.headers.get("Location")
    if location is None:
        raise NetworkError(f"a redirect of {response.url.host} to nowhere")
    try:
        return response.url.join(URL(location))
    except ValueError as error:
        raise ForbiddenAddress(f"a redirect to what is no URL: {location[:80]!r}") from error


def _translated(error: Exception, host: str) -> NetworkError:
    cause = getattr(error, "os_error", error)
    if isinstance(cause, OSError):
        return network_error(cause, host)
    return NetworkError(f"{host}: {type(error).__name__}: {str(error)[:200]}")
