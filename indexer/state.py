"""What the indexer knows of every tracked repository, in memory: the state after everything journaled.

The consumer and the repair change it, always together with an entry in the journal, so the database follows it
batch by batch. Commits that arrive during a repair wait here, bounded in bytes: the status row in the database is
already the durable truth, and an overflow only means that the repository is fetched again.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from atprotocol.frames import CommitFrame
from indexer.decisions import CHAIN_KEEPING_CAUSES, IDENTITY_DOUBTING_CAUSES, Cause, SyncStatus

# All that waits, over all repositories, may weigh so much in memory.
WAITING_BYTES_LIMIT = 256_000_000
# So many commits of one repository may wait: they are verified in one step, in which nothing else is done.
WAITING_LIMIT = 1000
# What a commit, and each of its operations, weigh in memory beside the blocks: about so many bytes.
_FRAME_BYTES, _OPERATION_BYTES = 1000, 400
# So many repairs of one repository are done at once; then one in so many seconds.
REPAIR_BURST = 20
REPAIR_SECONDS = 12.0


# Commits that wait, by rev and CID.
Heard: TypeAlias = frozenset[tuple[str, bytes]]


@dataclass(slots=True)
class WaitingBytes:
    """What waits over all repositories that share this."""

    limit: int = WAITING_BYTES_LIMIT
    count: int = 0


@dataclass(slots=True)
class Repo:
    """One tracked repository."""

    did: str
    sync_status: SyncStatus
    actor_id: int | None = None
    cause: Cause | None = None
    cause_detail: str | None = None
    active: bool = True
    upstream_status: str | None = None
    takendown: bool = False
    account_seq: int | None = None
    account_host: str | None = None
    rev: str | None = None
    seen_rev: str | None = None
    data: bytes | None = None
    commit_cid: bytes | None = None
    handle: str | None = None
    handle_verified_at: datetime | None = None
    handle_checked_at: datetime | None = None
    signing_key: str | None = None
    pds: str | None = None
    identity_at: datetime | None = None
    retry_count: int = 0
    retry_at: datetime | None = None
    synchronized_at: datetime | None = None
    deleted_at: datetime | None = None
    purged_at: datetime | None = None
    waiting: list[CommitFrame] = field(default_factory=list)
    waiting_bytes: int = 0
    # True once a commit was or may have been missed: what waits cannot be continued from the stored chain any more.
    has_lost_commits: bool = False
    # What was said during a repair and asks for another one after it; None: nothing.
    doubted: Cause | None = None
    # How often the DID document was called into question since this process began.
    identity_doubts: int = 0
    # How often its host served a snapshot older than what was heard of, since the last repair that succeeded.
    stale_count: int = 0
    # When its host was last asked about it because of somebody else's word.
    asked_at: datetime | None = None
    all_waiting: WaitingBytes = field(default_factory=WaitingBytes)
    repairs_at: datetime | None = None
    # Since when this process has known that it needs repair.
    desynchronized_at: datetime | None = None
    repairs_left: float = REPAIR_BURST

    def hear_of(self, rev: str) -> None:
        """Remember the highest rev that anybody claimed."""
        if self.seen_rev is None or rev > self.seen_rev:
            self.seen_rev = rev

    def desynchronize(self, cause: Cause, detail: str | None = None) -> None:
        """Mark the repository for repair, now; what it was to be fetched for already it still is."""
        is_due = self.sync_status is SyncStatus.DESYNCHRONIZED
        if is_due:
            self.doubted = cause
        if cause in IDENTITY_DOUBTING_CAUSES:
            self.doubt_identity()
        self.retry_count, self.retry_at = 0, None
        if cause not in CHAIN_KEEPING_CAUSES:
            self.has_lost_commits = True
        elif is_due and self.active and self.cause not in CHAIN_KEEPING_CAUSES:
            # The host is asked by the fetch that is due; under the new cause there might be none.
            return
        self.sync_status = SyncStatus.DESYNCHRONIZED
        self.cause, self.cause_detail = cause, detail

    def doubt(self, cause: Cause) -> None:
        """Have a repair that is due, or under way, fetch what its host serves from now on."""
        self.doubted = cause
        if self.cause in CHAIN_KEEPING_CAUSES:
            self.cause = cause

    def doubt_identity(self) -> None:
        """Have the DID document read again, also when it is being read just now."""
        self.identity_at = None
        self.identity_doubts += 1

    def stand_at(self, rev: str, data: bytes, commit_cid: bytes) -> None:
        """Advance to a commit that was verified."""
        self.rev, self.data, self.commit_cid = rev, data, commit_cid
        self.hear_of(rev)

    def forget_commits(self) -> None:
        """Stand for no commit: nothing of the repository is indexed, or nothing of it is to be believed."""
        self.rev = self.data = self.commit_cid = None

    def synchronize(self, now: datetime) -> None:
        """Mark the repository as what its host says it is."""
        self.sync_status = SyncStatus.SYNCHRONIZED
        self.cause = self.cause_detail = self.retry_at = None
        self.retry_count = self.stale_count = 0
        self.synchronized_at = now
        # Whoever claimed a later rev than what was found and verified now claimed wrongly.
        self.seen_rev = self.rev
        self.forget_waiting()
        self.has_lost_commits = False

    def wait(self, frame: CommitFrame, limit_bytes: int) -> bool:
        """Keep a commit until the repair is done; on overflow drop all of its own that wait and return False.

        They wait in the order of their revs, whichever upstream brought them, and each once.
        """
        place = bisect_right(self.waiting, frame.rev, key=_rev)
        first = bisect_left(self.waiting, frame.rev, hi=place, key=_rev)
        if any(_is_same(other, frame) for other in self.waiting[first:place]):
            return True
        self.waiting.insert(place, frame)
        self._weigh(_weight(frame))
        is_too_much = self.waiting_bytes > limit_bytes or self.all_waiting.count > self.all_waiting.limit
        if not is_too_much and len(self.waiting) <= WAITING_LIMIT:
            return True
        self.forget_waiting()
        return False

    def heard(self) -> Heard:
        """Return the commits that wait."""
        return frozenset((frame.rev, frame.commit) for frame in self.waiting)

    def forget_waiting(self) -> None:
        """Drop the commits that wait: whatever is stored cannot be continued without them."""
        self.has_lost_commits = self.has_lost_commits or bool(self.waiting)
        self.waiting = []
        self._weigh(-self.waiting_bytes)

    def drop_first(self) -> None:
        """Drop the commit that has waited longest."""
        self._weigh(-_weight(self.waiting.pop(0)))

    def _weigh(self, added_bytes: int) -> None:
        self.waiting_bytes += added_bytes
        self.all_waiting.count += added_bytes

    def note_wait(self, now: datetime) -> None:
        """Remember since when the repository has needed repair."""
        if not self.active or self.sync_status is not SyncStatus.DESYNCHRONIZED:
            self.desynchronized_at = None
        elif self.desynchronized_at is None:
            self.desynchronized_at = now

    def pause_seconds(self, now: datetime) -> float:
        """Return how long the next repair must wait, so that nobody makes us fetch one repository without end."""
        if self.repairs_at is None:
            return 0.0
        # A clock that was set back puts nothing off.
        left = self.repairs_left + max(0.0, (now - self.repairs_at).total_seconds()) / REPAIR_SECONDS
        return max(0.0, (1 - left) * REPAIR_SECONDS)

    def count_repair(self, now: datetime) -> None:
        """Take one of the repairs that the repository may have."""
        passed = 0.0 if self.repairs_at is None else (now - self.repairs_at).total_seconds()
        self.repairs_left = min(REPAIR_BURST, self.repairs_left + max(0.0, passed) / REPAIR_SECONDS) - 1
        self.repairs_at = now

    def uncount_repair(self) -> None:
        """Give back the repair that was taken: it came to nothing."""
        self.repairs_left += 1


class Repos:
    """All tracked repositories by DID."""

    def __init__(self, waiting_bytes_limit: int = WAITING_BYTES_LIMIT) -> None:
        """Start with none; the commits that wait may weigh so much together."""
        self.by_did: dict[str, Repo] = {}
        self._waiting = WaitingBytes(waiting_bytes_limit)

    @property
    def waiting_bytes(self) -> int:
        """Return what the commits weigh that wait, over all repositories."""
        return self._waiting.count

    def add(self, repo: Repo) -> Repo:
        """Take in a repository, and return it."""
        repo.all_waiting = self._waiting
        self.by_did[repo.did] = repo
        return repo

    def track(self, did: str, cause: Cause) -> Repo:
        """Return the repository of a DID, tracked and marked for its first repair if it is new."""
        repo = self.by_did.get(did)
        if repo is None:
            repo = self.add(Repo(did, SyncStatus.DESYNCHRONIZED, cause=cause))
        return repo


def _rev(frame: CommitFrame) -> str:
    return frame.rev


def _is_same(one: CommitFrame, other: CommitFrame) -> bool:
    return one.commit == other.commit and one.operations == other.operations and one.blocks == other.blocks


def _weight(frame: CommitFrame) -> int:
    return _FRAME_BYTES + len(frame.blocks) + _OPERATION_BYTES * len(frame.operations)
