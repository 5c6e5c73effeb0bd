"""What the indexer knows of every tracked repository, in memory: the state after everything journaled.

The consumer and the repair change it, always together with an entry in the journal, so the database follows it
batch by batch. Commits that arrive during a repair wait here, bounded in bytes: the status row in the database is
already the durable truth, and an overflow only means that the repository is fetched again.
"""

from dataclasses import dataclass, field
from datetime import datetime

from atprotocol.frames import CommitFrame
from indexer.decisions import CHAIN_KEEPING_CAUSES, Cause, SyncStatus


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
    rev: str | None = None
    seen_rev: str | None = None
    data: bytes | None = None
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
    # True once a waiting commit was dropped: what waits cannot be continued from the stored chain any more.
    has_lost_commits: bool = False
    # What was said during a repair and asks for another one after it; None: nothing.
    doubted: Cause | None = None
    # How often the DID document was called into question since this process began.
    identity_doubts: int = 0

    def hear_of(self, rev: str) -> None:
        """Remember the highest rev that anybody claimed."""
        if self.seen_rev is None or rev > self.seen_rev:
            self.seen_rev = rev

    def desynchronize(self, cause: Cause, detail: str | None = None) -> None:
        """Mark the repository for repair, now."""
        if self.sync_status is SyncStatus.DESYNCHRONIZED:
            self.doubted = cause
        self.sync_status = SyncStatus.DESYNCHRONIZED
        self.cause, self.cause_detail = cause, detail
        self.retry_count, self.retry_at = 0, None

    def doubt(self, cause: Cause) -> None:
        """Have a repair that is due, or under way, fetch what its host serves from now on."""
        self.doubted = cause
        if self.cause in CHAIN_KEEPING_CAUSES:
            self.cause = cause

    def synchronize(self, now: datetime) -> None:
        """Mark the repository as what its host says it is."""
        self.sync_status = SyncStatus.SYNCHRONIZED
        self.cause = self.cause_detail = self.retry_at = None
        self.retry_count = 0
        self.synchronized_at = now
        self.has_lost_commits = False
        self.forget_waiting()

    def wait(self, frame: CommitFrame, limit_bytes: int) -> bool:
        """Keep a commit until the repair is done; on overflow drop all that wait and return False."""
        self.waiting.append(frame)
        self.waiting_bytes += len(frame.blocks)
        if self.waiting_bytes <= limit_bytes:
            return True
        self.forget_waiting()
        self.has_lost_commits = True
        return False

    def forget_waiting(self) -> None:
        """Drop the commits that wait."""
        self.waiting = []
        self.waiting_bytes = 0


class Repos:
    """All tracked repositories by DID."""

    def __init__(self) -> None:
        """Start with none."""
        self.by_did: dict[str, Repo] = {}

    def track(self, did: str, cause: Cause) -> Repo:
        """Return the repository of a DID, tracked and marked for its first repair if it is new."""
        repo = self.by_did.get(did)
        if repo is None:
            repo = self.by_did[did] = Repo(did, SyncStatus.DESYNCHRONIZED, cause=cause)
        return repo
