"""What people ask of the indexer through the database: fetch this account, hide that one.

Polled, as it must also work behind a pooler that keeps no LISTEN. Only `plyr` is read; the writer marks a request as
taken in the transaction that stores what it asks for, so that none is lost in a crash. Takedowns of accounts, the
operator's and those of configured labelers, are copied into the status rows, so that counters leave them out.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import asyncpg
import logfire

from indexer import overlays
from indexer.cancellation import cancellations, end_if_cancelled
from indexer.decisions import Cause
from indexer.journal import Journal, OverlaysUnit, RequestUnit
from indexer.label_takedowns import LabelTakedowns
from indexer.state import Repo, Repos

_REQUESTS = "SELECT did FROM plyr.sync_requests WHERE taken_at IS NULL ORDER BY requested_at LIMIT 100"
_TAKEDOWNS = "SELECT subject FROM plyr.takedowns WHERE subject LIKE 'did:%'"


class Requests:
    """Takes up what stands in `plyr`."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        repos: Repos,
        journal: Journal,
        labeled: LabelTakedowns,
        wake: Callable[[Repo], None],
        clock: Callable[[], datetime],
    ) -> None:
        """Take the parts; nothing runs before run()."""
        self._pool = pool
        self._repos = repos
        self._journal = journal
        self._labeled = labeled
        self._clock = clock
        self._wake = wake
        self._taken: dict[str, RequestUnit] = {}
        self._overlays_until: datetime | None = None

    async def run(self, seconds: float) -> None:
        """Look every so many seconds; a database that does not answer is asked again."""
        cancelled = cancellations()
        while True:
            try:
                await self.take()
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
                logfire.debug("plyr could not be read; the writer will say why")
                end_if_cancelled(cancelled)
            await asyncio.sleep(seconds)

    async def take(self) -> int:
        """Take up everything that stands there now; return how many fetches were asked for."""
        async with self._pool.acquire() as connection:
            wanted = [row["did"] for row in await connection.fetch(_REQUESTS)]
            hidden = {row["subject"] for row in await connection.fetch(_TAKEDOWNS)}
            imported_at = await overlays.newest_import(connection)
        self._taken = {did: unit for did, unit in self._taken.items() if not unit.is_written}
        wanted = [did for did in wanted if did not in self._taken]
        for did in wanted:
            self._request(did)
        now = self._clock()
        for did, repo in self._repos.by_did.items():
            is_takendown = did in hidden or self._labeled.holds(did, now)
            if repo.takendown is not is_takendown:
                repo.takendown = is_takendown
                self._journal.touch(repo)
        self._take_overlays(imported_at)
        return len(wanted)

    def _take_overlays(self, imported_at: datetime | None) -> None:
        """Have the writer lay over what was imported; at the start all of it, as nobody knows what came while we were away."""
        if imported_at is None or imported_at == self._overlays_until or not self._repos.by_did:
            return
        since = self._overlays_until or datetime.min.replace(tzinfo=UTC) + overlays.OVERLAP
        self._journal.enter(OverlaysUnit(next(iter(self._repos.by_did)), since))
        self._overlays_until = imported_at

    def _request(self, did: str) -> None:
        # An inactive account stays hidden until its host says otherwise: the repair asks.
        repo = self._repos.track(did, Cause.REQUESTED)
        repo.desynchronize(Cause.REQUESTED)
        self._taken[did] = unit = RequestUnit(did)
        self._journal.enter(unit)
        self._journal.touch(repo)
        self._wake(repo)
