"""One line, and where traces are sent one span, for each request: verb, path, status, time, size.

Says neither who asked nor what the query string held: people search for things that are nobody's business.
"""

import logging
import time
from contextlib import nullcontext

import logfire
from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger("plyr.appview")
_SHOWN_PATH_LENGTH = 200


class RequestLog:
    """An ASGI application around another."""

    def __init__(self, app: ASGIApp, *, traced: bool) -> None:
        """Take the application; `traced` says that spans go somewhere."""
        self._app = app
        self._traced = traced

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and log it when it has been answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status, size_bytes = 0, 0

        async def counted(message: Message) -> None:
            nonlocal status, size_bytes
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                size_bytes += len(message.get("body", b""))
            await send(message)

        path = scope["path"][:_SHOWN_PATH_LENGTH]
        span = logfire.span("appview.request", path=path) if self._traced else nullcontext()
        with span:
            try:
                await self._app(scope, receive, counted)
            finally:
                logger.info(
                    "appview.request method=%s path=%s status=%s ms=%.1f size_bytes=%s",
                    scope["method"],
                    path,
                    status or "none",
                    (time.perf_counter() - started) * 1000,
                    size_bytes,
                )
