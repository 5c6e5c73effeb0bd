"""A TCP server on loopback that answers HTTP requests with whatever bytes a test wants."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Answer = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]


def http_answer(status: int = 200, body: bytes = b"", **headers: str) -> bytes:
    """Return the bytes of an answer; header names are written with underscores."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class RawServer:
    """Answers by path, and keeps what it was asked."""

    def __init__(self, host: str) -> None:
        """Name the address; the port comes with the first listening."""
        self.host = host
        self.port = 0
        self.answers: dict[str, Answer] = {}
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        """Return the server's origin."""
        return f"http://{self.host}:{self.port}"

    @property
    def paths(self) -> list[str]:
        """Return the paths that were asked for, in order."""
        return [request.split(" ", 2)[1] for request in self.requests]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request and close."""
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.requests.append(request)
            answer = self.answers.get(request.split(" ", 2)[1], http_answer(404, b"nothing here"))
            if callable(answer):
                await answer(writer)
            else:
                writer.write(answer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def raw_server(host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[RawServer]:
    """Run a server for the length of a block."""
    server = RawServer(host)
    listening = await asyncio.start_server(server.serve, host, port)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
