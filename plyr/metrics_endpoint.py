"""The indexer's figures for Prometheus under `/metrics`, and under `/health` whether it does its work.

Served on the indexer's own event loop, as the figures are read off living objects; on the loopback interface unless told
otherwise, as there is no authentication. Format: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

import logging
import socket
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from plyr.listening import port_of, serve
from plyr.settings import Settings
from plyr.watching import Watched

logger = logging.getLogger("plyr")


class _Read(Collector):
    """Families that were read already, in the form in which the library asks for them."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Sequence[Metric]:
        return self._families


def metrics_app(watched: Watched) -> ASGIApp:
    """Return what answers `/metrics` and `/health`."""

    async def metrics(request: Request) -> Response:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Read(await watched.families()))
        ProcessCollector(registry=registry)
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return Response(encode(registry), headers={"Content-Type": content_type})

    async def health(_: Request) -> Response:
        is_well, said = watched.health()
        return JSONResponse(said, status_code=200 if is_well else 503)

    return Starlette(routes=[Route("/metrics", metrics), Route("/health", health)])


async def serve_metrics(watched: Watched, settings: Settings, sockets: list[socket.socket]) -> None:
    """Serve until cancelled, on sockets that were taken before."""

    def ready() -> None:
        logger.info("plyr.metrics host=%s port=%s", settings.metrics_host, port_of(sockets))

    await serve(metrics_app(watched), sockets, ready)
