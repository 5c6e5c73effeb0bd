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

from atprotocol.crypto import parse_did_key
from atprotocol.errors import (
    BadSignature,
    IdentityNotFound,
    InvalidKey,
    NetworkError,
    ProtocolError,
    RepoGone,
    ResponseTooLarge,
)
from atprotocol.net.directory import Identity
from atprotocol.syntax.did import DID
from atprotocol.verification import verify_commit, verify_rev
from indexer.decisions import (
    CHAIN_KEEPING_CAUSES,
    IDENTITY_CAUSES,
    STATUS_CAUSES,
    Cause,
    SyncStatus,
    cause_of,
    is_withheld,
)
from indexer.due_queue import DueQueue
from indexer.fetching import Fetched, Network
from indexer.host_turns import HostTurns
from indexer.journal import Journal, PurgeUnit, SnapshotUnit
from indexer.metrics import Metrics
from indexer.processor import Processor
from indexer.repair_outcomes import Postponed, RepairFailed
from indexer.state import Repo, Repos

# What a host says about a repository that it does not serve, in the words of #account.
_STATUS_OF = {
    "RepoNotFound": "deleted",
    "RepoTakendown": "takendown",
    "RepoSuspended": "suspended",
    "RepoDeactivated": "deactivated",
}


@dataclass(frozen=True, slots=True)
class RepairSettings:
    """How hard to try."""

    workers: int = 8
    # So many of them may fetch from one host at a time: a slow one must not hold up all others.
    workers_per_host: int = 3
    first_retry_seconds: float = 10.0
    longest_retry_seconds: float = 3600.0
    # A snapshot older than what was heard of is refused so often; then the host's word is taken.
    stale_snapshots: int = 5
    # A deleted account is purged after so long even if nobody confirms it.
    purge_after: timedelta = timedelta(days=7)
    purge_retry_seconds: float = 3600.0


class Repair:
    """Repairs repositories as they are woken."""

    def __init__(
        self,
        repos: Repos,
        journal: Journal,
        network: Network,
        metrics: Metrics,
        clock: Callable[[], datetime],
        random: Callable[[], float],
        settings: RepairSettings,
    ) -> None:
        """Take the parts; nothing runs before run()."""
        self._repos = repos
        self._journal = journal
        self._network = network
        self._metrics = metrics
        self._clock = clock
        self._random = random
        self._settings = settings
        self._queue = DueQueue()
        self._turns = HostTurns(settings.workers_per_host, self._queue.put)
        self.processor: Processor | None = None
        self.on_identity: Callable[[Repo], None] = _ignore

    def wake(self, repo: Repo) -> None:
        """Have the repository looked at as soon as its turn comes."""
        now = self._clock()
        delay = max(0.0, (repo.retry_at - now).total_seconds()) if repo.retry_at is not None else 0.0
        self._queue.put(repo.did, max(delay, repo.pause_seconds(now)))

    @property
    def is_idle(self) -> bool:
        """Tell whether nothing is due or under way."""
        return self._queue.is_idle and not self._turns.held_count

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
                self._turns.lapse(did)
                self._queue.done(did)

    async def repair(self, repo: Repo) -> None:
        """Look after one repository: confirm its deletion, or synchronize it, or say when to try again."""
        if repo.deleted_at is not None and repo.purged_at is None and repo.cause not in STATUS_CAUSES:
            await self._confirm_deletion(repo)
            return
        if not repo.active and repo.cause in STATUS_CAUSES:
            is_active = not is_withheld(repo) and await self._network.is_active(DID(repo.did))
            if is_active and not repo.active:
                self._reactivate(repo)
            elif not repo.active:
                # Asked and answered: what else is due, such as the confirmation of a deletion, has its turn.
                repo.cause = Cause.REACTIVATED
                self._journal.touch(repo)
                if repo.deleted_at is not None and repo.purged_at is None:
                    await self._confirm_deletion(repo)
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
            return
        except RepairFailed as failure:
            self._fail(repo, failure)
            outcome, detail = f"failed:{failure.cause}", failure.detail
        self._metrics.repaired(
            repo.did, outcome, cause, seconds=time.monotonic() - started, size_bytes=fetched, detail=detail
        )

    def _reactivate(self, repo: Repo) -> None:
        repo.active, repo.upstream_status, repo.deleted_at, repo.purged_at = True, None, None, None
        self._journal.touch(repo)

    def _fail(self, repo: Repo, failure: RepairFailed) -> None:
        if repo.sync_status is not SyncStatus.DESYNCHRONIZED:
            return
        repo.sync_status, repo.cause, repo.cause_detail = failure.status, failure.cause, failure.detail[:500]
        repo.retry_count += 1
        if failure.status is SyncStatus.DESYNCHRONIZED:
            ceiling = min(
                self._settings.longest_retry_seconds,
                self._settings.first_retry_seconds * 2.0 ** min(repo.retry_count - 1, 30),
            )
            seconds = max(ceiling * (0.5 + self._random() / 2), failure.retry_after_seconds or 0.0)
            repo.retry_at = self._clock() + timedelta(seconds=seconds)
            self.wake(repo)
        else:
            repo.forget_waiting()
        self._journal.touch(repo)

    # --- synchronization ---------------------------------------------------------------------------------------

    async def _synchronize(self, repo: Repo) -> int:
        """Bring the repository to `synchronized`, or find its account inactive; return the bytes fetched."""
        refreshed = repo.signing_key is None or repo.identity_at is None or repo.cause in IDENTITY_CAUSES
        if refreshed:
            await self._refresh_identity(repo)
        # Whatever was awaited, the stream went on meanwhile: look at the state anew.
        if not _needs_repair(repo) or self._continue(repo):
            return 0
        if repo.signing_key is None or repo.pds is None:
            raise RepairFailed(
                Cause.NO_KEY,
                "the DID document names no usable signing key"
                if repo.signing_key is None
                else "the DID document names no PDS",
            )
        pds, repo.doubted = repo.pds, None
        if not self._turns.take(pds, repo.did):
            raise Postponed
        try:
            fetched = await self._network.fetch(pds, DID(repo.did))
        except RepoGone as gone:
            if not refreshed:
                await self._refresh_identity(repo)
            if _needs_repair(repo) and repo.pds != pds:
                raise RepairFailed(Cause.PDS_UNREACHABLE, f"the account has moved from {pds}") from gone
            if _needs_repair(repo) and repo.doubted is not None:
                raise RepairFailed(repo.doubted, str(gone)) from gone
            if _needs_repair(repo):
                self._host_says_gone(repo, gone)
            return 0
        except ResponseTooLarge as error:
            raise RepairFailed(Cause.REPO_TOO_LARGE, str(error), status=SyncStatus.TOO_LARGE) from error
        except NetworkError as error:
            raise RepairFailed(Cause.PDS_UNREACHABLE, str(error), error.retry_after_seconds) from error
        except ProtocolError as error:
            raise RepairFailed(Cause.BAD_REPO, f"{type(error).__name__}: {error}") from error
        finally:
            self._turns.give_back(pds)
        if not _is_signed(repo, fetched) and not refreshed:
            await self._refresh_identity(repo)
        if _needs_repair(repo):
            if not _is_signed(repo, fetched):
                raise RepairFailed(Cause.BAD_REPO, "the repository is not signed with the account's key")
            self._take_snapshot(repo, fetched)
        return fetched.size_bytes

    async def _refresh_identity(self, repo: Repo) -> None:
        """Resolve the DID anew; a DID that is gone makes its account inactive."""
        doubts = repo.identity_doubts
        try:
            identity = await self._network.resolve(DID(repo.did))
        except IdentityNotFound as error:
            repo.active, repo.upstream_status = False, "deleted"
            repo.cause, repo.cause_detail = Cause.IDENTITY_UNRESOLVABLE, str(error)[:500]
            repo.deleted_at = repo.deleted_at or self._clock()
            repo.forget_waiting()
            self._journal.touch(repo)
            self.wake(repo)
        except NetworkError as error:
            raise RepairFailed(Cause.IDENTITY_UNRESOLVABLE, str(error), error.retry_after_seconds) from error
        else:
            self._take_identity(repo, identity, is_current=repo.identity_doubts == doubts)

    def _take_identity(self, repo: Repo, identity: Identity, *, is_current: bool) -> None:
        """Keep what the document says; unless it is current, it is to be read again after the repair."""
        if identity.handle_claim != repo.handle:
            repo.handle, repo.handle_verified_at, repo.handle_checked_at = identity.handle_claim, None, None
        repo.signing_key, repo.pds = identity.signing_key, identity.pds
        repo.identity_at = self._clock() if is_current else None
        self._journal.touch(repo)
        self.on_identity(repo)

    def _continue(self, repo: Repo) -> bool:
        """Try what waits on the stored chain; True when that brings the repository up to all that was heard of."""
        if (
            repo.cause not in CHAIN_KEEPING_CAUSES
            or repo.data is None
            or repo.rev is None
            or repo.signing_key is None
            or repo.has_lost_commits
        ):
            return False
        self._apply_waiting(repo)
        if repo.waiting or (repo.seen_rev is not None and repo.rev < repo.seen_rev):
            return False
        self._finish(repo)
        return True

    def _finish(self, repo: Repo) -> None:
        """Mark the repository synchronized, unless it or its identity was called into question meanwhile."""
        doubted, repo.doubted = repo.doubted, None
        repo.synchronize(self._clock())
        if doubted is not None or repo.identity_at is None:
            repo.desynchronize(doubted or Cause.IDENTITY)
            self.wake(repo)
        self._journal.touch(repo)

    def _apply_waiting(self, repo: Repo) -> Cause | None:
        """Apply the waiting commits that continue the chain, in order; stop at the first that does not and say why."""
        assert self.processor is not None
        assert repo.signing_key is not None
        key = parse_did_key(repo.signing_key)
        while repo.waiting:
            frame = repo.waiting[0]
            if repo.rev is None or repo.data is None or frame.rev > repo.rev:
                try:
                    verified = verify_commit(frame, key, repo.data or b"", self._clock())
                except ProtocolError as error:
                    return cause_of(error)
                self.processor.apply(repo, verified)
            repo.drop_first()
        return None

    def _take_snapshot(self, repo: Repo, fetched: Fetched) -> None:
        """Enter a verified snapshot and the commits that waited for it; all in one step, without awaiting."""
        commit = fetched.snapshot.commit
        if commit.did != repo.did:
            raise RepairFailed(Cause.BAD_REPO, "the repository is another account's")
        try:
            verify_rev(commit.rev, self._clock())
        except ProtocolError as error:
            raise RepairFailed(Cause.BAD_REPO, str(error)) from error
        if self._is_stale(repo, commit.rev):
            if repo.retry_count < self._settings.stale_snapshots:
                raise RepairFailed(
                    Cause.STALE_SNAPSHOT,
                    f"the host serves rev {commit.rev}, older than {repo.seen_rev} that was heard of",
                )
            self._metrics.event("indexer.rollback", did=repo.did, rev=commit.rev, seen_rev=repo.seen_rev)
            repo.seen_rev = commit.rev
        self._journal.enter(SnapshotUnit(repo.did, commit.rev, fetched.snapshot.records))
        repo.rev, repo.data = commit.rev, commit.data
        repo.hear_of(commit.rev)
        broken = self._apply_waiting(repo)
        if broken is None:
            self._finish(repo)
        else:
            # What waits does not continue the snapshot: look again a little later, without it.
            repo.forget_waiting()
            self._fail(repo, RepairFailed(broken, "a commit that waited does not continue the fetched repository"))
        self._journal.touch(repo)

    def _is_stale(self, repo: Repo, rev: str) -> bool:
        """Tell whether a snapshot, with the commits that wait for it, is behind what was heard of."""
        newest = max([rev, *(frame.rev for frame in repo.waiting)])
        return (repo.seen_rev is not None and newest < repo.seen_rev) or (repo.rev is not None and rev < repo.rev)

    # --- accounts that are gone --------------------------------------------------------------------------------

    def _host_says_gone(self, repo: Repo, gone: RepoGone) -> None:
        """Take the word of the account's own host: hidden, and when it is deleted to be purged after confirmation."""
        repo.active, repo.upstream_status = False, _STATUS_OF.get(gone.reason, "deactivated")
        repo.forget_waiting()
        if repo.upstream_status == "deleted":
            repo.deleted_at = repo.deleted_at or self._clock()
        self._journal.touch(repo)
        self.wake(repo)

    async def _confirm_deletion(self, repo: Repo) -> None:
        """Purge an account that its host or the directory confirms as gone, or that has been silent for long."""
        confirmed = await self._network.is_deleted(DID(repo.did))
        now = self._clock()
        if repo.deleted_at is None or repo.active:
            return
        if confirmed or now - repo.deleted_at >= self._settings.purge_after:
            self._journal.enter(PurgeUnit(repo.did))
            repo.purged_at = now
            repo.rev = repo.data = repo.seen_rev = None
            repo.sync_status, repo.cause, repo.cause_detail, repo.retry_at = (
                SyncStatus.DESYNCHRONIZED,
                Cause.REACTIVATED,
                None,
                None,
            )
            self._metrics.event("indexer.purged", did=repo.did, confirmed=confirmed)
        elif repo.cause is Cause.IDENTITY_UNRESOLVABLE and await self._network.is_active(DID(repo.did)):
            # Nobody said that it was deleted: its document could not be found for a while.
            if not repo.active:
                self._reactivate(repo)
                repo.desynchronize(Cause.REACTIVATED)
                self.wake(repo)
        else:
            repo.retry_at = now + timedelta(seconds=self._settings.purge_retry_seconds)
            self.wake(repo)
        self._journal.touch(repo)


def _needs_repair(repo: Repo) -> bool:
    return repo.active and repo.sync_status is SyncStatus.DESYNCHRONIZED


def _is_signed(repo: Repo, fetched: Fetched) -> bool:
    """Tell whether the account's key signed the snapshot, or it is the very tree that was verified before.

    The latter is what a new host serves right after a migration: the old commit, under the old key.
    """
    if fetched.snapshot.commit.data == repo.data:
        return True
    try:
        fetched.snapshot.commit.verify_signature(parse_did_key(repo.signing_key or ""))
    except (BadSignature, InvalidKey):
        return False
    return True


def _ignore(_: Repo) -> None:
    """Do nothing: for whoever has no interest in identities."""
