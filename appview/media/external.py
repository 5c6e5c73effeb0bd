"""Look whether audio is where a record says by URL; it is looked at and never kept.

Only URLs of the origins that the operator named are asked, through the bounded client, and only as much is read as tells
the container. Nobody proves by a URL whose bytes these are, so what is there is marked as unverified for ever.
"""

import contextlib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import asyncpg

from appview.media import jobs
from appview.media.jobs import Job
from appview.media.known import External
from appview.media.settings import MediaSettings
from appview.media.sniffing import HEAD_BYTES, sniff_audio
from atprotocol.errors import ForbiddenAddress, HostNotFound, NetworkError
from atprotocol.net.http import BoundedClient
from atprotocol.syntax.uri import is_at_origin

TIMEOUT_SECONDS = 30.0
# After so many tries without an answer it is not there.
MAX_ATTEMPTS = 6
_MOST_BYTES = 1 << 40
_TOTAL: Final = re.compile(r"bytes [0-9]+-[0-9]+/([0-9]{1,15})")
_SAVE = """
    INSERT INTO plyr.external_media (url, state, reason, mime_type, size_bytes, checked_at) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (url) DO UPDATE SET state = excluded.state, reason = excluded.reason, mime_type = excluded.mime_type,
        size_bytes = excluded.size_bytes, checked_at = excluded.checked_at
"""
_LOAD = "SELECT state, reason, mime_type, size_bytes FROM plyr.external_media WHERE url = $1"


async def load_external(connection: asyncpg.Connection, url: str) -> External | None:
    """Return what was found at a URL; None when nobody has looked yet."""
    row = await connection.fetchrow(_LOAD, url)
    return None if row is None else External(**row)


class UrlCheck:
    """Does the jobs that are URLs."""

    def __init__(self, pool: asyncpg.Pool, client: BoundedClient, settings: MediaSettings) -> None:
        """Take the parts."""
        self._pool = pool
        self._client = client
        self._settings = settings

    async def check(self, job: Job, now: datetime) -> None:
        """Look at the job's URL and write down what is there. Raises NetworkError when it is to be tried again, LeaseLost."""
        try:
            found = await self._look(job.subject)
        except NetworkError as error:
            if job.attempts < MAX_ATTEMPTS and not isinstance(error, ForbiddenAddress | HostNotFound):
                raise
            found = External("gone", f"unreachable: {error}"[:500])
        async with self._pool.acquire() as connection, connection.transaction():
            await jobs.hold(connection, job)
            await connection.execute(
                _SAVE, job.subject, found.state, found.reason, found.mime_type, found.size_bytes, now
            )

    async def _look(self, url: str) -> External:
        origins = self._settings.origins
        if not is_at_origin(url, origins):
            return External("gone", "not-allowed: this origin is none that is asked here")
        wanted = {"Range": f"bytes=0-{HEAD_BYTES - 1}"}
        async with self._client.stream(
            url, max_bytes=_MOST_BYTES, timeout_seconds=TIMEOUT_SECONDS, headers=wanted
        ) as response:
            if not is_at_origin(response.url, origins):
                return External("gone", "leads-elsewhere: it redirects to an origin that is not asked here")
            if response.status >= 500 or response.status == 429:
                raise NetworkError(f"status {response.status}", retry_after_seconds=response.retry_after_seconds)
            if response.status not in (200, 206):
                return External("gone", f"status-{response.status}: the file is not there")
            head = b""
            async with contextlib.aclosing(response.chunks()) as pieces:  # type: ignore[type-var]
                async for piece in pieces:
                    head += piece
                    if len(head) >= HEAD_BYTES:
                        break
            size_bytes = _size_of(response.status, response.headers)
        mime_type = sniff_audio(head[:HEAD_BYTES])
        if mime_type is None:
            return External("unsupported", "not-audio: the bytes are not audio that we know")
        return External("ready", None, mime_type, size_bytes)


def _size_of(status: int, headers: Mapping[str, str]) -> int | None:
    if status == 206:
        found = _TOTAL.fullmatch(headers.get("Content-Range", ""))
        return int(found[1]) if found else None
    length = headers.get("Content-Length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 16 else None
