"""Read everything that is kept once more, hash it, and have what is not right fetched or made again.

What the rows say is held against the objects: one that is missing, another version, or of other bytes is written
down as lost, and a job mends it from the hosts of those who refer to it. Objects are read, never rewritten here.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import asyncpg

from appview.media import blob_rows, jobs
from appview.media.keys import BlobKey, VariantKey
from appview.media.plan import Kept
from appview.media.storage import ObjectChanged, ObjectMissing, Storage
from atprotocol.errors import BlobMismatch
from atprotocol.net.blobs import BlobHash

_PIECE_BYTES: Final = 1 << 20
_TOTALS = """
    SELECT count(*), coalesce(sum(size_bytes), 0)::bigint FROM (
        SELECT size_bytes FROM plyr.blobs WHERE state = 'ready' AND etag IS NOT NULL
        UNION ALL SELECT size_bytes FROM plyr.blob_variants) AS kept
"""
_NEXT = """
    SELECT cid, profile, tag, etag, size_bytes, mime_type FROM (
        SELECT cid, '' COLLATE "C" AS profile, cid AS tag, etag, size_bytes, mime_type FROM plyr.blobs
        WHERE state = 'ready' AND etag IS NOT NULL
        UNION ALL SELECT cid, profile, content_cid, etag, size_bytes, mime_type FROM plyr.blob_variants) AS kept
    WHERE (cid, profile) > ($1, $2) ORDER BY cid, profile LIMIT 200
"""


@dataclass(slots=True)
class Verification:
    """What was read, and what was lost: (key, why)."""

    objects: int = 0
    size_bytes: int = 0
    lost: list[tuple[str, str]] = field(default_factory=list)


class Verifier:
    """Reads objects and hashes them."""

    def __init__(self, pool: asyncpg.Pool, storage: Storage) -> None:
        """Take the parts."""
        self._pool = pool
        self._storage = storage

    async def verify(self, now: datetime, on_progress: Callable[[int, int, int], None]) -> Verification:
        """Read every object; `on_progress` is called with objects done, objects in all, and bytes read.

        Raises StorageUnavailable: what cannot be read now is not lost.
        """
        found = Verification()
        last = ("", "")
        async with self._pool.acquire() as connection:
            total, _ = await connection.fetchrow(_TOTALS)
        while True:
            async with self._pool.acquire() as connection:
                rows = await connection.fetch(_NEXT, *last)
            if not rows:
                return found
            for cid, profile, tag, etag, size_bytes, mime_type in rows:
                last = cid, profile
                kept = Kept(cid, profile or None, tag, etag, size_bytes, mime_type)
                reason = await self._look(kept)
                found.objects += 1
                found.size_bytes += size_bytes
                if reason is not None:
                    found.lost.append((_key(kept).path, reason))
                    async with self._pool.acquire() as connection, connection.transaction():
                        await jobs.want(connection, "blob", [cid], now)
                        await blob_rows.lose(connection, kept, reason)
                on_progress(found.objects, max(total, found.objects), found.size_bytes)

    async def _look(self, kept: Kept) -> str | None:
        """Return what is wrong with an object, None when nothing is."""
        blob_hash = BlobHash(kept.tag)
        try:
            async with self._storage.read(_key(kept), 0, kept.size_bytes, kept.etag) as reader:
                while piece := await reader.read(_PIECE_BYTES):
                    blob_hash.update(bytes(piece))
            blob_hash.verify()
        except ObjectMissing:
            return "the object is missing"
        except ObjectChanged:
            return "the object is another than was published"
        except BlobMismatch as error:
            return str(error)
        return None


def _key(kept: Kept) -> BlobKey | VariantKey:
    return BlobKey(kept.cid) if kept.profile is None else VariantKey(kept.cid, kept.profile)
