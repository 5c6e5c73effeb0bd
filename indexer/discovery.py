"""Find accounts that have records of ours but made none since we listen: ask the relay, at the start and daily.

What is already tracked is left alone; the rest is tracked as `desynchronized`, as fast as growth allows.
"""

import asyncio
from collections.abc import Callable

from atprotocol.errors import NetworkError, RepoGone
from atprotocol.net.http import BoundedClient
from atprotocol.net.repos import list_repos_by_collection
from indexer.decisions import Cause
from indexer.growth import Growth
from indexer.journal import Journal
from indexer.metrics import Metrics
from indexer.state import Repo, Repos

FAILED_RETRY_SECONDS = 300.0
GROWTH_RETRY_SECONDS = 1.0


class Discovery:
    """Asks one relay for the accounts of our collections."""

    def __init__(
        self,
        client: BoundedClient,
        relay_url: str,
        collections: frozenset[str],
        repos: Repos,
        journal: Journal,
        growth: Growth,
        metrics: Metrics,
        wake: Callable[[Repo], None],
    ) -> None:
        """Take the parts; nothing runs before run()."""
        self._client = client
        self._relay_url = relay_url
        self._collections = collections
        self._repos = repos
        self._journal = journal
        self._growth = growth
        self._metrics = metrics
        self._wake = wake

    async def run(self, seconds: float) -> None:
        """Discover now, and again every so many seconds; sooner after a failure."""
        while True:
            await asyncio.sleep(seconds if await self.discover() else min(seconds, FAILED_RETRY_SECONDS))

    async def discover(self) -> bool:
        """Track every account that the relay names; False when it could not be asked to the end."""
        found = 0
        for collection in sorted(self._collections):
            try:
                async for page in list_repos_by_collection(self._client, self._relay_url, collection):
                    for did in page.dids:
                        found += await self._track(did)
            except (NetworkError, RepoGone) as error:
                self._metrics.event("indexer.discovery_failed", collection=collection, error=str(error)[:200])
                return False
        self._metrics.note("indexer.discovered", new_repos=found)
        return True

    async def _track(self, did: str) -> bool:
        if did in self._repos.by_did:
            return False
        while not self._growth.admit():
            await asyncio.sleep(GROWTH_RETRY_SECONDS)
        repo = self._repos.track(did, Cause.NEW)
        self._journal.touch(repo)
        self._wake(repo)
        return True
