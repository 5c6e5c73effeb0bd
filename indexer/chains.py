"""Bring a repository's chain forward: by the commits that waited, or by a snapshot and the commits after it.

Everything here is one step without awaiting, so that state and journal agree. A snapshot that is older than what was
heard of is refused, a bounded number of times; then its host's word is taken.
"""

from collections.abc import Callable
from datetime import datetime

from atprotocol.crypto import parse_did_key
from atprotocol.errors import BadSignature, InvalidKey, ProtocolError
from atprotocol.verification import VerifiedCommit, verify_commit, verify_rev
from indexer.decisions import CHAIN_KEEPING_CAUSES, Cause, cause_of
from indexer.fetching import Fetched
from indexer.journal import Journal, SnapshotUnit
from indexer.metrics import Metrics
from indexer.repair_outcomes import RepairFailed
from indexer.state import Heard, Repo

# So often a snapshot is refused that is older than what was heard of; then the host's word is taken.
STALE_SNAPSHOTS = 5


class Chains:
    """Advances repositories under repair."""

    def __init__(
        self,
        journal: Journal,
        metrics: Metrics,
        clock: Callable[[], datetime],
        apply: Callable[[Repo, VerifiedCommit], None],
        wake: Callable[[Repo], None],
    ) -> None:
        """Take the parts; `apply` enters a verified commit, `wake` has a repository repaired once more."""
        self._journal = journal
        self._metrics = metrics
        self._clock = clock
        self._apply = apply
        self._wake = wake

    def continue_stored(self, repo: Repo, judged: Heard) -> bool:
        """Try what waits on the stored chain; True when that brings the repository up to all that was heard of.

        `judged` are the commits that were heard of before the key was read.
        """
        if (
            repo.cause not in CHAIN_KEEPING_CAUSES
            or repo.data is None
            or repo.rev is None
            or repo.signing_key is None
            or repo.has_lost_commits
        ):
            return False
        if self._apply_waiting(repo, judged) is not None:
            return False
        self._finish(repo)
        return True

    def take_snapshot(self, repo: Repo, fetched: Fetched, judged: Heard) -> RepairFailed | None:
        """Enter a verified snapshot and the commits that waited for it; return why another one is needed.

        Raises RepairFailed when the snapshot is not to be believed, or too old.
        """
        commit = fetched.snapshot.commit
        if commit.did != repo.did:
            raise RepairFailed(Cause.BAD_REPO, "the repository is another account's")
        try:
            verify_rev(commit.rev, self._clock())
        except ProtocolError as error:
            raise RepairFailed(Cause.BAD_REPO, str(error)) from error
        if _is_stale(repo, commit.rev):
            repo.stale_count += 1
            if repo.stale_count <= STALE_SNAPSHOTS:
                raise RepairFailed(
                    Cause.STALE_SNAPSHOT,
                    f"the host serves rev {commit.rev}, older than {repo.seen_rev} that was heard of",
                )
            self._metrics.event("indexer.rollback", did=repo.did, rev=commit.rev, seen_rev=repo.seen_rev)
            repo.seen_rev = commit.rev
        if repo.rev == commit.rev and repo.data not in (None, commit.data):
            self._metrics.event("indexer.fork", did=repo.did, rev=commit.rev, commit=commit.cid.hex())
        rev, commit_cid = commit.rev, commit.cid
        if commit.data == repo.data and repo.rev and repo.commit_cid and not _has_signature(repo, fetched):
            # The tree is the one that was verified; for a rev that nobody signed now no commit may be passed over.
            rev, commit_cid = repo.rev, repo.commit_cid
        self._journal.enter(SnapshotUnit(repo.did, rev, fetched.snapshot.records))
        repo.stand_at(rev, commit.data, commit_cid)
        broken = self._apply_waiting(repo, judged)
        self._journal.touch(repo)
        if broken is None:
            self._finish(repo)
            return None
        # What waits does not continue the snapshot: look again a little later, without it.
        repo.forget_waiting()
        return RepairFailed(broken, "a commit that waited does not continue the fetched repository")

    def _finish(self, repo: Repo) -> None:
        """Mark the repository synchronized, unless it or its identity was called into question meanwhile."""
        doubted, repo.doubted = repo.doubted, None
        repo.synchronize(self._clock())
        if doubted is not None or repo.identity_at is None:
            repo.desynchronize(doubted or Cause.IDENTITY)
            self._wake(repo)
        self._journal.touch(repo)

    def _apply_waiting(self, repo: Repo, judged: Heard) -> Cause | None:
        """Apply the waiting commits that continue the chain, in order; stop at the first that does not and say why.

        Of several with one rev, from several upstreams, one that can be verified is enough. What was not signed with the
        key that was read after it is nobody's and is dropped.
        """
        assert repo.signing_key is not None
        key = parse_did_key(repo.signing_key)
        while repo.waiting:
            frame = repo.waiting[0]
            if repo.rev is None or repo.data is None or frame.rev > repo.rev:
                try:
                    self._apply(repo, verify_commit(frame, key, repo.data or b"", self._clock()))
                    if frame.prev_data is None:
                        self._metrics.legacy_commit(repo.pds)
                except BadSignature as error:
                    self._metrics.unverified[cause_of(error)] += 1
                    if (frame.rev, frame.commit) not in judged:
                        return cause_of(error)
                    self._metrics.often("indexer.forged_commit", did=repo.did, rev=frame.rev)
                except ProtocolError as error:
                    self._metrics.unverified[cause_of(error)] += 1
                    if len(repo.waiting) == 1 or repo.waiting[1].rev != frame.rev:
                        return cause_of(error)
            repo.drop_first()
        return None


def is_signed(repo: Repo, fetched: Fetched) -> bool:
    """Tell whether the account's key signed the snapshot, or it is the very tree that was verified before.

    The latter is what a new host serves right after a migration: the old commit, under the old key.
    """
    return fetched.snapshot.commit.data == repo.data or _has_signature(repo, fetched)


def _has_signature(repo: Repo, fetched: Fetched) -> bool:
    try:
        fetched.snapshot.commit.verify_signature(parse_did_key(repo.signing_key or ""))
    except (BadSignature, InvalidKey):
        return False
    return True


def _is_stale(repo: Repo, rev: str) -> bool:
    """Tell whether a snapshot, with the commits that wait for it, is behind what was heard of."""
    newest = max([rev, *(frame.rev for frame in repo.waiting)])
    return (repo.seen_rev is not None and newest < repo.seen_rev) or (repo.rev is not None and rev < repo.rev)
