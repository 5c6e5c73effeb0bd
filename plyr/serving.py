"""The appview as a program: composed from the settings, served on sockets that were taken before.

Of the network it asks nothing but the directory, for the keys of viewers.
"""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.types import ASGIApp

from appview.app import create_app, pool_opener
from appview.settings import AppviewSettings
from appview.xrpc.signing_keys import ResolveKey
from atprotocol.net.addresses import Policy
from atprotocol.net.directory import Directory
from atprotocol.net.http import BoundedClient
from atprotocol.syntax.did import DID
from plyr import shipped
from plyr.listening import port_of, serve
from plyr.media import media_settings, opened_media
from plyr.request_log import RequestLog
from plyr.schema import load_catalog
from plyr.settings import Settings


def appview(url: str, settings: Settings, port: int, resolve_key: ResolveKey) -> ASGIApp:
    """Return the appview as it is served; `port` is the one that was taken."""
    chosen = AppviewSettings(
        namespace=settings.namespace,
        public_url=public_url(settings, port),
        version=shipped.program_version(),
        trusted_proxy_hops=settings.trusted_proxy_hops,
        labelers=settings.labelers,
        media=media_settings(settings),
    )
    app = create_app(
        chosen,
        load_catalog(settings),
        open_pool=pool_opener(url, chosen),
        resolve_key=resolve_key,
        open_media=lambda: opened_media(settings),
    )
    return RequestLog(app, traced=settings.logfire_token is not None or settings.otlp_endpoint is not None)


@asynccontextmanager
async def key_resolver(settings: Settings) -> AsyncIterator[ResolveKey]:
    """Give the way to the directory that the settings open."""
    is_development = not settings.is_live
    agent = f"plyr/{shipped.program_version()}"
    async with BoundedClient(Policy(settings.allowed_hosts), user_agent=agent) as client:
        directory = Directory(client, settings.plc_url, allow_http=is_development, allow_reserved=is_development)

        async def resolve_key(did: DID) -> str | None:
            return (await directory.resolve(did)).signing_key

        yield resolve_key


def public_url(settings: Settings, port: int) -> str:
    """Return the origin that clients use."""
    return f"https://{settings.hostname}" if settings.hostname else f"http://localhost:{port}"


async def serve_appview(
    url: str, settings: Settings, sockets: list[socket.socket], on_ready: Callable[[], None]
) -> None:
    """Serve until cancelled."""
    async with key_resolver(settings) as resolve_key:
        await serve(appview(url, settings, port_of(sockets), resolve_key), sockets, on_ready)
