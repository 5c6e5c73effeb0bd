"""A host of blobs at the socket, which behaves as hosts do, and as they should not: the reference PDS cannot be made to lie."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from atprotocol.cid import RAW, cid_of


def cid_text(content: bytes) -> str:
    """Return the CID of a blob."""
    return str(cid_of(content, RAW))


@dataclass
class Behaviour:
    """How one blob is given; the defaults are those of the reference PDS."""

    content: bytes
    status: int = 200
    error: str = ""
    # As it stands within the quotes of a JSON text.
    message: str = "no"
    mime_type: str = "application/octet-stream"
    # Claimed in Content-Length; None is the truth, -1 sends no length but chunks.
    claimed_length: int | None = None
    # The connection is closed after so many bytes.
    cut_after: int | None = None
    # Bytes after which the host waits until it is told to go on.
    pause_after: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)


class BlobHost:
    """Answers com.atproto.sync.getBlob, and anything under /files/."""

    def __init__(self) -> None:
        self.port = 0
        self.blobs: dict[str, Behaviour] = {}
        self.files: dict[str, Behaviour] = {}
        self.asked: Counter[str] = Counter()
        self.open_connections = 0
        self.most_at_once = 0

    @property
    def url(self) -> str:
        """Return the origin."""
        return f"http://localhost:{self.port}"

    def put(self, content: bytes, cid: str | None = None, **behaviour: object) -> str:
        """Serve a blob and return its CID; another `cid` makes a liar, and `did/cid` one for a single account."""
        cid = cid or cid_text(content)
        self.blobs[cid] = Behaviour(content, **behaviour)  # type: ignore[arg-type]
        return cid

    def put_file(self, name: str, content: bytes, **behaviour: object) -> str:
        """Serve a file and return its URL."""
        self.files[name] = Behaviour(content, **behaviour)  # type: ignore[arg-type]
        return f"{self.url}/files/{name}"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of a connection."""
        self.open_connections += 1
        self.most_at_once = max(self.most_at_once, self.open_connections)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._one(reader, writer)
        finally:
            self.open_connections -= 1
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        target = urlsplit(request.split(" ")[1])
        if target.path.startswith("/files/"):
            name = target.path.removeprefix("/files/")
            found = self.files.get(name)
        else:
            asked = parse_qs(target.query)
            name = asked.get("cid", [""])[0]
            found = self.blobs.get(f"{asked.get('did', [''])[0]}/{name}") or self.blobs.get(name)
        self.asked[name] += 1
        if found is None:
            found = Behaviour(b'{"error":"InvalidRequest","message":"Blob not found"}', status=400)
        elif found.status >= 400:
            found = Behaviour(
                f'{{"error":"{found.error}","message":"{found.message}"}}'.encode(),
                status=found.status,
                headers=found.headers,
            )
        await self._send(found, writer, request)

    async def _send(self, found: Behaviour, writer: asyncio.StreamWriter, request: str) -> None:
        content = found.content
        length = len(content) if found.claimed_length is None else found.claimed_length
        lines = [f"HTTP/1.1 {found.status} X", f"Content-Type: {found.mime_type}", "Connection: close"]
        lines.append("Transfer-Encoding: chunked" if length < 0 else f"Content-Length: {length}")
        lines += [f"{name}: {value}" for name, value in found.headers.items()]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
        if request.startswith("HEAD"):
            await writer.drain()
            return
        end = len(content) if found.cut_after is None else found.cut_after
        for start in range(0, end, 16384):
            piece = content[start : min(start + 16384, end)]
            if found.pause_after is not None and start <= found.pause_after < start + len(piece):
                await writer.drain()
                await found.go_on.wait()
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece) if length < 0 else piece)
            await writer.drain()
        if length < 0 and found.cut_after is None:
            writer.write(b"0\r\n\r\n")
        await writer.drain()


@asynccontextmanager
async def blob_host() -> AsyncIterator[BlobHost]:
    """Run a host for the length of a block."""
    host = BlobHost()
    server = await asyncio.start_server(host.answer, "127.0.0.1", 0)
    host.port = server.sockets[0].getsockname()[1]
    try:
        yield host
    finally:
        for behaviour in (*host.blobs.values(), *host.files.values()):
            behaviour.go_on.set()
        server.close()
