"""The HTTP and WebSocket side of a labeler, on a real socket: its stream with replay from a cursor, and its pages.

What a labeler may do wrong is told by attributes.
"""

import asyncio
from collections import Counter
from typing import Any

import world
from aiohttp import web
from labeler import Labeler, LabelMap, as_json, labels_frame

PAGE = 2


class LabelerServer:
    """A server of one labeler, which is set once the server's address is known."""

    def __init__(self) -> None:
        """Serve nothing before start()."""
        self.labeler: Labeler | None = None
        self.messages: list[tuple[int, bytes]] = []
        self.listed: list[LabelMap] = []  # what queryLabels tells, besides
        self.cursors: list[str | None] = []  # the cursor of each connection
        self.requests: Counter[str] = Counter()
        self.down: set[str] = set()  # names of endpoints that answer 503
        self.refuses_queries = False
        self.greeting: list[bytes | str] = []  # what is sent first on each connection
        self.oldest = 0  # what lies before it is no longer told: OutdatedCursor
        self.port = 0
        self._new = asyncio.Condition()
        self._sockets: set[web.WebSocketResponse] = set()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Return the server's origin."""
        return f"http://localhost:{self.port}"

    async def start(self) -> None:
        """Listen on a free port of the loopback interface."""
        app = web.Application()
        app.router.add_get("/xrpc/com.atproto.label.subscribeLabels", self._subscribe)
        app.router.add_get("/xrpc/com.atproto.label.queryLabels", self._query)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        assert site._server is not None
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr, attr-defined]

    async def stop(self) -> None:
        """Stop listening and drop every connection."""
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def last_seq(self) -> int:
        """Return the seq of the newest message."""
        return max((seq for seq, _ in self.messages), default=0)

    async def say(self, *labels: Any, seq: int | None = None) -> int:
        """Send a message with these labels, and list them; return its seq."""
        seq = self.last_seq + 1 if seq is None else seq
        self.listed += labels
        await self.send(seq, labels_frame(seq, *labels))
        return seq

    async def send(self, seq: int, raw: bytes) -> None:
        """Send a frame as it is, and replay it under this seq."""
        self.messages.append((seq, raw))
        async with self._new:
            self._new.notify_all()

    def disconnect(self) -> None:
        """Drop every connection."""
        for socket in list(self._sockets):
            transport = socket._req.transport if socket._req is not None else None
            if transport is not None:
                transport.abort()

    async def _subscribe(self, request: web.Request) -> web.StreamResponse:
        self.requests["subscribeLabels"] += 1
        if "subscribeLabels" in self.down:
            return web.json_response({"error": "Unavailable", "message": "down"}, status=503)
        cursor = request.query.get("cursor")
        self.cursors.append(cursor)
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        self._sockets.add(socket)
        closing = asyncio.create_task(self._await_close(socket))
        try:
            await self._stream(socket, self.last_seq if cursor is None else int(cursor))
        except ConnectionError:
            pass
        finally:
            self._sockets.discard(socket)
            closing.cancel()
        return socket

    async def _await_close(self, socket: web.WebSocketResponse) -> None:
        """Answer when the other side says goodbye."""
        async for _ in socket:
            pass
        async with self._new:
            self._new.notify_all()

    async def _stream(self, socket: web.WebSocketResponse, cursor: int) -> None:
        for item in self.greeting:
            await (socket.send_str(item) if isinstance(item, str) else socket.send_bytes(item))
        if cursor > self.last_seq:
            await socket.send_bytes(world.error_frame("FutureCursor"))
            await socket.close()
            return
        if cursor < self.oldest:
            await socket.send_bytes(world.info_frame("OutdatedCursor"))
        sent = 0
        while not socket.closed:
            while sent < len(self.messages):
                seq, raw = self.messages[sent]
                sent += 1
                if seq > max(cursor, self.oldest):
                    await socket.send_bytes(raw)
            async with self._new:
                if sent >= len(self.messages):
                    await self._new.wait()

    async def _query(self, request: web.Request) -> web.Response:
        self.requests["queryLabels"] += 1
        if "queryLabels" in self.down:
            return web.json_response({"error": "Unavailable", "message": "down"}, status=503)
        if self.refuses_queries:
            return web.json_response({"error": "MethodNotImplemented", "message": ""}, status=501)
        assert self.labeler is not None
        assert (request.query["uriPatterns"], request.query["sources"]) == ("*", self.labeler.did)
        assert 1 <= int(request.query["limit"]) <= 250
        start = int(request.query.get("cursor", 0))
        page = self.listed[start : start + PAGE]
        body: dict[str, Any] = {"labels": [as_json(label) if isinstance(label, dict) else label for label in page]}
        if start + PAGE < len(self.listed):
            body["cursor"] = str(start + PAGE)
        return web.json_response(body)
