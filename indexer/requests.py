"""What people ask of the indexer through the database: fetch this account, hide that one.

Polled, as it must also work behind a pooler that keeps no LISTEN. Only `plyr` is read, and a request is marked as taken;
takedowns of accounts are copied into the status rows, so that counters leave them out.
"""

import asyncio
from collections.abc import Callable

import asyncpg
import logfire

from indexer.decisions import Cause
from indexer.journal import Journal
from indexer.state import Repo, Repos

_REQUESTS = "SELECT did FROM plyr.sync_requests WHERE taken_at IS NULL ORDER BY requested_at LIMIT 100"
_TAKEN = "UPDATE plyr.sync_requests SET taken_at = now() WHERE did = ANY($1::text[])"
_TAKEDOWNS = "SELECT subject FROM plyr.takedowns WHERE subject LIKE 'did:%'"


class Requests:
    """Takes up what stands in `plyr`."""

    def __init__(self, pool: asyncpg.Pool, repos: Repos, journal: Journal, wake: Callable[[Repo], None]) -> None:
        """Take the parts; nothing runs before run()."""
        self._pool = pool
        self._repos = repos
        self._journal = journal
        self._wake = wake

    async def run(self, seconds: float) -> None:
        """Look every so many seconds; a database that does not answer is asked again."""
        while True:
            try:
                await self.take()
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
                logfire.debug("plyr could not be read; the writer will say why")
            await asyncio.sleep(seconds)

    async def take(self) -> int:
        """Take up everything that stands there now; return how many fetches were asked for."""
        async with self._pool.acquire() as connection:
            wanted = [row["did"] for row in await connection.fetch(_REQUESTS)]
            if wanted:
                await connection.execute(_TAKEN, wanted)
            hidden = {row["subject"] for row in await connection.fetch(_TAKEDOWNS)}
        for did in wanted:
            self._request(did)
        for did, repo in self._repos.by_did.items():
            if repo.takendown is not (did in hidden):
                repo.takendown = did in hidden
                self._journal.touch(repo)
        return len(wanted)

    def _request(self, did: str) -> None:
        # An inactive account stays hidden until its host says otherwise: the repair asks.
        repo = self._repos.track(did, Cause.REQUESTED)
        repo.desynchronize(Cause.REQUESTED)
        self._journal.touch(repo)
        self._wake(repo)
