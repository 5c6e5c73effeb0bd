"""A proxy in front of an S3 server that fails as networks and servers do: at the socket, and on demand.

It passes bytes on unchanged (the Host header too, which is signed) but for a `Connection: close`, so that each connection
carries one request and every request meets the fault of its moment.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Silent:
    """The request is taken, and nothing comes back."""


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is broken off before an answer."""


@dataclass(frozen=True, slots=True)
class Says:
    """The proxy answers itself; each of `headers` ends in CR and LF."""

    status: int
    body: bytes = b""
    headers: str = ""


@dataclass(frozen=True, slots=True)
class Cut:
    """The answer's body breaks off after so many bytes, and then nothing comes, or the connection ends."""

    after_bytes: int
    is_silent: bool = False


Fault = Silent | Reset | Says | Cut


class FaultyS3:
    """The proxy; `fault` holds for requests whose first line contains `only`."""

    def __init__(self, upstream_port: int) -> None:
        """Name the port of the server on 127.0.0.1."""
        self.fault: Fault | None = None
        self.only = ""
        self.requests: list[str] = []
        self.open_connections = 0
        self.port = 0
        self._upstream_port = upstream_port
        self._listening: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def endpoint_url(self) -> str:
        """Return the origin to which clients are pointed."""
        return f"http://127.0.0.1:{self.port}"

    async def listen(self) -> None:
        """Take connections, at the same port as before."""
        self._listening = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._listening.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Take no connections any more, and break off those that are open."""
        assert self._listening is not None
        self._listening.close()
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        self.open_connections += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._answer(reader, writer)
        finally:
            self.open_connections -= 1
            self._serving.discard(task)
            writer.transport.abort() if isinstance(self.fault, Reset) else writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(HEAD_END)
        line = head.split(b"\r\n", 1)[0].decode()
        self.requests.append(line)
        fault = self.fault if self.only in line else None
        match fault:
            case Reset():
                return
            case Silent():
                while await reader.read(65536):
                    pass
            case Says(status, body, headers):
                await _skip_body(reader, writer, head)
                lines = f"HTTP/1.1 {status} Said\r\n{headers}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                writer.write(lines.encode() + (b"" if head.startswith(b"HEAD ") else body))
                await writer.drain()
            case _:
                await self._pass_on(head, reader, writer, fault)

    async def _pass_on(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cut: Cut | None
    ) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        upstream_writer.write(head[: -len(HEAD_END)] + b"\r\nConnection: close" + HEAD_END)
        upwards = asyncio.create_task(_copy(reader, upstream_writer))
        try:
            if cut is None:
                await _copy(upstream_reader, writer)
                return
            writer.write(await upstream_reader.readuntil(HEAD_END))
            left = cut.after_bytes
            while left and (piece := await upstream_reader.read(min(left, 65536))):
                writer.write(piece)
                left -= len(piece)
                await writer.drain()
            if cut.is_silent:
                await upwards  # until the client gives up
        finally:
            upwards.cancel()
            await asyncio.gather(upwards, return_exceptions=True)
            upstream_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65536):
        writer.write(piece)
        await writer.drain()


async def _skip_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
    """Read what follows the head, so that the client can read an answer instead of a broken connection."""
    headers = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:] if line)
    if headers.get(b"expect") == b"100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    await reader.readexactly(int(headers.get(b"content-length", b"0")))


@asynccontextmanager
async def faulty_s3(upstream_port: int) -> AsyncIterator[FaultyS3]:
    """Run a proxy for the length of a block."""
    proxy = FaultyS3(upstream_port)
    await proxy.listen()
    try:
        yield proxy
    finally:
        await proxy.refuse()
