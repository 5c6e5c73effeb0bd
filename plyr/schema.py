"""The schema of the database, and the lexicons: what every program needs to agree on before it starts."""

import logging

from alembic.config import Config
from alembic.script import ScriptDirectory

from atprotocol.lexicon.catalog import Catalog
from database.connect import create_engine
from database.migrate import Migrated, current_revision, migrate
from plyr import shipped
from plyr.outcome import CommandError
from plyr.settings import DEFAULT_NAMESPACE, Settings

logger = logging.getLogger("plyr")


def load_catalog(settings: Settings) -> Catalog:
    """Return the lexicons, in the namespace of the settings."""
    catalog = Catalog.load(shipped.lexicons())
    if settings.namespace == DEFAULT_NAMESPACE:
        return catalog
    return catalog.with_namespace(DEFAULT_NAMESPACE, settings.namespace)


async def migrated(url: str) -> Migrated:
    """Bring the database to the newest schema, and log what changed."""
    outcome = await migrate(url, shipped.migrations())
    if outcome.before != outcome.after:
        logger.info("plyr.migrate before=%s after=%s", outcome.before or "empty", outcome.after)
    if outcome.role_notice:
        logger.warning(outcome.role_notice)
    return outcome


async def require_newest_schema(url: str) -> None:
    """Raise CommandError unless the database has the schema that this program was written for."""
    config = Config()
    config.set_main_option("script_location", str(shipped.migrations()))
    wanted = ScriptDirectory.from_config(config).get_current_head()
    engine = create_engine(url)
    try:
        async with engine.connect() as connection:
            found = await connection.run_sync(current_revision)
    finally:
        await engine.dispose()
    if found != wanted:
        raise CommandError(
            f"the database is at migration {found or 'none'}, this program needs {wanted}: run `plyr migrate` first"
        )
