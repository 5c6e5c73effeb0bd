"""What the indexer does with one frame: route, decide, verify, enter into the journal. Never waits.

Everything here happens between two frames, so the state in memory and the journal agree at every moment. Whatever
needs the network becomes the status `desynchronized` and is woken in the repair.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from atprotocol.crypto import parse_did_key
from atprotocol.errors import FieldMismatch, InvalidSyntax, ProtocolError
from atprotocol.frames import (
    COMMIT,
    ERROR,
    INFO,
    AccountFrame,
    CommitFrame,
    ErrorFrame,
    IdentityFrame,
    InfoFrame,
    Message,
    SyncFrame,
    parse_message,
)
from atprotocol.syntax.did import parse_did
from atprotocol.verification import VerifiedCommit, verify_authorship, verify_commit, verify_rev, verify_sync
from indexer.decisions import (
    STATUS_LENGTH_LIMIT,
    Cause,
    Desynchronize,
    Ignore,
    Ignored,
    SyncStatus,
    Verify,
    Wait,
    cause_of,
    decide_account,
    decide_sync,
    host_of,
    is_foreign,
    is_fork,
    is_gone_for_good,
    is_since_broken,
    is_withheld,
    triage_commit,
    triage_sync,
)
from indexer.growth import Growth
from indexer.journal import CommitUnit, Journal, RecordChange
from indexer.metrics import Metrics
from indexer.records import RecordReader
from indexer.scope import in_scope
from indexer.state import Repo, Repos

WAITING_BYTES_LIMIT = 16_000_000
# How often the word of a host that is not the account's own may make us look at the DID document again.
FOREIGN_LOOK_INTERVAL = timedelta(minutes=5)
# How often somebody else's word about an account's status may make us ask its host.
ASK_INTERVAL = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where frames come from; `pds` is its URL when it is itself a PDS, None for a relay."""

    host: str
    pds: str | None = None
    # Of several relays the first decides what an account's status is.
    is_primary: bool = True


class Processor:
    """Turns frames into journal entries, for all upstreams of one indexer."""

    def __init__(
        self,
        repos: Repos,
        journal: Journal,
        reader: RecordReader,
        growth: Growth,
        metrics: Metrics,
        clock: Callable[[], datetime],
        wake: Callable[[Repo], None],
    ) -> None:
        """Take the parts; `wake` tells the repair that a repository needs it."""
        self._repos = repos
        self._journal = journal
        self._reader = reader
        self._growth = growth
        self._metrics = metrics
        self._clock = clock
        self._wake = wake
        self._upstream_pdses: set[tuple[str | None, int | None]] = set()

    def follow(self, upstream: Upstream) -> None:
        """Know of an upstream before its frames come: where a PDS speaks for itself no relay decides about its accounts."""
        if upstream.pds is not None:
            self._upstream_pdses.add(host_of(upstream.pds))

    def process(self, kind: str, payload: dict[str, Any], upstream: Upstream) -> InfoFrame | ErrorFrame | None:
        """Act on a split frame; return what speaks of the stream itself."""
        if kind not in (INFO, ERROR) and not in_scope(kind, payload, self._repos.by_did, self._reader.own_collections):
            return None
        self._metrics.frame(kind)
        try:
            message = parse_message(kind, payload)
        except FieldMismatch as error:
            if kind == ERROR:
                # Whatever it fails to say, the connection is over.
                return ErrorFrame("Unreadable", str(error))
            repo = None if kind == INFO else self._repos.by_did.get(payload["repo" if kind == COMMIT else "did"])
            if repo is not None and repo.active and not self._is_foreign(repo, upstream):
                self._unreadable(repo, str(error))
            return None
        return self._act(message, upstream)

    def _unreadable(self, repo: Repo, detail: str) -> None:
        """Have a repository fetched about which something was said that cannot be read."""
        if repo.sync_status is SyncStatus.SYNCHRONIZED:
            self._desynchronize(repo, Cause.BAD_COMMIT, detail)
        elif repo.sync_status is SyncStatus.DESYNCHRONIZED:
            repo.doubt(Cause.BAD_COMMIT)
            self._journal.touch(repo)

    def _act(self, message: Message, upstream: Upstream) -> InfoFrame | ErrorFrame | None:
        match message:
            case InfoFrame() | ErrorFrame():
                return message
            case CommitFrame():
                repo = self._repos.by_did.get(message.did) or self._track(message)
                if repo is not None and not self._is_foreign(repo, upstream):
                    self._commit(repo, message)
            case SyncFrame():
                repo = self._repos.by_did[message.did]
                if not self._is_foreign(repo, upstream):
                    self._sync(repo, message)
            case AccountFrame():
                repo = self._repos.by_did[message.did]
                if not self._is_foreign(repo, upstream):
                    self._account(repo, message, upstream)
            case IdentityFrame():
                self._identity(self._repos.by_did[message.did])
        return None

    def _track(self, frame: CommitFrame) -> Repo | None:
        """Begin to track an account that made a record of ours, unless growth is capped just now."""
        try:
            parse_did(frame.did)
        except InvalidSyntax:
            return None
        if not self._growth.admit():
            self._metrics.often("indexer.growth_refused", did=frame.did)
            self._growth.wait(frame.did)
            return None
        repo = self._repos.track(frame.did, Cause.NEW)
        self._metrics.desynchronize(Cause.NEW)
        self._journal.touch(repo)
        self._wake(repo)
        return repo

    def _is_foreign(self, repo: Repo, upstream: Upstream) -> bool:
        if not is_foreign(repo, upstream.pds):
            return False
        self._metrics.ignore(Ignored.FOREIGN_HOST)
        if not repo.active:
            # It may be active again, elsewhere.
            self._contradicted(repo, "another host speaks for it")
        looked_at = repo.identity_at
        if (
            repo.active
            and repo.sync_status is SyncStatus.SYNCHRONIZED
            and (looked_at is None or self._clock() - looked_at > FOREIGN_LOOK_INTERVAL)
        ):
            self._desynchronize(repo, Cause.IDENTITY, "another host speaks for it")
        return True

    def _commit(self, repo: Repo, frame: CommitFrame) -> None:
        decision = triage_commit(repo, frame)
        match decision:
            case Ignore(reason=reason):
                self._metrics.ignore(reason)
                if is_fork(repo, frame):
                    self._fork(repo, frame)
                elif reason is Ignored.INACTIVE and (repo.rev is None or frame.rev > repo.rev):
                    self._contradicted(repo, "a commit of an account that is not active")
            case Wait():
                self._keep(repo, frame)
            case Verify():
                self._verify(repo, frame)

    def _verify(self, repo: Repo, frame: CommitFrame) -> None:
        if repo.signing_key is None or repo.data is None:
            self._desynchronize(repo, Cause.NO_KEY, None, frame)
            return
        try:
            verified = verify_commit(frame, parse_did_key(repo.signing_key), repo.data, self._clock())
        except ProtocolError as error:
            self._metrics.unverified[cause_of(error)] += 1
            self._desynchronize(repo, cause_of(error), f"{type(error).__name__}: {error}"[:500], frame)
            return
        if frame.prev_data is None:
            self._metrics.legacy_commit(repo.pds)
        if is_since_broken(repo, frame):
            self._metrics.often("indexer.since_mismatch", did=repo.did, rev=frame.rev)
        self.apply(repo, verified)

    def apply(self, repo: Repo, verified: VerifiedCommit) -> None:
        """Enter a commit that was verified against the repository's state, and advance that state."""
        changes = tuple(
            RecordChange(change.path, change.after, change.record)
            for change in verified.changes
            if change.path.partition("/")[0] in self._reader.collections
        )
        repo.stand_at(verified.rev, verified.data, verified.commit_cid)
        self._metrics.commits_verified += 1
        if changes:
            self._journal.enter(CommitUnit(repo.did, verified.rev, changes))
        self._journal.touch(repo)

    def _fork(self, repo: Repo, frame: CommitFrame) -> None:
        """Sound the alarm when the account signed two commits with one rev: ours stays until its host has spoken."""
        try:
            commit = verify_authorship(frame, parse_did_key(repo.signing_key or ""))
        except ProtocolError:
            return
        if commit.data != repo.data:
            self._metrics.event("indexer.fork", did=repo.did, rev=frame.rev, commit=frame.commit.hex())
            self._desynchronize(repo, Cause.FORK, f"two commits with the rev {frame.rev}")

    def _contradicted(self, repo: Repo, detail: str) -> None:
        """Have the account's host asked whether it is active, once in a while; a hidden account's as soon as that may be."""
        now = self._clock()
        if is_withheld(repo) or repo.deleted_at is not None:
            return
        if repo.asked_at is None or now - repo.asked_at > ASK_INTERVAL:
            repo.asked_at = now
            self._desynchronize(repo, Cause.CONTRADICTED, detail)
        elif not repo.active and repo.cause is not Cause.CONTRADICTED:
            repo.asked_at += ASK_INTERVAL
            self._desynchronize(repo, Cause.CONTRADICTED, detail, not_before=repo.asked_at)

    def _keep(self, repo: Repo, frame: CommitFrame) -> None:
        """Let a commit wait for the repair that is due."""
        try:
            verify_rev(frame.rev, self._clock())
        except (InvalidSyntax, FieldMismatch):
            self._metrics.often("indexer.bad_rev", did=repo.did, rev=frame.rev[:40])
            return
        repo.hear_of(frame.rev)
        if not repo.wait(frame, WAITING_BYTES_LIMIT):
            repo.cause = Cause.OVERFLOW
            self._metrics.desynchronize(Cause.OVERFLOW)
        self._journal.touch(repo)

    def _desynchronize(
        self,
        repo: Repo,
        cause: Cause,
        detail: str | None,
        frame: CommitFrame | None = None,
        not_before: datetime | None = None,
    ) -> None:
        repo.desynchronize(cause, detail)
        repo.retry_at = not_before
        self._metrics.desynchronize(cause)
        if frame is not None:
            self._keep(repo, frame)
        self._journal.touch(repo)
        self._wake(repo)

    def _sync(self, repo: Repo, frame: SyncFrame) -> None:
        decision = triage_sync(repo)
        if isinstance(decision, Verify):
            try:
                commit = verify_sync(frame, parse_did_key(repo.signing_key or ""))
                verify_rev(commit.rev, self._clock())
            except ProtocolError as error:
                self._metrics.unverified[cause_of(error)] += 1
                self._desynchronize(repo, Cause.SYNC, f"{type(error).__name__}: {error}"[:500])
                return
            decision = decide_sync(repo, commit.rev, commit.data)
            if isinstance(decision, Verify):
                repo.stand_at(commit.rev, commit.data, commit.cid)
                self._journal.touch(repo)
                return
        match decision:
            case Desynchronize(cause=cause):
                self._desynchronize(repo, cause, None)
            case Ignore(reason=reason):
                # A repair that only waits for an identity must now fetch the repository, one that fetches it, again.
                if repo.active and repo.sync_status is SyncStatus.DESYNCHRONIZED:
                    repo.doubt(Cause.SYNC)
                    self._journal.touch(repo)
                self._metrics.ignore(reason)

    def _decides(self, repo: Repo, upstream: Upstream) -> bool:
        if upstream.pds is not None:
            return True
        return upstream.is_primary and (repo.pds is None or host_of(repo.pds) not in self._upstream_pdses)

    def _account(self, repo: Repo, frame: AccountFrame, upstream: Upstream) -> None:
        match decide_account(repo, frame, upstream.host, decides=self._decides(repo, upstream)):
            case Ignore(reason=reason):
                self._metrics.ignore(reason)
                return
            case Desynchronize():
                self._contradicted(repo, f"{upstream.host} says otherwise")
                return
        was_active = repo.active
        repo.account_seq, repo.account_host = frame.seq, upstream.host
        repo.active = frame.active
        repo.upstream_status = None if frame.status is None else frame.status[:STATUS_LENGTH_LIMIT]
        self._journal.touch(repo)
        if not frame.active:
            repo.forget_waiting()
            repo.deleted_at = (repo.deleted_at or self._clock()) if is_gone_for_good(frame) else None
            self._wake(repo)
        elif not was_active or repo.deleted_at is not None:
            repo.deleted_at = repo.purged_at = None
            self._desynchronize(repo, Cause.REACTIVATED, None)

    def _identity(self, repo: Repo) -> None:
        """Look at the DID document again: something in it may have changed."""
        if repo.active and repo.sync_status is SyncStatus.SYNCHRONIZED:
            self._desynchronize(repo, Cause.IDENTITY, None)
        else:
            repo.doubt_identity()
            self._journal.touch(repo)
