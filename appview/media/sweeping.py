"""Find what is kept for nobody, what is missing for somebody, and what nobody knows of; jobs then put it right.

The sweeper itself deletes nothing but leftovers of staging: it asks for jobs, and a job looks at the references once more
before bytes go. So a dry run tells exactly what a real one would ask for. An index that is empty, or of which most seems
to be unreferenced at once, is more likely being rebuilt than right: then nothing is let go.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import asyncpg

from appview.media import jobs
from appview.media.keys import BlobKey, VariantKey
from appview.media.media import is_public
from appview.media.references import SQL_IS_HELD, SQL_IS_OPEN, SQL_REFERENCES, SQL_TAKEDOWN_LABELS
from appview.media.settings import MediaSettings, Mirroring
from appview.media.storage import Storage
from appview.visibility import SQL_LABEL_HOLDS

# A staged object that nobody wrote to for so long is left over.
LEFTOVER_AGE = timedelta(days=1)
# Below this number of blobs most of them may well go at once.
FEW: Final = 100
_RETRY_GONE = timedelta(days=7)
_SLICE: Final = 10_000

_REFERENCED: Final = "EXISTS (SELECT FROM network.blob_references n WHERE n.cid = b.cid)"
_MARK = f"""
    WITH found AS (
        UPDATE plyr.blobs b SET unreferenced_at = NULL WHERE b.unreferenced_at IS NOT NULL AND {_REFERENCED}
    )
    UPDATE plyr.blobs b SET unreferenced_at = $1 WHERE b.unreferenced_at IS NULL AND NOT {_REFERENCED}
"""
_SIZE: Final = """
    (coalesce(b.size_bytes, 0) * (b.etag IS NOT NULL)::int
    + (SELECT coalesce(sum(v.size_bytes), 0) FROM plyr.blob_variants v WHERE v.cid = b.cid))::bigint AS size_bytes
"""
_UNREFERENCED = f"""
    SELECT b.cid, {_SIZE}, 'unreferenced' AS reason FROM plyr.blobs b
    WHERE coalesce(b.unreferenced_at, $2) <= $1 AND NOT {_REFERENCED}
    ORDER BY b.cid
"""
_WAITING = f"SELECT count(*) FROM plyr.blobs b WHERE NOT {_REFERENCED} AND coalesce(b.unreferenced_at, $2) > $1"
# From what is taken down to the blobs, as there is less of it than there are blobs.
_TAKEN_DOWN = f"""
    WITH subjects AS (
        SELECT subject FROM plyr.takedowns
        UNION SELECT l.uri FROM network.labels l WHERE l.uri_id = 0 AND l.val IN ({SQL_TAKEDOWN_LABELS}) AND {SQL_LABEL_HOLDS}
        UNION SELECT a.did FROM network.repos r JOIN network.actors a USING (actor_id)
            WHERE r.takendown OR r.upstream_status = 'takendown'
    ), suspected AS (
        SELECT n.cid FROM subjects s JOIN network.actors a ON a.did = s.subject
        JOIN network.blob_references n ON n.actor_id = a.actor_id
        UNION
        SELECT n.cid FROM subjects s
        JOIN network.actors a ON a.did = split_part(s.subject, '/', 3) AND s.subject LIKE 'at://%'
        JOIN network.uris u ON u.actor_id = a.actor_id
            AND u.path = split_part(s.subject, '/', 4) || '/' || split_part(s.subject, '/', 5)
        JOIN network.blob_references n ON n.uri_id = u.uri_id
    )
    SELECT b.cid, {_SIZE}, 'taken-down' AS reason FROM suspected JOIN plyr.blobs b USING (cid)
    WHERE NOT EXISTS (SELECT {SQL_REFERENCES} WHERE n.cid = b.cid AND {SQL_IS_HELD} OFFSET 0)
    ORDER BY b.cid
"""
# Where everybody reads what is kept: what came to be gated, and is named openly by nobody.
_GATED = f"""
    SELECT b.cid, {_SIZE}, 'gated' AS reason
    FROM (SELECT DISTINCT audio_cid AS cid FROM network.tracks WHERE support_gate IS NOT NULL) AS gated
    JOIN plyr.blobs b USING (cid)
    WHERE NOT EXISTS (SELECT {SQL_REFERENCES} WHERE n.cid = b.cid AND {SQL_IS_OPEN} AND {SQL_IS_HELD} OFFSET 0)
        AND EXISTS (SELECT FROM network.blob_references n WHERE n.cid = b.cid)
    ORDER BY b.cid
"""
_NOT_QUEUED: Final = "NOT EXISTS (SELECT FROM plyr.media_jobs j WHERE j.kind = 'blob' AND j.subject = n.cid)"
_MISSING = f"""
    SELECT DISTINCT n.cid {SQL_REFERENCES} LEFT JOIN plyr.blobs b ON b.cid = n.cid
    WHERE (b.cid IS NULL OR b.state = 'pending' OR (b.state IN ('gone', 'mismatch') AND b.state_at < $1))
        AND {_NOT_QUEUED} AND u.path NOT LIKE 'app.bsky.%' AND {SQL_IS_HELD}
    LIMIT {_SLICE}
"""
# What was lost, or begun, is wanted by whoever wanted it at first.
_BEGUN = f"SELECT n.cid FROM plyr.blobs n WHERE n.state = 'pending' AND {_NOT_QUEUED} LIMIT {_SLICE}"
_FORGET_URLS = """
    DELETE FROM plyr.external_media e WHERE NOT EXISTS (SELECT FROM network.tracks t WHERE t.audio_url = e.url)
"""
_OLD_URLS = f"""
    SELECT url FROM plyr.external_media WHERE checked_at < $1
    UNION SELECT t.audio_url FROM network.tracks t LEFT JOIN plyr.external_media e ON e.url = t.audio_url
        WHERE t.audio_cid IS NULL AND e.url IS NULL
            AND EXISTS (SELECT FROM unnest($2::text[]) AS origin WHERE starts_with(t.audio_url, origin || '/'))
    LIMIT {_SLICE}
"""
_TOTALS = "SELECT (SELECT count(*) FROM plyr.blobs), (SELECT count(*) FROM network.repos)"
_KNOWN = """
    SELECT cid, NULL AS profile FROM plyr.blobs WHERE cid = ANY($1::text[])
    UNION ALL SELECT cid, profile FROM plyr.blob_variants WHERE cid = ANY($1::text[])
"""


@dataclass(frozen=True, slots=True)
class Freed:
    """A blob that is to go with its variants, and why: unreferenced, taken-down, gated or unknown."""

    cid: str
    size_bytes: int
    reason: str


@dataclass(slots=True)
class Sweep:
    """What a sweep found; `refused` says why nothing is let go."""

    freed: list[Freed] = field(default_factory=list)
    waiting: int = 0
    fetched_again: int = 0
    rechecked_urls: int = 0
    leftovers: int = 0
    refused: str | None = None

    @property
    def size_bytes(self) -> int:
        """Return how many bytes are let go."""
        return sum(each.size_bytes for each in self.freed)


class Sweeper:
    """Looks through rows and objects."""

    def __init__(self, pool: asyncpg.Pool, storage: Storage, settings: MediaSettings) -> None:
        """Take the parts."""
        self._pool = pool
        self._storage = storage
        self._settings = settings

    async def sweep_takedowns(self, now: datetime) -> list[Freed]:
        """Ask for jobs that let go of what is taken down, or not for everybody any longer; cheap, for every minute."""
        async with self._pool.acquire() as connection:
            freed = await self._forbidden(connection)
            await jobs.want(connection, "blob", [each.cid for each in freed], now)
        return freed

    async def sweep(self, now: datetime, *, is_dry: bool = False, is_forced: bool = False) -> Sweep:
        """Look through everything and, unless dry, ask for the jobs that put it right. Raises StorageUnavailable."""
        found = Sweep()
        before = now - timedelta(seconds=self._settings.grace_seconds)
        async with self._pool.acquire() as connection:
            if not is_dry:
                await connection.execute(_MARK, now)
            unreferenced = [Freed(*row) for row in await connection.fetch(_UNREFERENCED, before, now)]
            found.waiting = await connection.fetchval(_WAITING, before, now)
            forbidden = await self._forbidden(connection)
            again = [row["cid"] for row in await connection.fetch(_BEGUN)]
            if self._settings.mirroring is Mirroring.ALWAYS:
                again += [row["cid"] for row in await connection.fetch(_MISSING, now - _RETRY_GONE)]
            urls = await self._urls(connection, now, is_dry=is_dry)
        found.fetched_again, found.rechecked_urls = len(set(again)), len(urls)
        orphans = await self._orphans(now)
        if not is_forced:
            async with self._pool.acquire() as connection:
                found.refused = await _doubt(connection, len(unreferenced), len(orphans))
        found.freed = forbidden if found.refused is not None else [*unreferenced, *forbidden, *orphans]
        found.leftovers = await self._storage.discard_leftovers(now - LEFTOVER_AGE, is_dry=is_dry)
        if not is_dry:
            async with self._pool.acquire() as connection:
                await jobs.want(connection, "blob", {each.cid for each in found.freed} | set(again), now)
                await jobs.want(connection, "url", urls, now)
        return found

    async def _forbidden(self, connection: asyncpg.Connection) -> list[Freed]:
        """Return the blobs that may not be kept, or not here, whatever the time of grace."""
        rows = await connection.fetch(_TAKEN_DOWN)
        if is_public(self._storage):
            rows += await connection.fetch(_GATED)
        return [Freed(*row) for row in rows]

    async def _urls(self, connection: asyncpg.Connection, now: datetime, *, is_dry: bool) -> Sequence[str]:
        if not is_dry:
            await connection.execute(_FORGET_URLS)
        before = now - timedelta(seconds=self._settings.recheck_seconds)
        rows = await connection.fetch(_OLD_URLS, before, sorted(self._settings.origins))
        return [row["url"] for row in rows]

    async def _orphans(self, now: datetime) -> list[Freed]:
        """Return the blobs of which there are objects and no rows; young ones may be about to get theirs."""
        orphans: dict[str, int] = {}
        batch: list[tuple[BlobKey | VariantKey, int]] = []

        async def look() -> None:
            async with self._pool.acquire() as connection:
                rows = await connection.fetch(_KNOWN, list({key.cid for key, _ in batch}))
            known = {(row["cid"], row["profile"]) for row in rows}
            for key, size_bytes in batch:
                profile = key.profile if isinstance(key, VariantKey) else None
                if (key.cid, profile) not in known and (key.cid, None) not in known:
                    orphans[key.cid] = orphans.get(key.cid, 0) + size_bytes
            batch.clear()

        for kind in (BlobKey, VariantKey):
            async for key, stored in self._storage.keys(kind):
                assert isinstance(key, BlobKey | VariantKey)
                if stored.modified_at < now - LEFTOVER_AGE:
                    batch.append((key, stored.size_bytes))
                if len(batch) >= _SLICE:
                    await look()
        if batch:
            await look()
        return [Freed(cid, size_bytes, "unknown") for cid, size_bytes in sorted(orphans.items())]


async def _doubt(connection: asyncpg.Connection, unreferenced: int, orphans: int) -> str | None:
    blobs, repos = await connection.fetchrow(_TOTALS)
    if orphans > FEW and orphans > blobs:
        return f"{orphans} objects are of blobs that this database does not know, which knows {blobs}: it is another's storage"
    if (unreferenced or orphans) and not repos:
        return "the index is empty: it is being rebuilt, or this is another database"
    if unreferenced > FEW and unreferenced * 2 > blobs:
        return f"{unreferenced} of {blobs} blobs have no reference: an index that is being rebuilt looks like this"
    return None
