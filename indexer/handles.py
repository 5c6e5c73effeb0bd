"""Verify handles beside everything else: data never wait for a handle.

An unverified handle is not shown. When two accounts verify the same handle the newest verification wins. A verified handle
is verified again daily, a broken one hourly, each when the DID document was read anew, but at most once a minute. What
cannot be found out now is tried again later and changes nothing meanwhile.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from atprotocol.net.handles import HandleStatus, HandleVerdict
from atprotocol.syntax.did import DID
from atprotocol.syntax.handle import Handle
from indexer.due_queue import DueQueue
from indexer.journal import Journal
from indexer.metrics import Metrics
from indexer.state import Repo, Repos

UNAVAILABLE_RETRY_SECONDS = 600.0
VERIFIED_FOR = timedelta(days=1)
BROKEN_FOR = timedelta(hours=1)
LEAST_INTERVAL = timedelta(minutes=1)
SWEEP_SECONDS = 60.0
SWEPT_AT_ONCE = 1000
# So many holders of handles are remembered beside one for each repository.
HOLDERS_LIMIT = 1000


class Verifier(Protocol):
    """Whoever can tell whether a handle is a DID's."""

    async def verify_handle(self, handle: Handle, did: DID) -> HandleVerdict:
        """Return whether the handle names this DID."""
        ...


class Handles:
    """Verifies the handles of repositories whose identity was resolved."""

    def __init__(
        self,
        repos: Repos,
        journal: Journal,
        verifier: Verifier,
        metrics: Metrics,
        clock: Callable[[], datetime],
        workers: int = 4,
    ) -> None:
        """Take the parts; nothing runs before run()."""
        self._repos = repos
        self._journal = journal
        self._verifier = verifier
        self._metrics = metrics
        self._clock = clock
        self._workers = workers
        self._queue = DueQueue()
        # Who was the last to verify a handle; whether it still claims it is looked up when somebody else does.
        self._holders: dict[str, str] = {}

    def wake(self, repo: Repo) -> None:
        """Have the repository's handle looked at now, or a minute after the last look."""
        self._put_after(repo, LEAST_INTERVAL)

    def take_up(self, repo: Repo) -> None:
        """Go on with a repository as the last process left it."""
        if repo.handle is not None and repo.handle_verified_at is not None:
            self._hold(repo, repo.handle)

    def _put_after(self, repo: Repo, interval: timedelta) -> None:
        """Have the handle looked at so long after it was looked at last."""
        if repo.handle is not None and repo.active:
            passed = None if repo.handle_checked_at is None else self._clock() - repo.handle_checked_at
            self._queue.put(repo.did, 0.0 if passed is None else max(0.0, (interval - passed).total_seconds()))

    async def sweep(self) -> None:
        """Have every handle looked at that it is time for."""
        for number, repo in enumerate(list(self._repos.by_did.values()), 1):
            checked_at = repo.handle_checked_at
            if repo.handle is not None and repo.active:
                interval = BROKEN_FOR if repo.handle_verified_at is None else VERIFIED_FOR
                is_due = checked_at is None or self._clock() - checked_at >= interval
                # What could not be found out is due, and asked about later.
                if is_due and repo.did not in self._queue:
                    self._queue.put(repo.did)
            if number % SWEPT_AT_ONCE == 0:
                await asyncio.sleep(0)
        if len(self._holders) > len(self._repos.by_did) + HOLDERS_LIMIT:
            # Accounts change their handles as often as they like.
            self._holders = {name: did for name, did in self._holders.items() if self._claims(did, name)}

    def _claims(self, did: str, handle: str) -> bool:
        repo = self._repos.by_did.get(did)
        return repo is not None and repo.handle == handle

    @property
    def is_idle(self) -> bool:
        """Tell whether nothing is due or under way."""
        return self._queue.is_idle

    async def run(self) -> None:
        """Verify for ever, with a bounded number of workers."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._work())
            while True:
                await self.sweep()
                await asyncio.sleep(SWEEP_SECONDS)

    async def _work(self) -> None:
        while True:
            did = await self._queue.get()
            try:
                repo = self._repos.by_did.get(did)
                if repo is not None and repo.handle is not None and repo.active:
                    await self._verify(repo, repo.handle)
            finally:
                self._queue.done(did)

    async def _verify(self, repo: Repo, handle: str) -> None:
        verdict = await self._verifier.verify_handle(Handle(handle), DID(repo.did))
        if repo.handle != handle:
            return
        now = self._clock()
        match verdict.status:
            case HandleStatus.VERIFIED:
                repo.handle_verified_at = repo.handle_checked_at = now
                self._hold(repo, handle)
            case HandleStatus.BROKEN:
                repo.handle_verified_at, repo.handle_checked_at = None, now
            case HandleStatus.UNAVAILABLE:
                self._queue.put(repo.did, UNAVAILABLE_RETRY_SECONDS)
                return
        self._journal.touch(repo)

    def _hold(self, repo: Repo, handle: str) -> None:
        """Give the handle to whoever verified it last, and take it from whoever had it."""
        other = self._repos.by_did.get(self._holders.get(handle, ""))
        if other is None or other is repo or other.handle != handle or other.handle_verified_at is None:
            self._holders[handle] = repo.did
            return
        assert repo.handle_verified_at is not None
        won, lost = (repo, other) if repo.handle_verified_at >= other.handle_verified_at else (other, repo)
        self._holders[handle] = won.did
        lost.handle_verified_at = None
        self._journal.touch(lost)
        self._metrics.event("indexer.handle_contested", handle=handle, won=won.did, lost=lost.did)
