"""Verify handles beside everything else: data never wait for a handle.

An unverified handle is not shown. When two accounts verify the same handle the newest verification wins. What cannot
be found out now is tried again later and changes nothing meanwhile.
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
FRESH_FOR = timedelta(hours=1)


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

    def wake(self, repo: Repo) -> None:
        """Have the repository's handle looked at, unless that was done lately with success."""
        if repo.handle is None:
            return
        if repo.handle_verified_at is None or self._clock() - repo.handle_verified_at > FRESH_FOR:
            self._queue.put(repo.did)

    @property
    def is_idle(self) -> bool:
        """Tell whether nothing is due or under way."""
        return self._queue.is_idle

    async def run(self) -> None:
        """Verify for ever, with a bounded number of workers."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            did = await self._queue.get()
            try:
                repo = self._repos.by_did.get(did)
                if repo is not None and repo.handle is not None:
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
                for other in self._repos.by_did.values():
                    if other is not repo and other.handle == handle and other.handle_verified_at is not None:
                        other.handle_verified_at = None
                        self._journal.touch(other)
                        self._metrics.event("indexer.handle_contested", handle=handle, won=repo.did, lost=other.did)
                repo.handle_verified_at = repo.handle_checked_at = now
            case HandleStatus.BROKEN:
                repo.handle_verified_at, repo.handle_checked_at = None, now
            case HandleStatus.UNAVAILABLE:
                self._queue.put(repo.did, UNAVAILABLE_RETRY_SECONDS)
                return
        self._journal.touch(repo)
