"""Let go of bytes that nobody refers to any longer, or whose every reference is taken down.

The rows go first, in a transaction that has looked at the references once more; then the objects, and last the copies
that a CDN has. Whatever is interrupted is done again from the beginning, since a job stays until all is done. A reference
that comes while objects are deleted has the job done once more, which fetches the bytes anew.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

import asyncpg

from appview.media import blob_rows, jobs
from appview.media.facts import AAC_160, IMAGE_PRESETS
from appview.media.jobs import Job
from appview.media.keys import BlobKey, VariantKey
from appview.media.mirror import AtStep, ignore_step
from appview.media.references import situation_of
from appview.media.storage import Storage

PICTURE_TYPES: Final = {"image/webp": "webp", "image/jpeg": "jpeg"}
# Every profile under which something may be kept, whatever the rows say.
PROFILES: Final = (
    AAC_160.name,
    *(f"{preset}.{ending}" for preset in IMAGE_PRESETS for ending in PICTURE_TYPES.values()),
)
# Has a CDN forget URLs. Raises NetworkError.
Purge: TypeAlias = Callable[[Sequence[str]], Awaitable[None]]


async def purge_nothing(_: Sequence[str]) -> None:
    """Have nobody forget anything: there is no CDN."""


class LettingGo:
    """Removes what is kept of blobs."""

    def __init__(
        self, pool: asyncpg.Pool, storage: Storage, purge: Purge = purge_nothing, at_step: AtStep = ignore_step
    ) -> None:
        """Take the parts."""
        self._pool = pool
        self._storage = storage
        self._purge = purge
        self._at_step = at_step

    async def let_go(self, job: Job) -> None:
        """Remove all that is kept of the job's blob, unless somebody refers to it by now.

        Raises LeaseLost, StorageUnavailable, NetworkError.
        """
        cid = job.subject
        async with self._pool.acquire() as connection, connection.transaction():
            await jobs.hold(connection, job)
            situation = await situation_of(connection, cid, AAC_160.name)
            is_public = self._storage.public_url(BlobKey(cid)) is not None
            if situation.standing.open_to if is_public else situation.standing.held_by:
                return
            await blob_rows.forget(connection, cid)
        self._at_step("forgotten")
        keys: list[BlobKey | VariantKey] = [BlobKey(cid), *(VariantKey(cid, profile) for profile in PROFILES)]
        for key in keys:
            await self._storage.delete(key)
        self._at_step("deleted")
        if urls := [url for key in keys if (url := self._storage.public_url(key)) is not None]:
            await self._purge(urls)
