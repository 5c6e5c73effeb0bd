"""`plyr reindex`: projections anew from the records that are kept, without the network."""

import sys
from typing import Annotated

from cyclopts import Parameter

from database.roles import INDEXER
from indexer.leadership import leadership
from indexer.records import RecordReader
from indexer.reindex import reindex as rebuild
from plyr.clusters import existing_database
from plyr.commands.options import AsJson, DataDir
from plyr.indexing import opened_pool
from plyr.outcome import CommandError, ExitCode
from plyr.program import run
from plyr.progress import Progress
from plyr.rendering import print_json
from plyr.schema import load_catalog, require_newest_schema
from plyr.settings import Settings, read_settings

Collection = Annotated[str | None, Parameter(help="NSID of the collection to rebuild; all of them if left out.")]


def reindex(collection: Collection = None, /, *, data_dir: DataDir = None, json: AsJson = False) -> ExitCode:
    """Rebuild the projections from the records that are kept."""
    settings = read_settings(data_dir=data_dir)
    return run(_reindex(settings, collection, json), settings, stopped=ExitCode.INTERRUPTED)


async def _reindex(settings: Settings, collection: str | None, json: bool) -> None:
    reader = RecordReader(load_catalog(settings), settings.namespace)
    if collection is not None and collection not in reader.reread_collections:
        known = ", ".join(sorted(reader.reread_collections))
        raise CommandError(f"{collection[:100]} is not indexed; these are: {known}", ExitCode.WRONG_USAGE)
    async with existing_database(settings) as url:
        await require_newest_schema(url)
        progress = Progress("Reindexing", "records", sys.stderr)
        # The indexer's own lock: an indexer that runs keeps us out, one that starts now waits for us.
        async with (
            leadership(url, _refuse),
            opened_pool(url, INDEXER, 1, {"application_name": "plyr-reindex"}) as pool,
        ):
            count = await rebuild(pool, reader, None if collection is None else [collection], progress.report)
        progress.close()
    if json:
        print_json(
            {"collections": sorted(reader.reread_collections) if collection is None else [collection], "records": count}
        )
    else:
        print(f"Read {count:,} records again.")


def _refuse() -> None:
    raise CommandError("an indexer is running: stop it, then reindex", ExitCode.OCCUPIED)
