"""`plyr work`: the media worker alone."""

from plyr.clusters import own_database
from plyr.commands.options import AllowHost, DataDir, LogLevel, Mirror
from plyr.media import work as run_work
from plyr.outcome import ExitCode
from plyr.program import run
from plyr.schema import require_newest_schema
from plyr.settings import Settings, read_settings


def work(
    *,
    mirror: Mirror = None,
    data_dir: DataDir = None,
    allow_host: AllowHost = None,
    log_level: LogLevel = None,
) -> ExitCode:
    """Run the media worker alone."""
    settings = read_settings(mirror=mirror, data_dir=data_dir, allow_host=allow_host, log_level=log_level)
    return run(_work(settings), settings)


async def _work(settings: Settings) -> None:
    async with own_database(settings) as url:
        await require_newest_schema(url)
        print("plyr works on audio and pictures; Ctrl-C ends it, `plyr media status` tells how far it is.", flush=True)
        await run_work(url, settings)
