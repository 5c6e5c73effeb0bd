"""The firehose connection against WebSocket servers that close, refuse, redirect and misbehave."""

import http
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.http11 import Response as HandshakeResponse

from atprotocol.errors import ForbiddenAddress, FrameError, NetworkError, StreamRefused
from atprotocol.net.addresses import Policy
from atprotocol.net.firehose import MAX_MESSAGE_BYTES, Backoff, connect

PATH = "/xrpc/com.atproto.sync.subscribeRepos"
Handler = Callable[[ServerConnection], Awaitable[None]]


def _answer(status: int, **headers: str) -> HandshakeResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HandshakeResponse(
        status, http.HTTPStatus(status).phrase, Headers({"Content-Length": "0", "Connection": "close"} | named), b""
    )


@asynccontextmanager
async def _serving(handler: Handler, refusals: dict[str, HandshakeResponse] | None = None) -> AsyncIterator[int]:
    async def process(_: ServerConnection, request: Request) -> HandshakeResponse | None:
        return (refusals or {}).get(request.path)

    async with serve(handler, "127.0.0.1", 0, process_request=process, max_size=None) as server:
        yield next(iter(server.sockets)).getsockname()[1]


def _allow(*ports: int) -> Policy:
    return Policy(allowed=frozenset(("127.0.0.1", port) for port in ports))


async def _collect(url: str, policy: Policy, cursor: int | None = None) -> list[bytes]:
    async with connect(url, cursor, policy) as stream:
        return [frame async for frame in stream]


async def _nothing(_: ServerConnection) -> None:
    pass


async def test_frames_come_as_they_were_sent_until_the_close() -> None:
    async def handler(ws: ServerConnection) -> None:
        await ws.send(b"one")
        await ws.send([b"tw", b"o"])
        await ws.send(b"x" * 6_000_000)

    async with _serving(handler) as port:
        frames = await _collect(f"ws://127.0.0.1:{port}{PATH}", _allow(port))
    assert [frame[:3] for frame in frames] == [b"one", b"two", b"xxx"]
    assert len(frames[2]) == 6_000_000


@pytest.mark.parametrize(("cursor", "query"), [(None, ""), (0, "?cursor=0"), (17, "?cursor=17")])
async def test_the_cursor_goes_into_the_query_and_none_asks_for_now(cursor: int | None, query: str) -> None:
    async def handler(ws: ServerConnection) -> None:
        assert ws.request is not None
        await ws.send(ws.request.path.encode())

    async with _serving(handler) as port:
        for scheme in ("ws", "http"):
            assert await _collect(f"{scheme}://127.0.0.1:{port}{PATH}", _allow(port), cursor) == [
                f"{PATH}{query}".encode()
            ]


async def test_no_compression_is_negotiated_and_no_proxy_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:1")

    async def handler(ws: ServerConnection) -> None:
        assert ws.request is not None
        await ws.send(ws.request.headers.get("Sec-WebSocket-Extensions", "none").encode())

    async with _serving(handler) as port:
        assert await _collect(f"ws://127.0.0.1:{port}{PATH}", _allow(port)) == [b"none"]


async def test_a_broken_connection_raises_after_the_frames_that_came() -> None:
    async def handler(ws: ServerConnection) -> None:
        await ws.send(b"one")
        await ws.close(1008, "ConsumerTooSlow")

    async with _serving(handler) as port, connect(f"ws://127.0.0.1:{port}{PATH}", None, _allow(port)) as stream:
        frames = aiter(stream)
        assert await anext(frames) == b"one"
        with pytest.raises(NetworkError, match="ConsumerTooSlow"):
            await anext(frames)


async def test_a_text_message_is_a_frame_error() -> None:
    async def handler(ws: ServerConnection) -> None:
        await ws.send("text")

    async with _serving(handler) as port:
        with pytest.raises(FrameError):
            await _collect(f"ws://127.0.0.1:{port}{PATH}", _allow(port))


async def test_a_message_beyond_the_bound_breaks_the_connection() -> None:
    async def handler(ws: ServerConnection) -> None:
        await ws.send(b"x" * (MAX_MESSAGE_BYTES + 1))

    async with _serving(handler) as port:
        with pytest.raises(NetworkError):
            await _collect(f"ws://127.0.0.1:{port}{PATH}", _allow(port))


@pytest.mark.parametrize("status", [405, 426, 501])
async def test_a_host_that_will_never_stream_is_told_apart(status: int) -> None:
    async with _serving(_nothing, {PATH: _answer(status)}) as port:
        with pytest.raises(StreamRefused):
            await _collect(f"ws://127.0.0.1:{port}{PATH}", _allow(port))


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
async def test_other_refusals_may_be_tried_again_after_the_wait_that_was_asked_for(status: int) -> None:
    async with _serving(_nothing, {PATH: _answer(status, Retry_After="12")}) as port:
        with pytest.raises(NetworkError) as caught:
            await _collect(f"ws://127.0.0.1:{port}{PATH}", _allow(port))
    assert caught.value.retry_after_seconds == 12


@pytest.mark.parametrize("place", ["https://[bad", "http://[::1"])
async def test_a_redirect_to_what_is_no_url_is_refused(place: str) -> None:
    async with _serving(_nothing, {PATH: _answer(302, Location=place)}) as port:
        with pytest.raises(ForbiddenAddress):
            await _collect(f"ws://127.0.0.1:{port}{PATH}", _allow(port))


@pytest.mark.parametrize(("status", "name", "value"), [(302, "Location", "https://[bad"), (503, "Retry-After", "2")])
async def test_a_header_that_comes_twice_is_the_networks_fault(status: int, name: str, value: str) -> None:
    answer = _answer(status)
    for _ in range(2):
        answer.headers[name] = value
    async with _serving(_nothing, {PATH: answer}) as port:
        with pytest.raises(NetworkError):
            await _collect(f"ws://127.0.0.1:{port}{PATH}", _allow(port))


async def test_a_redirect_to_another_host_is_followed_and_judged() -> None:
    async def handler(ws: ServerConnection) -> None:
        await ws.send(b"here")

    async with _serving(handler) as there:
        for location in (f"http://127.0.0.1:{there}{PATH}", f"ws://127.0.0.1:{there}{PATH}"):
            async with _serving(_nothing, {PATH: _answer(307, Location=location)}) as here:
                url = f"ws://127.0.0.1:{here}{PATH}"
                assert await _collect(url, _allow(here, there)) == [b"here"]
                with pytest.raises(ForbiddenAddress):
                    await _collect(url, _allow(here))


async def test_a_relative_redirect_is_followed_and_a_loop_ends() -> None:
    async def handler(ws: ServerConnection) -> None:
        await ws.send(b"here")

    refusals = {"/a": _answer(302, Location="/b"), "/loop": _answer(302, Location="/loop")}
    async with _serving(handler, refusals) as port:
        assert await _collect(f"ws://127.0.0.1:{port}/a", _allow(port)) == [b"here"]
        with pytest.raises(NetworkError, match="redirects"):
            await _collect(f"ws://127.0.0.1:{port}/loop", _allow(port))


@pytest.mark.parametrize(
    "url",
    [
        "ws://example.com/",
        "wss://127.0.0.1/",
        "wss://2130706433/",
        "wss://example.com:2583/",
        "ftp://example.com/",
        "nonsense",
    ],
)
async def test_a_url_out_of_the_rules_is_not_connected_to(url: str) -> None:
    with pytest.raises(ForbiddenAddress):
        await _collect(url, Policy())


async def test_a_name_with_a_private_address_is_not_connected_to() -> None:
    class Inside(AbstractResolver):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
        ) -> list[ResolveResult]:
            return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0)]

        async def close(self) -> None:
            pass

    with pytest.raises(ForbiddenAddress):
        async with connect("wss://inside.example.com/", None, Policy(), Inside()):
            pass


async def test_a_closed_port_is_a_network_error() -> None:
    async with _serving(_nothing) as port:
        pass
    with pytest.raises(NetworkError):
        await _collect(f"ws://127.0.0.1:{port}{PATH}", _allow(port))


def test_waits_grow_to_the_longest_and_never_vanish() -> None:
    lowest, highest = Backoff(lambda: 0.0), Backoff(lambda: 0.999)
    assert [lowest.failed() for _ in range(8)] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert max(highest.failed() for _ in range(2000)) < 60
    highest.succeeded()
    assert highest.failed() < 1


def test_a_wait_that_was_asked_for_is_never_shortened() -> None:
    assert Backoff(lambda: 0.0).failed(120) >= 120
