"""`plyr migrate`: bring the database to the newest schema."""

from plyr.clusters import own_database
from plyr.commands.options import AsJson, DataDir
from plyr.migrating import migrated
from plyr.outcome import ExitCode
from plyr.program import run
from plyr.rendering import print_json
from plyr.settings import Settings, read_settings


def migrate(*, data_dir: DataDir = None, json: AsJson = False) -> ExitCode:
    """Bring the database to the newest schema."""
    settings = read_settings(data_dir=data_dir)
    return run(_migrate(settings, json), settings, stopped=ExitCode.INTERRUPTED)


async def _migrate(settings: Settings, json: bool) -> None:
    async with own_database(settings) as url:
        outcome = await migrated(url)
    if json:
        print_json({"before": outcome.before, "after": outcome.after, "notice": outcome.role_notice})
    elif outcome.before == outcome.after:
        print(f"The schema is the newest already ({outcome.after}).")
    else:
        print(f"Migrated from {outcome.before or 'nothing'} to {outcome.after}.")
