"""Put the appview together: XRPC, the DID document, its description, robots.txt and the pages for people.

Nothing is read from the environment and nothing runs before the application's lifespan begins. Start-up fails when
lexicons and methods disagree. Run it with proxy headers off: whose address counts is decided by
`trusted_proxy_hops` alone.
"""

import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import TypeAlias

import asyncpg
import orjson
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from appview.api.methods import METHODS, RECORD_PLAY, REQUEST_SYNC, VIEWERS_ONLY
from appview.front_page import load_front_page
from appview.media.media import OpenMedia
from appview.media.routes import media_routes
from appview.openapi import openapi_document
from appview.service import MethodOf, Service
from appview.settings import AppviewSettings
from appview.status import last_event_at
from appview.views.docs_page import docs_page
from appview.views.formats import present
from appview.views.index import lag_seconds
from appview.views.style import CONTENT_SECURITY_POLICY
from appview.well_known import audiences, did_document
from appview.xrpc.auth import Authenticator
from appview.xrpc.call import Output
from appview.xrpc.errors import XrpcError
from appview.xrpc.pages import Pages
from appview.xrpc.rate_limit import RateLimits
from appview.xrpc.routes import bind_routes
from appview.xrpc.server import XrpcServer
from appview.xrpc.signing_keys import ResolveKey, SigningKeys, no_directory
from atprotocol.lexicon.catalog import Catalog
from database.connect import create_pool
from database.roles import APPVIEW

OpenPool: TypeAlias = Callable[[], Awaitable[asyncpg.Pool]]

_ROBOTS = "# Ask the API, not the pages; the cursors go on for long.\nUser-agent: *\nAllow: /$\nAllow: /docs\nDisallow: /xrpc/\n"
_PAGE_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def now_in_utc() -> datetime:
    """Return the present time."""
    return datetime.now(UTC)


def create_app(
    settings: AppviewSettings,
    catalog: Catalog,
    *,
    open_pool: OpenPool,
    methods: Mapping[str, MethodOf] = METHODS,
    clock: Callable[[], datetime] = now_in_utc,
    listener_key: bytes | None = None,
    chance: Callable[[], float] = random.random,
    resolve_key: ResolveKey = no_directory,
    open_media: OpenMedia | None = None,
) -> FastAPI:
    """Return the application; `open_pool` (see `pool_opener`) is called when its lifespan begins.

    `resolve_key` asks the directory for the keys of viewers whom the index does not know, or knows by an old key.
    `open_media` opens what audio and pictures are given with; without it there are no routes to them.
    The catalog stands in the settings' namespace. Raises LexiconError when it and the methods disagree.
    """
    # Known to this process alone: nobody who has the rows can tell whose they are.
    service = Service(settings, listener_key or secrets.token_bytes(32))
    routes = bind_routes(catalog, settings.namespace, {name: service.bind(method) for name, method in methods.items()})

    async def health() -> Output:
        async with service.connection() as connection:
            event_time = await last_event_at(connection)
        lag = lag_seconds(event_time, clock())
        return present({"status": "ok", "version": settings.version, "lagSeconds": lag})

    limits = RateLimits(
        settings.rate_windows,
        {
            settings.nsid(REQUEST_SYNC): settings.sync_request_limits,
            settings.nsid(RECORD_PLAY): settings.play_limits,
        },
        account_windows=settings.account_rate_windows,
        points={settings.nsid(name): points for name, points in settings.method_points.items()},
    )
    server = XrpcServer(
        routes=routes,
        health=health,
        limiter=limits,
        authenticator=Authenticator(audiences(settings), SigningKeys(service.signing_key, resolve_key)),
        clock=clock,
        trusted_proxy_hops=settings.trusted_proxy_hops,
        body_limit_bytes=settings.body_limit_bytes,
        cache_seconds=settings.cache_seconds,
        pages=Pages(settings.page_seconds),
    )
    by_name = {name: catalog.method(settings.nsid(name)) for name in sorted(methods)}
    documents = {
        "/.well-known/did.json": orjson.dumps(did_document(settings)),
        "/openapi.json": orjson.dumps(openapi_document(catalog, settings, VIEWERS_ONLY)),
    }
    docs = docs_page(by_name, catalog, settings, VIEWERS_ONLY)

    async def front_page(request: Request) -> Response:
        headers = server.limit(request, None)
        async with service.connection() as connection:
            page = await load_front_page(connection, service.contents, settings, by_name, VIEWERS_ONLY, clock())
        return HTMLResponse(page, headers=_PAGE_HEADERS | headers)

    async def document(request: Request) -> Response:
        headers = {"Access-Control-Allow-Origin": "*", "Cache-Control": "public, max-age=300"}
        return Response(documents[request.url.path], media_type="application/json", headers=headers)

    async def page_of_methods(_: Request) -> Response:
        return HTMLResponse(docs, headers=_PAGE_HEADERS)

    async def robots(_: Request) -> Response:
        return PlainTextResponse(_ROBOTS, headers={"Cache-Control": "public, max-age=3600"})

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        pool = service.pool = await open_pool()
        own_routes = len(app.router.routes)
        try:
            async with AsyncExitStack() as stack:
                if open_media is not None:
                    service.media = await stack.enter_async_context(open_media())
                    app.router.routes.extend(media_routes(service, server, service.media, pool, chance))
                yield
        finally:
            service.pool = service.media = None
            del app.router.routes[own_routes:]
            await pool.close()

    app = FastAPI(
        title="plyr AppView",
        version=settings.version,
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # The framework's own tracing slows every request fivefold once any tracer is set.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        exception_handlers={HTTPException: _http_error, XrpcError: _xrpc_error},
    )
    app.router.routes.extend((
        Route("/xrpc/{path:path}", server),
        Route("/xrpc", server),
        *(Route(path, document) for path in documents),
        Route("/docs", page_of_methods),
        Route("/robots.txt", robots),
        Route("/", front_page),
    ))  # fmt: skip
    return app


def pool_opener(url: str, settings: AppviewSettings) -> OpenPool:
    """Return what opens the pool: as the appview's role, with bounded statements."""

    async def open_pool() -> asyncpg.Pool:
        return await create_pool(
            url,
            role=APPVIEW,
            minimum=settings.pool_minimum,
            maximum=settings.pool_maximum,
            settings={
                "statement_timeout": str(settings.statement_timeout_ms),
                "application_name": "plyr-appview",
                # Everything that is asked for often is in memory, and nothing runs long enough to be compiled.
                "random_page_cost": "1.1",
                "jit": "off",
            },
            resets_sessions=False,
        )

    return open_pool


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    name = {404: "NotFound", 405: "InvalidRequest"}.get(error.status_code, "InvalidRequest")
    return _error(error.status_code, name, str(error.detail), dict(error.headers or {}))


async def _xrpc_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, XrpcError)
    return _error(error.status, error.error, error.message, dict(error.headers))


def _error(status: int, error: str, message: str, headers: dict[str, str]) -> Response:
    body = orjson.dumps({"error": error, "message": message})
    return Response(body, status, headers, media_type="application/json")
