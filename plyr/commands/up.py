"""`plyr up` and `plyr serve`: both programs in one process, or the appview alone."""

import asyncio

from plyr.clusters import own_database
from plyr.commands.options import (
    AllowHost,
    DataDir,
    Host,
    Labeler,
    LogLevel,
    MetricsPort,
    Mirror,
    Plc,
    Port,
    Relay,
)
from plyr.indexing import index as run_index
from plyr.indexing import indexer_settings
from plyr.listening import port_of, port_taken
from plyr.media import work
from plyr.migrating import migrated
from plyr.outcome import ExitCode
from plyr.program import run
from plyr.schema import require_newest_schema
from plyr.serving import public_url, serve_appview
from plyr.settings import Settings, read_settings
from plyr.watching import metrics_served


def up(
    *,
    relay: Relay = None,
    labeler: Labeler = None,
    plc: Plc = None,
    port: Port = None,
    host: Host = None,
    metrics_port: MetricsPort = None,
    data_dir: DataDir = None,
    allow_host: AllowHost = None,
    mirror: Mirror = None,
    log_level: LogLevel = None,
) -> ExitCode:
    """Run everything at once."""
    settings = read_settings(
        relay=relay,
        labeler=labeler,
        plc=plc,
        port=port,
        host=host,
        metrics_port=metrics_port,
        data_dir=data_dir,
        allow_host=allow_host,
        mirror=mirror,
        log_level=log_level,
    )
    return run(_up(settings), settings)


def serve(
    *,
    port: Port = None,
    host: Host = None,
    data_dir: DataDir = None,
    allow_host: AllowHost = None,
    mirror: Mirror = None,
    log_level: LogLevel = None,
) -> ExitCode:
    """Run the appview alone."""
    settings = read_settings(
        port=port, host=host, data_dir=data_dir, allow_host=allow_host, mirror=mirror, log_level=log_level
    )
    return run(_serve(settings), settings)


async def _up(settings: Settings) -> None:
    with port_taken(settings.host, settings.port) as sockets:
        async with metrics_served(settings) as watched, own_database(settings) as url:
            await migrated(url)

            def ready() -> None:
                print(
                    f"plyr serves {public_url(settings, port_of(sockets))} and follows {', '.join(settings.relay_urls)}"
                )
                print("Ctrl-C ends it; `plyr status` tells how far it is.", flush=True)

            async with asyncio.TaskGroup() as group:
                group.create_task(serve_appview(url, settings, sockets, ready), name="appview")
                group.create_task(work(url, settings), name="work")
                group.create_task(run_index(url, settings, indexer_settings(settings), watched=watched), name="index")


async def _serve(settings: Settings) -> None:
    with port_taken(settings.host, settings.port) as sockets:
        async with own_database(settings) as url:
            await require_newest_schema(url)

            def ready() -> None:
                print(f"plyr serves {public_url(settings, port_of(sockets))}", flush=True)

            await serve_appview(url, settings, sockets, ready)
