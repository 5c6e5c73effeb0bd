"""`plyr index`: the indexer alone, without loading what serves."""

from plyr.clusters import own_database
from plyr.commands.options import AllowHost, DataDir, Labeler, LogLevel, MetricsPort, Plc, Relay
from plyr.indexing import index as run_index
from plyr.indexing import indexer_settings
from plyr.outcome import ExitCode
from plyr.program import run
from plyr.schema import require_newest_schema
from plyr.settings import Settings, read_settings
from plyr.watching import metrics_served


def index(
    *,
    relay: Relay = None,
    labeler: Labeler = None,
    plc: Plc = None,
    metrics_port: MetricsPort = None,
    data_dir: DataDir = None,
    allow_host: AllowHost = None,
    log_level: LogLevel = None,
) -> ExitCode:
    """Run the indexer alone."""
    settings = read_settings(
        relay=relay,
        labeler=labeler,
        plc=plc,
        metrics_port=metrics_port,
        data_dir=data_dir,
        allow_host=allow_host,
        log_level=log_level,
    )
    return run(_index(settings), settings)


async def _index(settings: Settings) -> None:
    async with metrics_served(settings) as watched, own_database(settings) as url:
        await require_newest_schema(url)
        await run_index(url, settings, indexer_settings(settings), watched=watched)
