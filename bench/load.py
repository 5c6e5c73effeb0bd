"""A load generator in a process of its own: some connections that each ask again as soon as they are answered.

It looks at nothing but the status and the length of an answer, so that it costs far less than what it measures; how much
it can do is measured too, against a server that writes stored bytes without looking at the request.
"""

import asyncio
import multiprocessing
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

import uvloop

CONNECTIONS = 16
WARM_UP_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Load:
    """What came of some seconds of asking."""

    requests: int
    seconds: float
    latencies_ms: list[float]

    @property
    def rate(self) -> float:
        """Return answers per second."""
        return self.requests / self.seconds

    def percentile_ms(self, share: float) -> float:
        """Return the latency that this share of the answers did not exceed."""
        return sorted(self.latencies_ms)[min(len(self.latencies_ms) - 1, int(share * len(self.latencies_ms)))]


class UnexpectedAnswer(Exception):
    """Something else than 200 came, or the server closed the connection."""


class _Asker(asyncio.Protocol):
    """One kept-alive connection."""

    def __init__(
        self, request: bytes, latencies: list[float], failed: asyncio.Future[None], every_seconds: float | None
    ) -> None:
        self._request, self._latencies, self._failed = request, latencies, failed
        self._every_seconds = every_seconds
        self._head = bytearray()
        self._missing = 0
        self._asked = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        now = time.perf_counter()
        if self._every_seconds is None or not self._asked:
            self._asked = now
        else:
            # Asked when it was due: what comes late because the answer before it did, counts from then.
            self._asked += self._every_seconds
            if self._asked > now:
                asyncio.get_running_loop().call_later(self._asked - now, self._write)
                return
        self._write()

    def _write(self) -> None:
        self._transport.write(self._request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
        else:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._head[:end]).lower()
            if b" 200 " not in head.split(b"\r\n", 1)[0]:
                self._fail(UnexpectedAnswer(bytes(self._head[:200])))
                return
            length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            self._missing = end + 4 + length - len(self._head)
            self._head.clear()
        if not self._missing:
            self._latencies.append(time.perf_counter() - self._asked)
            self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc or UnexpectedAnswer("the connection was closed"))

    def _fail(self, error: Exception) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)


async def _ask_for(port: int, path: str, seconds: float, headers: str, rate: float | None) -> Load:
    loop = asyncio.get_running_loop()
    failed: asyncio.Future[None] = loop.create_future()
    latencies: list[float] = []
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n{headers}\r\n".encode()
    every_seconds = None if rate is None else CONNECTIONS / rate
    transports = [
        (await loop.create_connection(lambda: _Asker(request, latencies, failed, every_seconds), "127.0.0.1", port))[0]
        for _ in range(CONNECTIONS)
    ]
    await asyncio.wait([failed], timeout=WARM_UP_SECONDS)
    latencies.clear()
    started = time.perf_counter()
    await asyncio.wait([failed], timeout=seconds)
    took, kept = time.perf_counter() - started, [1000 * latency for latency in latencies]
    if failed.done():
        failed.result()
    failed.cancel()
    for transport in transports:
        transport.abort()
    return Load(len(kept), took, kept)


def _generate(orders: Connection) -> None:
    while (order := orders.recv()) is not None:
        orders.send(uvloop.run(_ask_for(*order)))


class _Stored(asyncio.Protocol):
    """Answers everything that arrives with the same bytes."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, _: bytes) -> None:
        self._transport.write(self._answer)  # type: ignore[attr-defined]


def _serve_stored(body_bytes: int, ready: Connection) -> None:
    async def serve() -> None:
        answer = f"HTTP/1.1 200 OK\r\nContent-Length: {body_bytes}\r\n\r\n".encode() + bytes(body_bytes)
        server = await asyncio.get_running_loop().create_server(lambda: _Stored(answer), "127.0.0.1", 0)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(serve())


class Generator:
    """The generating process, to be given one order after another."""

    def __init__(self, orders: Connection) -> None:
        """Talk to the process over a pipe."""
        self._orders = orders

    def ask(self, port: int, path: str, seconds: float, *, headers: str = "", rate: float | None = None) -> Load:
        """Ask a server on this machine for one path, over and over, or so many times a second.

        `headers` are whole lines with their ends. Raises UnexpectedAnswer, or EOFError when the process has ended.
        """
        self._orders.send((port, path, seconds, headers, rate))
        return self._orders.recv()

    def maximum(self, body_bytes: int, seconds: float) -> float:
        """Return how many answers of this size a second it can take at best."""
        with in_a_process(_serve_stored, body_bytes) as pipe:
            return self.ask(pipe.recv(), "/", seconds).rate


@contextmanager
def generator() -> Iterator[Generator]:
    """Run a load generator for the length of a block."""
    with in_a_process(_generate) as orders:
        yield Generator(orders)


@contextmanager
def in_a_process(function: object, *arguments: object) -> Iterator[Connection]:
    """Run a function with these arguments and one end of a pipe in a process of its own, and give the other end."""
    ours, theirs = multiprocessing.Pipe()
    spawn = multiprocessing.get_context("spawn")
    process = spawn.Process(target=function, args=(*arguments, theirs), daemon=True)  # type: ignore[arg-type]
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        process.terminate()
        process.join()


def listening_socket() -> socket.socket:
    """Return a socket on a free port of this machine."""
    return socket.create_server(("127.0.0.1", 0), backlog=256)
