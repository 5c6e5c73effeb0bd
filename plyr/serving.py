"""The appview as a program: composed from the settings, served on sockets that were taken before."""

import socket
from collections.abc import Callable

from starlette.types import ASGIApp

from appview.app import create_app, pool_opener
from appview.settings import AppviewSettings
from plyr import shipped
from plyr.listening import port_of, serve
from plyr.request_log import RequestLog
from plyr.schema import load_catalog
from plyr.settings import Settings


def appview(url: str, settings: Settings, port: int) -> ASGIApp:
    """Return the appview as it is served; `port` is the one that was taken."""
    chosen = AppviewSettings(
        namespace=settings.namespace,
        public_url=public_url(settings, port),
        version=shipped.program_version(),
        trusted_proxy_hops=settings.trusted_proxy_hops,
    )
    app = create_app(chosen, load_catalog(settings), open_pool=pool_opener(url, chosen))
    return RequestLog(app, traced=settings.logfire_token is not None or settings.otlp_endpoint is not None)


def public_url(settings: Settings, port: int) -> str:
    """Return the origin that clients use."""
    return f"https://{settings.hostname}" if settings.hostname else f"http://localhost:{port}"


async def serve_appview(
    url: str, settings: Settings, sockets: list[socket.socket], on_ready: Callable[[], None]
) -> None:
    """Serve until cancelled."""
    await serve(appview(url, settings, port_of(sockets)), sockets, on_ready)
