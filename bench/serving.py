"""What a page of the newest tracks costs, against the same server that answers the same bytes from memory.

Database, appview and load generator each have a process; the appview runs as the program runs it, without rate limits.
The two paths are asked in turns, so that whatever else the machine does meets both.
"""

import asyncio
import logging
import os
import shutil
import statistics
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import uvloop
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appview.app import create_app, pool_opener
from appview.settings import AppviewSettings
from appview.xrpc.reply import output_reply
from atprotocol.data_model import object_from_json
from atprotocol.lexicon.catalog import Catalog
from bench import music
from bench.load import Load, generator, in_a_process, listening_socket
from database.embedded import EmbeddedPostgres
from database.migrate import migrate
from plyr.listening import port_of
from plyr.listening import serve as serve_sockets
from plyr.request_log import RequestLog

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = AppviewSettings(rate_windows=())
METHOD = SETTINGS.nsid("feed.getLatest")
LIMIT = 50
PATH, QUERY = f"/xrpc/{METHOD}", f"limit={LIMIT}"
STORED_PATH = "/stored"
ROUNDS = 3


class _Stored:
    """Answers like the page, with bytes that it keeps: the same headers, the same ETag of the same body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._body = b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._body:
            self._body = await self._page(scope, receive)
        request = Request(scope, receive)
        await output_reply(orjson.Fragment(self._body), request, SETTINGS.cache_seconds).send(request, send)

    async def _page(self, scope: Scope, receive: Receive) -> bytes:
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        asked = {"path": PATH, "raw_path": PATH.encode(), "query_string": QUERY.encode(), "path_params": {}}
        await self._app({**scope, **asked}, receive, keep)
        return b"".join(message["body"] for message in messages if message["type"] == "http.response.body")


def _serve(url: str, ready: Connection) -> None:
    logging.disable(logging.INFO)
    app = create_app(SETTINGS, Catalog.load(ROOT / "lexicons"), open_pool=pool_opener(url, SETTINGS))
    app.router.routes.insert(0, Route(STORED_PATH, _Stored(app)))
    with listening_socket() as taken:
        serving = serve_sockets(RequestLog(app, traced=False), [taken], lambda: ready.send(port_of([taken])))
        uvloop.run(serving)


@contextmanager
def _database() -> Iterator[str]:
    """Give the URL of a filled database."""
    root = Path(tempfile.mkdtemp(prefix="plyr-bench-"))
    root.chmod(0o755)
    postgres = EmbeddedPostgres(root, binaries_cache=Path(tempfile.gettempdir()) / f"plyr-test-binaries-{os.geteuid()}")
    try:
        url = postgres.start()

        async def fill() -> None:
            await migrate(url, ROOT / "migrations")
            connection = await asyncpg.connect(url)
            await music.fill(connection)
            await connection.close()

        asyncio.run(fill())
        yield url
    finally:
        postgres.stop()
        shutil.rmtree(root, ignore_errors=True)


def _answer(port: int, path: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}{path}", timeout=30) as response:
        answer: bytes = response.read()
        return answer


def _checked(port: int) -> int:
    """Return the size of the answer, after making sure that both paths give what the lexicon promises."""
    answer = _answer(port, f"{PATH}?{QUERY}")
    output = object_from_json(orjson.loads(answer))
    problems = Catalog.load(ROOT / "lexicons").output_validator(METHOD)(output)
    if problems or len(output["tracks"]) != LIMIT or _answer(port, STORED_PATH) != answer:  # type: ignore[arg-type]
        raise RuntimeError(f"not the answer that is to be measured: {problems}")
    return len(answer)


def serve(seconds: float = 3.0) -> dict[str, Any]:
    """Measure the page and the stored bytes, `seconds` each, in turns."""
    pages: list[Load] = []
    stored: list[Load] = []
    with _database() as url, in_a_process(_serve, url) as appview, generator() as load:
        port = appview.recv()
        size_bytes = _checked(port)
        maximum = load.maximum(size_bytes, seconds / ROUNDS)
        for _ in range(ROUNDS):
            pages.append(load.ask(port, f"{PATH}?{QUERY}", seconds / ROUNDS))
            stored.append(load.ask(port, STORED_PATH, seconds / ROUNDS))
    rate = statistics.median(each.rate for each in pages)
    stored_rate = statistics.median(each.rate for each in stored)
    return {
        "tracks": music.TRACKS,
        "answer_bytes": size_bytes,
        "generator_requests_per_second": round(maximum),
        "stored_requests_per_second": round(stored_rate),
        "requests_per_second": round(rate),
        "p50_ms": round(statistics.median(each.percentile_ms(0.5) for each in pages), 2),
        "p99_ms": round(statistics.median(each.percentile_ms(0.99) for each in pages), 2),
        "ratio_to_stored_bytes": round(rate / stored_rate, 3),
    }
