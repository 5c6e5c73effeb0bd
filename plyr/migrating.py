"""Bring the database to the newest schema, and say so. Loads Alembic: only for commands that migrate."""

import logging

from database.migrate import Migrated, migrate
from plyr import shipped

logger = logging.getLogger("plyr")


async def migrated(url: str) -> Migrated:
    """Bring the database to the newest schema, and log what changed."""
    outcome = await migrate(url, shipped.migrations())
    if outcome.before != outcome.after:
        logger.info("plyr.migrate before=%s after=%s", outcome.before or "empty", outcome.after)
    if outcome.role_notice:
        logger.warning(outcome.role_notice)
    return outcome
