"""Accounts that are gone, or are said to be: what their hosts say, and when their rows go.

An account is hidden at once and purged only when its host or the directory confirms that it is deleted, or after long
silence: statuses come back often. The account's own host decides, save that what a relay took down stays so.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from atprotocol.errors import RepoGone
from atprotocol.syntax.did import DID
from indexer.decisions import STATUS_CAUSES, Cause, SyncStatus, is_withheld
from indexer.fetching import Network
from indexer.journal import Journal, PurgeUnit
from indexer.metrics import Metrics
from indexer.state import Repo

# What a host says about a repository that it does not serve, in the words of #account.
STATUS_OF = {
    "RepoNotFound": "deleted",
    "RepoTakendown": "takendown",
    "RepoSuspended": "suspended",
    "RepoDeactivated": "deactivated",
}
# A deleted account is purged after so long even if nobody confirms it.
PURGE_AFTER = timedelta(days=7)
PURGE_RETRY_SECONDS = 3600.0


class Accounts:
    """Looks after inactive accounts."""

    def __init__(
        self,
        journal: Journal,
        network: Network,
        metrics: Metrics,
        clock: Callable[[], datetime],
        wake: Callable[[Repo], None],
    ) -> None:
        """Take the parts; `wake` has a repository looked at again."""
        self._journal = journal
        self._network = network
        self._metrics = metrics
        self._clock = clock
        self._wake = wake

    async def look(self, repo: Repo) -> None:
        """Ask the host of an inactive account whether it is active again, if somebody asks, and confirm its deletion."""
        is_to_purge = repo.deleted_at is not None and repo.purged_at is None
        if repo.cause in STATUS_CAUSES:
            is_active = not is_withheld(repo) and await self._network.is_active(DID(repo.did))
            if is_active and not repo.active:
                self._reactivate(repo)
            elif not repo.active:
                # Asked and answered: what else is due, such as the confirmation of a deletion, has its turn.
                repo.cause = Cause.REACTIVATED
                self._journal.touch(repo)
        if is_to_purge and not repo.active:
            await self._confirm_deletion(repo)

    def host_says_gone(self, repo: Repo, gone: RepoGone) -> None:
        """Take the word of the account's own host: hidden, and when it is deleted to be purged after confirmation."""
        repo.active, repo.upstream_status = False, STATUS_OF.get(gone.reason, "deactivated")
        # Not what an upstream said before: what the host took down is the host's to give back.
        repo.account_seq = repo.account_host = None
        repo.forget_waiting()
        if repo.upstream_status == "deleted":
            repo.deleted_at = repo.deleted_at or self._clock()
        self._journal.touch(repo)
        self._wake(repo)

    def _reactivate(self, repo: Repo) -> None:
        repo.active, repo.upstream_status, repo.deleted_at, repo.purged_at = True, None, None, None
        # Its commits were not listened to meanwhile.
        repo.desynchronize(Cause.REACTIVATED)
        self._journal.touch(repo)
        self._wake(repo)

    async def _confirm_deletion(self, repo: Repo) -> None:
        """Purge an account that its host or the directory confirms as gone, or that has been silent for long."""
        confirmed = await self._network.is_deleted(DID(repo.did))
        now = self._clock()
        if repo.deleted_at is None or repo.active:
            return
        if confirmed or now - repo.deleted_at >= PURGE_AFTER:
            self._journal.enter(PurgeUnit(repo.did))
            repo.purged_at = now
            repo.forget_commits()
            repo.seen_rev = repo.cause_detail = repo.retry_at = None
            repo.sync_status, repo.cause = SyncStatus.DESYNCHRONIZED, Cause.REACTIVATED
            self._metrics.event("indexer.purged", did=repo.did, confirmed=confirmed)
        elif repo.cause is Cause.IDENTITY_UNRESOLVABLE and await self._network.is_active(DID(repo.did)):
            # Nobody said that it was deleted: its document could not be found for a while.
            if not repo.active:
                self._reactivate(repo)
        else:
            repo.retry_at = now + timedelta(seconds=PURGE_RETRY_SECONDS)
            self._wake(repo)
        self._journal.touch(repo)
