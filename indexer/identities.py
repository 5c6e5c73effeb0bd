"""Read DID documents anew: key, PDS and handle claim of an account.

Data wait for key and PDS, never for a handle: whether the claim is true is verified beside (`indexer.handles`). A
document that was read a moment ago is not read again unless something called it into question since.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from atprotocol.errors import IdentityNotFound, NetworkError
from atprotocol.net.directory import Identity
from atprotocol.syntax.did import DID
from indexer.decisions import IDENTITY_CAUSES, Cause
from indexer.fetching import Network
from indexer.journal import Journal
from indexer.repair_outcomes import RepairFailed
from indexer.state import Heard, Repo

FRESH_FOR = timedelta(minutes=1)


class Identities:
    """Keeps what the repositories' DID documents say."""

    def __init__(
        self,
        journal: Journal,
        network: Network,
        clock: Callable[[], datetime],
        wake: Callable[[Repo], None],
    ) -> None:
        """Take the parts; `wake` has the deletion of an account confirmed whose document is gone."""
        self._journal = journal
        self._network = network
        self._clock = clock
        self._wake = wake
        self.on_identity: Callable[[Repo], None] = _ignore

    def is_fresh(self, repo: Repo) -> bool:
        """Tell whether the document was read lately and nothing called it into question since."""
        return (
            repo.signing_key is not None
            and repo.identity_at is not None
            and self._clock() - repo.identity_at <= FRESH_FOR
        )

    async def refresh_for_repair(self, repo: Repo) -> Heard:
        """Read the document if the repair's cause asks for it; return the commits that it was read after."""
        if not self.is_fresh(repo) and (
            repo.signing_key is None or repo.identity_at is None or repo.cause in IDENTITY_CAUSES
        ):
            return await self.refresh(repo)
        return frozenset()

    async def refresh(self, repo: Repo) -> Heard:
        """Read the document, and return the commits that wait and were heard of before; a DID that is gone makes its account inactive.

        Raises RepairFailed when the document cannot be had now.
        """
        doubts, heard = repo.identity_doubts, repo.heard()
        try:
            identity = await self._network.resolve(DID(repo.did))
        except IdentityNotFound as error:
            repo.active, repo.upstream_status = False, "deleted"
            repo.cause, repo.cause_detail = Cause.IDENTITY_UNRESOLVABLE, str(error)[:500]
            repo.deleted_at = repo.deleted_at or self._clock()
            repo.forget_waiting()
            self._journal.touch(repo)
            self._wake(repo)
        except NetworkError as error:
            raise RepairFailed(Cause.IDENTITY_UNRESOLVABLE, str(error), error.retry_after_seconds) from error
        else:
            self._take(repo, identity, is_current=repo.identity_doubts == doubts)
        return heard

    def _take(self, repo: Repo, identity: Identity, *, is_current: bool) -> None:
        """Keep what the document says; unless it is current, it is to be read again after the repair."""
        if identity.handle_claim != repo.handle:
            repo.handle, repo.handle_verified_at, repo.handle_checked_at = identity.handle_claim, None, None
        if repo.pds is not None and identity.pds not in (None, repo.pds):
            # What its new host said before we knew of it was not listened to.
            repo.doubt(Cause.MOVED)
        repo.signing_key, repo.pds = identity.signing_key, identity.pds
        repo.identity_at = self._clock() if is_current else None
        self._journal.touch(repo)
        self.on_identity(repo)


def _ignore(_: Repo) -> None:
    """Do nothing: for whoever has no interest in identities."""
