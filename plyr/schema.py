"""The schema of the database, and the lexicons: what every program needs to agree on before it starts."""

import asyncpg

from atprotocol.lexicon.catalog import Catalog
from database.connect import parse_database_url
from plyr import shipped
from plyr.outcome import CommandError
from plyr.settings import DEFAULT_NAMESPACE, Settings

_CURRENT = "SELECT version_num FROM public.migrations"


def load_catalog(settings: Settings) -> Catalog:
    """Return the lexicons, in the namespace of the settings."""
    catalog = Catalog.load(shipped.lexicons())
    if settings.namespace == DEFAULT_NAMESPACE:
        return catalog
    return catalog.with_namespace(DEFAULT_NAMESPACE, settings.namespace)


async def require_newest_schema(url: str) -> None:
    """Raise CommandError unless the database has the schema that this program was written for."""
    # Migrations follow one another and are numbered: the last file is the newest.
    wanted = max(path.name[:4] for path in (shipped.migrations() / "versions").glob("[0-9]*.py"))
    connection = await asyncpg.connect(parse_database_url(url).dsn, statement_cache_size=0)
    try:
        found = await connection.fetchval(_CURRENT)
    except asyncpg.UndefinedTableError:
        found = None
    finally:
        await connection.close()
    if found != wanted:
        raise CommandError(
            f"the database is at migration {found or 'none'}, this program needs {wanted}: run `plyr migrate` first"
        )
