"""The one worker pool that puts repositories right: new ones, broken ones, changed identities, deletions.

Refreshes the identity when the cause asks for it and tries the waiting commits first; only then fetches the repository,
verifies all of it, and hands it to the writer as a snapshot, then the waiting commits. What the network does not answer
is tried again, ever more rarely; what it answers conclusively ends the trying until a new event.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import logfire

from atprotocol.errors import NetworkError, ProtocolError, RepoGone, ResponseTooLarge
from atprotocol.syntax.did import DID
from atprotocol.verification import VerifiedCommit
from indexer.accounts import Accounts
from indexer.chains import Chains, is_signed
from indexer.decisions import CHAIN_KEEPING_CAUSES, IDENTITY_DOUBTING_CAUSES, Cause, SyncStatus
from indexer.due_queue import DueQueue
from indexer.fetching import Network
from indexer.growth import HostGrowth
from indexer.host_turns import HostTurns
from indexer.identities import Identities
from indexer.journal import Journal
from indexer.metrics import Metrics
from indexer.repair_outcomes import Postponed, RepairFailed
from indexer.state import Repo, Repos


@dataclass(frozen=True, slots=True)
class RepairSettings:
    """How hard to try."""

    workers: int = 8
    # So many of them may fetch from one host at a time: a slow one must not hold up all others.
    workers_per_host: int = 3
    first_retry_seconds: float = 10.0
    longest_retry_seconds: float = 3600.0
    # With several upstreams, so long may a broken chain wait for the others to bring what is missing.
    patience_seconds: float = 0.0


class Repair:
    """Repairs repositories as they are woken."""

    def __init__(
        self,
        repos: Repos,
        journal: Journal,
        network: Network,
        growth: HostGrowth,
        metrics: Metrics,
        clock: Callable[[], datetime],
        random: Callable[[], float],
        settings: RepairSettings,
        apply: Callable[[Repo, VerifiedCommit], None],
    ) -> None:
        """Take the parts; `apply` enters a verified commit. Nothing runs before run()."""
        self._repos = repos
        self._journal = journal
        self._network = network
        self._growth = growth
        self._metrics = metrics
        self._clock = clock
        self._random = random
        self._settings = settings
        self._queue = DueQueue()
        self.turns = HostTurns(settings.workers_per_host, self._queue.put, time.monotonic, random)
        self.identities = Identities(journal, network, clock, self._wake)
        self._accounts = Accounts(journal, network, metrics, clock, self._wake)
        self._chains = Chains(journal, metrics, clock, apply, self._wake)

    def _wake(self, repo: Repo) -> None:
        self.wake(repo)

    def wake(self, repo: Repo) -> None:
        """Have the repository looked at as soon as its turn comes."""
        now = self._clock()
        delay = max(0.0, (repo.retry_at - now).total_seconds()) if repo.retry_at is not None else 0.0
        if repo.cause is Cause.BROKEN_CHAIN:
            delay = max(delay, self._settings.patience_seconds)
        self._queue.put(repo.did, max(delay, repo.pause_seconds(now)))

    @property
    def is_idle(self) -> bool:
        """Tell whether nothing is due or under way."""
        return self._queue.is_idle and not self.turns.held_count

    def waits_seconds(self) -> list[float]:
        """Return for each repository in the queue how long its turn is overdue; negative for those that are due later."""
        return self._queue.waits_seconds()

    async def run(self) -> None:
        """Repair for ever, with a bounded number of workers."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._settings.workers):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            did = await self._queue.get()
            try:
                # While the database does not take what was fetched, no more is fetched.
                await self._journal.room()
                repo = self._repos.by_did.get(did)
                if repo is not None:
                    await self.repair(repo)
            finally:
                self.turns.lapse(did)
                self._queue.done(did)

    async def repair(self, repo: Repo) -> None:
        """Look after one repository: confirm its deletion, or synchronize it, or say when to try again."""
        if not repo.active:
            await self._accounts.look(repo)
        if not _needs_repair(repo):
            return
        repo.count_repair(self._clock())
        started, cause, fetched = time.monotonic(), repo.cause, 0
        try:
            with logfire.span("indexer.resync", did=repo.did, cause=cause):
                fetched = await self._synchronize(repo)
            outcome, detail = (
                (repo.sync_status.value if repo.active else "inactive"),
                (repo.cause_detail if repo.active else repo.upstream_status),
            )
        except Postponed:
            repo.uncount_repair()
            return
        except RepairFailed as failure:
            self._fail(repo, failure)
            outcome, detail = f"failed:{failure.cause}", failure.detail
        self._metrics.repaired(
            repo.did, outcome, cause, seconds=time.monotonic() - started, size_bytes=fetched, detail=detail
        )

    def _fail(self, repo: Repo, failure: RepairFailed) -> None:
        if repo.sync_status is not SyncStatus.DESYNCHRONIZED:
            return
        repo.sync_status, repo.cause, repo.cause_detail = failure.status, failure.cause, failure.detail[:500]
        repo.retry_count += 1
        if failure.cause in IDENTITY_DOUBTING_CAUSES:
            repo.doubt_identity()
        if failure.status is SyncStatus.DESYNCHRONIZED:
            ceiling = min(
                self._settings.longest_retry_seconds,
                self._settings.first_retry_seconds * 2.0 ** min(repo.retry_count - 1, 30),
            )
            seconds = max(ceiling * (0.5 + self._random() / 2), failure.retry_after_seconds or 0.0)
            repo.retry_at = self._clock() + timedelta(seconds=seconds)
            self.wake(repo)
        else:
            # From now on its commits are not listened to.
            repo.forget_waiting()
            repo.has_lost_commits = True
        self._journal.touch(repo)

    async def _synchronize(self, repo: Repo) -> int:
        """Bring the repository to `synchronized`, or find its account inactive; return the bytes fetched."""
        began = self._clock()
        judged = await self.identities.refresh_for_repair(repo)
        is_contradicted = repo.cause is Cause.CONTRADICTED and not await self._network.is_active(DID(repo.did))
        # Whatever was awaited, the stream went on meanwhile: look at the state anew.
        if not _needs_repair(repo):
            return 0
        if not is_contradicted and self._chains.continue_stored(repo, judged):
            return 0
        pds, repo.doubted = _host_of_repo(repo), None
        if not self.turns.take(pds, repo.did):
            raise Postponed
        try:
            if repo.cause is Cause.NEW and (wait := self._growth.wait_seconds(pds)) > 0:
                self._queue.put(repo.did, wait)
                raise Postponed
            fetched = await self._network.fetch(pds, DID(repo.did))
            self._metrics.fetched(is_sparse=fetched.is_sparse, requests=fetched.requests, size_bytes=fetched.size_bytes)
        except RepoGone as gone:
            self.turns.succeeded(pds)
            await self._gone(repo, gone, began)
            return 0
        except ResponseTooLarge as error:
            raise RepairFailed(Cause.REPO_TOO_LARGE, str(error), status=SyncStatus.TOO_LARGE) from error
        except NetworkError as error:
            self.turns.failed(pds, error.retry_after_seconds)
            raise RepairFailed(Cause.PDS_UNREACHABLE, str(error), error.retry_after_seconds) from error
        except ProtocolError as error:
            raise RepairFailed(Cause.BAD_REPO, f"{type(error).__name__}: {error}") from error
        finally:
            self.turns.give_back(pds)
        self.turns.succeeded(pds)
        if not is_signed(repo, fetched) and not _was_read(repo, began):
            judged = await self.identities.refresh(repo)
        if _needs_repair(repo):
            if not is_signed(repo, fetched):
                # The key may have changed since it was read, a moment ago.
                repo.doubt_identity()
                raise RepairFailed(Cause.BAD_REPO, "the repository is not signed with the account's key")
            failure = self._chains.take_snapshot(repo, fetched, judged)
            if failure is not None:
                raise failure
        return fetched.size_bytes

    async def _gone(self, repo: Repo, gone: RepoGone, began: datetime) -> None:
        """Believe a host that says that it has no such repository, if it is still the account's and nothing was said since."""
        if not _was_read(repo, began):
            await self.identities.refresh(repo)
        if not _needs_repair(repo):
            return
        # It moved, or something else was said of it meanwhile.
        if repo.doubted is not None:
            # A fetch was due, and still is: no cause may take its place that can do without one.
            cause = repo.cause if repo.doubted in CHAIN_KEEPING_CAUSES else None
            raise RepairFailed(cause or repo.doubted, str(gone)) from gone
        self._accounts.host_says_gone(repo, gone)


def _was_read(repo: Repo, began: datetime) -> bool:
    return repo.identity_at is not None and repo.identity_at >= began


def _needs_repair(repo: Repo) -> bool:
    return repo.active and repo.sync_status is SyncStatus.DESYNCHRONIZED


def _host_of_repo(repo: Repo) -> str:
    """Return where the repository is. Raises RepairFailed when its DID document does not tell all that is needed."""
    if repo.signing_key is None:
        raise RepairFailed(Cause.NO_KEY, "the DID document names no usable signing key")
    if repo.pds is None:
        raise RepairFailed(Cause.NO_KEY, "the DID document names no PDS")
    return repo.pds
