"""`plyr status`: how far the indexing is."""

import asyncpg

from database.connect import parse_database_url
from indexer.leadership import is_led
from plyr.clusters import running_database
from plyr.commands.options import AsJson, DataDir, MetricsPort
from plyr.live_figures import read_live_figures
from plyr.outcome import ExitCode
from plyr.program import run
from plyr.rendering import print_json
from plyr.settings import Settings, read_settings
from plyr.status import read_status, render


def status(*, data_dir: DataDir = None, metrics_port: MetricsPort = None, json: AsJson = False) -> ExitCode:
    """Tell how far the indexing is."""
    settings = read_settings(data_dir=data_dir, metrics_port=metrics_port)
    return run(_status(settings, json), settings, stopped=ExitCode.INTERRUPTED)


async def _status(settings: Settings, json: bool) -> None:
    url = await running_database(settings)
    database = parse_database_url(url)
    connection = await asyncpg.connect(database.dsn, statement_cache_size=0)
    try:
        found = {
            "database": database.shown(),
            "indexer_running": None if database.pooled else await is_led(url),
            **await read_status(connection),
            "live": await read_live_figures(settings),
        }
    finally:
        await connection.close()
    if json:
        print_json(found)
    else:
        print(render(found))
