"""The indexer as a program: its lock, its ways to the network, its connections, its progress.

It ends when it is cancelled, writes what has gathered, and leaves nothing behind.
"""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from appview.media.settings import Mirroring
from atprotocol.net.addresses import Policy
from atprotocol.net.directory import Directory
from atprotocol.net.dns_txt import txt_lookup
from atprotocol.net.handles import HandleVerifier
from atprotocol.net.http import BoundedClient
from database.connect import create_pool
from database.roles import INDEXER
from indexer.decisions import SyncStatus
from indexer.leadership import leadership
from indexer.media_rows import MediaWishes
from indexer.program import Indexer, Outside, assembled
from indexer.program import run as run_indexer
from indexer.repair import RepairSettings
from indexer.settings import IndexerSettings
from plyr import shipped, telemetry
from plyr.progress import Progress
from plyr.schema import load_catalog
from plyr.settings import Settings
from plyr.watching import Watched

CONNECTIONS = 4
CLOSE_SECONDS = 10.0
WATCH_SECONDS = 1.0
EXPORT_SECONDS = 15.0

# What one of several upstreams has not brought yet another one may, before the repository is fetched for it.
SEVERAL_PATIENCE_SECONDS = 3.0

logger = logging.getLogger("plyr")


def indexer_settings(settings: Settings) -> IndexerSettings:
    """Return the indexer's part of the settings."""
    patience = SEVERAL_PATIENCE_SECONDS if len(settings.relay_urls) > 1 else 0.0
    return IndexerSettings(
        relay_urls=settings.relay_urls,
        namespace=settings.namespace,
        labelers=settings.labelers,
        media=media_wishes(settings),
        repair=RepairSettings(patience_seconds=patience),
    )


def media_wishes(settings: Settings) -> MediaWishes:
    """Return what is to be done about the audio and the pictures of records that come."""
    chosen = settings.media.settings
    return MediaWishes(chosen.mirroring is Mirroring.ALWAYS, chosen.origins)


@asynccontextmanager
async def opened_pool(
    url: str, role: str | None, maximum: int, settings: dict[str, str]
) -> AsyncIterator[asyncpg.Pool]:
    """Give a pool of connections that is closed after the block, in any case and soon."""
    pool = await create_pool(url, role=role, maximum=maximum, settings=settings)
    try:
        yield pool
    finally:
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await pool.close()
        except TimeoutError:
            pool.terminate()


@asynccontextmanager
async def outside(settings: Settings, spool_dir: Path | None = None) -> AsyncIterator[Outside]:
    """Give the ways to the network that the settings open."""
    policy = Policy(settings.allowed_hosts)
    async with BoundedClient(policy, user_agent=f"plyr/{shipped.program_version()}") as client:
        is_development = not settings.is_live
        directory = Directory(client, settings.plc_url, allow_http=is_development, allow_reserved=is_development)
        verifier = HandleVerifier(client, txt_lookup(), resolver_url=settings.handle_resolver_url)
        yield Outside(client, policy, directory, verifier, spool_dir)


async def index(
    url: str,
    settings: Settings,
    indexer_settings: IndexerSettings,
    *,
    shows_progress: bool = True,
    watched: Watched | None = None,
) -> None:
    """Index until cancelled, once no other indexer does; what has gathered is written at the end.

    `watched` is told what there is to see meanwhile.
    """
    shown = watched or Watched()

    def waits() -> None:
        shown.is_standby = True
        logger.warning("another indexer works on this database: waiting until it ends")

    async with leadership(url, waits) as is_alone:
        if not is_alone:
            logger.warning(
                "behind a transaction-pooling proxy nothing makes a second indexer wait: run only one, the newest wins"
            )
        # A batch that is lost in a crash comes again from the cursor: both are in one transaction.
        pool_settings = {"synchronous_commit": "off", "application_name": "plyr-indexer"}
        async with (
            outside(settings) as ways,
            opened_pool(url, INDEXER, CONNECTIONS, pool_settings) as pool,
            assembled(pool, load_catalog(settings), ways, indexer_settings) as indexer,
        ):
            with shown.leading(indexer.observation):
                async with asyncio.TaskGroup() as group:
                    logger.info(
                        "plyr.index relay=%s repos=%s", ",".join(settings.relay_urls), len(indexer.repos.by_did)
                    )
                    if shows_progress:
                        group.create_task(_watch(indexer), name="progress")
                    if telemetry.is_sending(settings):
                        telemetry.export_metrics(lambda: shown.latest)
                        group.create_task(shown.refresh(EXPORT_SECONDS), name="export")
                    group.create_task(run_indexer(indexer, indexer_settings), name="indexer")


async def _watch(indexer: Indexer) -> None:
    """Show how many repositories are fetched while there are many to fetch."""
    while True:
        progress = Progress("Fetching", "repositories", sys.stderr)
        while (left := _left(indexer)) > 0:
            total = len(indexer.repos.by_did)
            progress.report(total - left, total)
            await asyncio.sleep(WATCH_SECONDS)
        progress.close()
        await asyncio.sleep(WATCH_SECONDS)


def _left(indexer: Indexer) -> int:
    return sum(
        repo.active and repo.sync_status is SyncStatus.DESYNCHRONIZED and repo.retry_count == 0
        for repo in indexer.repos.by_did.values()
    )
