"""Audio and pictures as a program: the storage that the settings name, the parts around it, and the worker.

What the appview gives and what the worker does are the same parts, opened once for each process.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import asyncpg

from appview.media.folder import FolderStorage
from appview.media.letting_go import Purge, purge_nothing
from appview.media.media import Media, assembled
from appview.media.purging import CdnPurge
from appview.media.s3 import S3Settings, S3Storage
from appview.media.settings import MediaSettings
from appview.media.storage import Storage, StorageError
from appview.media.sweeping import Sweeper
from appview.media.work import media_worker
from appview.media.worker import MediaWorker
from atprotocol.lexicon.catalog import Catalog
from atprotocol.lexicon.schema import BlobSchema, RecordSchema
from atprotocol.net.addresses import Policy
from atprotocol.net.http import BoundedClient
from database.data_dir import choose_data_dir
from database.roles import APPVIEW
from plyr import shipped
from plyr.indexing import opened_pool
from plyr.schema import load_catalog
from plyr.settings import Settings

CONNECTIONS = 6
TAKEDOWN_SECONDS = 15.0
SWEEP_SECONDS = 3600.0
# The first whole sweep waits until an index that is being made has had its time.
FIRST_SWEEP_SECONDS = 600.0
_SLOW_WINDOW_SECONDS = 30.0

logger = logging.getLogger("plyr")


def media_folder(settings: Settings) -> Path:
    """Return the folder in which bytes, or files on their way to a bucket, are kept."""
    if settings.media.folder is not None:
        return settings.media.folder
    environment = {} if settings.data_home is None else {"XDG_DATA_HOME": settings.data_home}
    return choose_data_dir(settings.data_dir, settings.home, environment)[0] / "media"


def media_settings(settings: Settings) -> MediaSettings:
    """Return the settings with the bounds of the lexicon, whichever are less."""
    chosen = settings.media.settings
    bound = _largest_audio(load_catalog(settings), settings.namespace)
    return chosen if bound is None else replace(chosen, max_blob_bytes=min(chosen.max_blob_bytes, bound))


@asynccontextmanager
async def opened_storage(settings: Settings) -> AsyncIterator[Storage]:
    """Give the storage that the settings name."""
    chosen, folder = settings.media.bucket, media_folder(settings)
    if chosen is None:
        yield FolderStorage(folder)
        return
    bucket = S3Settings(
        endpoint_url=chosen.endpoint_url,
        bucket=chosen.bucket,
        access_key_id=chosen.access_key_id,
        secret_access_key=chosen.secret_access_key,
        region=chosen.region,
        public_base_url=chosen.public_url,
    )
    async with S3Storage(bucket, folder / "spool") as storage:
        yield storage


@asynccontextmanager
async def opened_media(settings: Settings) -> AsyncIterator[Media]:
    """Give what audio and pictures are given with."""
    chosen = media_settings(settings)
    agent = f"plyr/{shipped.program_version()}"
    async with (
        opened_storage(settings) as storage,
        BoundedClient(
            Policy(settings.allowed_hosts), user_agent=agent, slow_window_seconds=_SLOW_WINDOW_SECONDS
        ) as client,
        opened_purge(chosen) as purge,
        assembled(
            chosen,
            storage,
            client,
            can_sign=settings.media.bucket is not None,
            seconds=time.monotonic,
            purge=purge,
        ) as media,
    ):
        yield media


@asynccontextmanager
async def opened_purge(settings: MediaSettings) -> AsyncIterator[Purge]:
    """Give the way to the CDN that the settings name."""
    if settings.purging is None:
        yield purge_nothing
        return
    async with aiohttp.ClientSession(trust_env=False) as session:
        yield CdnPurge(session, settings.purging)


@asynccontextmanager
async def opened_worker(
    url: str, settings: Settings
) -> AsyncIterator[tuple[MediaWorker, Sweeper, asyncpg.Pool, Media]]:
    """Give a worker and a sweeper that do nothing yet."""
    pool_settings = {"application_name": "plyr-work"}
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(opened_pool(url, APPVIEW, CONNECTIONS, pool_settings))
        media = await stack.enter_async_context(opened_media(settings))
        worker = media_worker(pool, media, now_in_utc, random.random)
        yield worker, Sweeper(pool, media.storage, media.settings), pool, media


async def work(url: str, settings: Settings) -> None:
    """Do jobs, and look for what is to be done, until cancelled."""
    async with opened_worker(url, settings) as (worker, sweeper, _, media):
        logger.info("plyr.work mirror=%s", media.settings.mirroring.value)
        async with asyncio.TaskGroup() as group:
            group.create_task(worker.run(), name="media")
            group.create_task(_sweep(sweeper), name="sweeper")


async def _sweep(sweeper: Sweeper) -> None:
    """Let go of what is taken down within seconds, and look through everything every so often."""
    due = time.monotonic() + FIRST_SWEEP_SECONDS
    while True:
        await asyncio.sleep(TAKEDOWN_SECONDS)
        try:
            if freed := await sweeper.sweep_takedowns(now_in_utc()):
                logger.info("media.taken_down blobs=%s", len(freed))
            if time.monotonic() >= due:
                due = time.monotonic() + SWEEP_SECONDS
                found = await sweeper.sweep(now_in_utc())
                logger.info(
                    "media.swept freed=%s size_bytes=%s waiting=%s refused=%s",
                    len(found.freed),
                    found.size_bytes,
                    found.waiting,
                    found.refused,
                )
        except (StorageError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            logger.warning("media.sweep_failed error=%s", error)


def now_in_utc() -> datetime:
    """Return the present time."""
    return datetime.now(UTC)


def _largest_audio(catalog: Catalog, namespace: str) -> int | None:
    """Return how many bytes the lexicon allows a track's audio; None where it sets no bound."""
    found = catalog.definition(f"{namespace}.track")
    field = found.record.properties.get("audioBlob") if isinstance(found, RecordSchema) else None
    return field.max_size if isinstance(field, BlobSchema) else None
