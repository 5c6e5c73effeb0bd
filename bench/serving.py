"""What answers cost, against the same server that answers the same bytes of the newest tracks from memory.

Database, appview and load generator each have a process; the appview runs as the program runs it, without rate limits:
once without keeping any answer, once as it is shipped. The paths are asked in turns, so that whatever else the machine
does meets all of them.
"""

import asyncio
import base64
import logging
import os
import shutil
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import asyncpg
import orjson
import uvloop
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appview import hydration
from appview.app import create_app, pool_opener
from appview.feeds.tracks import latest
from appview.settings import AppviewSettings
from appview.track_contents import TrackContents
from appview.viewer import ANONYMOUS
from appview.views.feed import track_view
from appview.visibility import UNWANTED_TAGS, Seen, shown
from appview.xrpc.reply import output_reply, page_of
from atprotocol.crypto import private_key_from_bytes
from atprotocol.data_model import object_from_json
from atprotocol.lexicon.catalog import Catalog
from bench import music
from bench.load import Generator, Load, generator, in_a_process, listening_socket
from database.embedded import EmbeddedPostgres
from database.migrate import migrate
from plyr.listening import port_of
from plyr.listening import serve as serve_sockets
from plyr.request_log import RequestLog

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = AppviewSettings(rate_windows=(), account_rate_windows=())
SETTINGS = replace(SHIPPED, page_seconds=0)
METHOD = SETTINGS.nsid("feed.getLatest")
LIMIT = 50
PATH, QUERY = f"/xrpc/{METHOD}", f"limit={LIMIT}"
STORED_PATH = "/stored"
ROUNDS = 3
VIEWERS_KEY = private_key_from_bytes("K-256", b"\x07" * 32)


class _Stored:
    """Answers like the page, with bytes that it keeps: the same headers, the same ETag of the same body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._body = b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._body:
            self._body = await self._page(scope, receive)
        request = Request(scope, receive)
        page = page_of(orjson.Fragment(self._body), {}, is_kept=True)
        await output_reply(page, request, SETTINGS.cache_seconds).send(request, send)

    async def _page(self, scope: Scope, receive: Receive) -> bytes:
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        asked = {"path": PATH, "raw_path": PATH.encode(), "query_string": QUERY.encode(), "path_params": {}}
        await self._app({**scope, **asked}, receive, keep)
        return b"".join(message["body"] for message in messages if message["type"] == "http.response.body")


def _serve(url: str, settings: AppviewSettings, ready: Connection) -> None:
    logging.disable(logging.INFO)
    app = create_app(settings, Catalog.load(ROOT / "lexicons"), open_pool=pool_opener(url, settings))
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
            statement = "UPDATE network.repos SET signing_key = $1 WHERE actor_id = $2"
            await connection.execute(statement, VIEWERS_KEY.public_key.did_key, music.VIEWER)
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


async def _paths(url: str) -> dict[str, str]:
    """Return what is asked besides the newest tracks, by name."""
    connection = await asyncpg.connect(url)
    uris = await connection.fetch("SELECT uri FROM network.tracks WHERE visibility = 'public' ORDER BY uri LIMIT 50")
    listed = await connection.fetchval("SELECT uri FROM network.lists")
    did = await connection.fetchval("SELECT did FROM network.actors WHERE actor_id = 1")
    await connection.close()
    return {
        "get_tracks": _path("feed.getTracks", uris=[row["uri"] for row in uris]),
        "get_profile": _path("actor.getProfile", actor=did),
        "get_list_200": _path("library.getList", uri=listed, limit=music.LIST_POSITIONS),
        "search_tracks_common": _path("feed.searchTracks", q="track", limit=LIMIT),
        "search_tracks_rare": _path("feed.searchTracks", q="4711", limit=LIMIT),
    }


def _path(name: str, **parameters: Any) -> str:
    return f"/xrpc/{SETTINGS.nsid(name)}?{urlencode(parameters, doseq=True)}"


async def _authorization(url: str) -> str:
    """Return the header of a viewer who likes some of what is shown, good for an hour of the same query."""
    connection = await asyncpg.connect(url)
    did = await connection.fetchval("SELECT did FROM network.actors WHERE actor_id = $1", music.VIEWER)
    await connection.close()
    now = int(time.time())
    claims = {"iss": did, "aud": SETTINGS.did, "lxm": METHOD, "iat": now, "exp": now + 3600, "jti": "bench"}
    parts = [base64.urlsafe_b64encode(orjson.dumps(each)).rstrip(b"=") for each in ({"typ": "JWT", "alg": "ES256K"}, claims)]  # fmt: skip
    signed = b".".join(parts)
    signature = base64.urlsafe_b64encode(VIEWERS_KEY.sign(signed)).rstrip(b"=")
    return f"Authorization: Bearer {(signed + b'.' + signature).decode()}\r\n"


def _median(loads: list[Load]) -> float:
    return statistics.median(each.rate for each in loads)


def serve(seconds: float = 3.0) -> dict[str, Any]:
    """Measure every path for so many seconds, in turns."""
    loads: dict[str, list[Load]] = {}
    with (
        _database() as url,
        in_a_process(_serve, url, SETTINGS) as fresh,
        in_a_process(_serve, url, SHIPPED) as shipped,
        generator() as load,
    ):
        port, kept_port = fresh.recv(), shipped.recv()
        size_bytes = _checked(port)
        paths = asyncio.run(_paths(url))
        authorization = asyncio.run(_authorization(url))
        maximum = load.maximum(size_bytes, seconds / ROUNDS)
        page = f"{PATH}?{QUERY}"

        def ask(name: str, on_port: int, path: str, **how: Any) -> None:
            loads.setdefault(name, []).append(load.ask(on_port, path, seconds / ROUNDS, **how))

        for _ in range(ROUNDS):
            ask("fresh", port, page)
            ask("stored", port, STORED_PATH)
            ask("kept", kept_port, page)
            ask("viewer", port, page, headers=authorization)
            for name, path in paths.items():
                ask(name, port, path)
        half = _at_half(load, port, page, _median(loads["fresh"]) / 2, seconds)
    fresh_rate, stored_rate = _median(loads["fresh"]), _median(loads["stored"])
    return {
        "tracks": music.TRACKS,
        "likes": music.LIKES,
        "answer_bytes": size_bytes,
        "generator_requests_per_second": round(maximum),
        "stored_requests_per_second": round(stored_rate),
        "requests_per_second": round(fresh_rate),
        "ratio_to_stored_bytes": round(fresh_rate / stored_rate, 3),
        "kept_requests_per_second": round(_median(loads["kept"])),
        "kept_ratio_to_stored_bytes": round(_median(loads["kept"]) / stored_rate, 3),
        "viewer_cost": round(fresh_rate / _median(loads["viewer"]), 2),
        "half_load_p50_ms": round(half.percentile_ms(0.5), 2),
        "half_load_p99_ms": round(half.percentile_ms(0.99), 2),
        "half_load_p99_to_p50": round(half.percentile_ms(0.99) / half.percentile_ms(0.5), 2),
        **{f"{name}_cost": round(fresh_rate / _median(loads[name]), 2) for name in paths},
    }


def _at_half(load: Generator, port: int, path: str, rate: float, seconds: float) -> Load:
    return load.ask(port, path, seconds, rate=rate)


def serve_parts(count: int = 500) -> dict[str, Any]:
    """Measure what one page of the newest tracks is made of, each part alone, in microseconds."""
    with _database() as url:
        return uvloop.run(_measured_parts(url, count))


async def _measured_parts(url: str, count: int) -> dict[str, Any]:
    pool = await pool_opener(url, SETTINGS)()
    contents = TrackContents()
    results: dict[str, Any] = {}

    async def measure(name: str, part: Callable[[], Awaitable[object]]) -> None:
        for _ in range(20):
            await part()
        began, began_cpu = time.perf_counter(), time.process_time()
        for _ in range(count):
            await part()
        results[f"{name}_us"] = round((time.perf_counter() - began) / count * 1e6)
        results[f"{name}_cpu_us"] = round((time.process_time() - began_cpu) / count * 1e6)

    async with pool.acquire() as connection:

        async def skeleton() -> Any:
            return await latest(connection, ANONYMOUS, [], UNWANTED_TAGS, LIMIT, None)

        ids = (await skeleton()).uri_ids

        async def hydrate() -> hydration.State:
            return await hydration.hydrate(connection, SETTINGS.namespace, ANONYMOUS, contents, tracks=ids)

        state = await hydrate()

        async def views() -> object:
            return [track_view(track, state) for track in shown(state.tracks, ids, state, Seen.DISCOVERY)]

        async def views_anew() -> object:
            for track in state.tracks.values():
                track.content.rendered = None
            return await views()

        made = await views()

        async def encode() -> bytes:
            return orjson.dumps({"tracks": made})

        async def page() -> object:
            return page_of({"tracks": made}, {}, is_kept=True)

        async def borrow() -> None:
            async with pool.acquire():
                pass

        await measure("skeleton", skeleton)
        await measure("hydration", hydrate)
        await measure("rules_and_views", views)
        await measure("rules_and_views_anew", views_anew)
        await measure("json", encode)
        await measure("json_and_etag", page)
        await measure("borrow_a_connection", borrow)
    await pool.close()
    app = create_app(SETTINGS, Catalog.load(ROOT / "lexicons"), open_pool=pool_opener(url, SETTINGS))
    async with app.router.lifespan_context(app):
        scope = {
            "type": "http", "method": "GET", "path": PATH, "raw_path": PATH.encode(), "query_string": QUERY.encode(),
            "headers": [(b"host", b"localhost")], "client": ("127.0.0.1", 1), "root_path": "", "scheme": "http",
            "http_version": "1.1", "server": ("127.0.0.1", 1), "asgi": {"version": "3.0"},
        }  # fmt: skip

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(_: Message) -> None:
            pass

        async def everything() -> None:
            await app(dict(scope), receive, send)

        await measure("the_whole_request", everything)
    return results
