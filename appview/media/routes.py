"""The addresses of audio and pictures, and the parts that answer there."""

from collections.abc import Callable

import asyncpg
from starlette.routing import BaseRoute, Route

from appview.media.audio_endpoint import AudioEndpoint
from appview.media.media import Media
from appview.media.picture_endpoint import PictureEndpoint
from appview.media.work import media_worker
from appview.service import Service
from appview.xrpc.server import XrpcServer
from atprotocol.syntax.nsid import parse_nsid

_TOKEN_METHOD = "feed.getPlayback"  # noqa: S105  (the name of a method)


def media_routes(
    service: Service, server: XrpcServer, media: Media, pool: asyncpg.Pool, chance: Callable[[], float]
) -> list[BaseRoute]:
    """Return the routes; `chance` spreads the retries of what is fetched for somebody who waits."""
    token_method = parse_nsid(service.settings.nsid(_TOKEN_METHOD))
    worker = media_worker(pool, media, server.clock, chance, renders=False)
    return [
        Route("/audio/{did}/{cid}", AudioEndpoint(service, server, media, token_method)),
        Route("/img/{preset}/{did}/{cid}", PictureEndpoint(service, server, media, worker.do)),
    ]
