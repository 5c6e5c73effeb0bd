"""Decide what one message means for one repository.

Pure: no clock, no database, no network. The caller supplies the repository's last known state and acts on the
answer. Follows "Record-Level Synchronization" of https://atproto.com/specs/sync, with its status names; checks that need
the blocks are `atprotocol.verification`. Only the account's host decides about it, whoever passes its word on.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias
from urllib.parse import urlsplit

from atprotocol.errors import (
    BadSignature,
    BrokenChain,
    EncodingError,
    FieldMismatch,
    InvalidSyntax,
    PartialTree,
    ProtocolError,
    TreeMismatch,
)
from atprotocol.frames import AccountFrame, CommitFrame


class SyncStatus(StrEnum):
    """How a repository's rows stand to the repository."""

    SYNCHRONIZED = "synchronized"
    DESYNCHRONIZED = "desynchronized"
    TOO_LARGE = "too-large"
    ERROR = "error"


class Cause(StrEnum):
    """Why a repository is not synchronized: what the repair has to put right."""

    NEW = "new"
    REQUESTED = "requested"
    IDENTITY = "identity"
    SYNC = "sync"
    REACTIVATED = "reactivated"
    BAD_SIGNATURE = "bad-signature"
    BAD_COMMIT = "bad-commit"
    BROKEN_CHAIN = "broken-chain"
    PARTIAL_PROOF = "partial-proof"
    OVERFLOW = "overflow"
    AUDIT = "audit"
    FORK = "fork"
    CONTRADICTED = "contradicted"
    MOVED = "moved"
    # found by the repair itself
    IDENTITY_UNRESOLVABLE = "identity-unresolvable"
    NO_KEY = "no-key"
    PDS_UNREACHABLE = "pds-unreachable"
    STALE_SNAPSHOT = "stale-snapshot"
    BAD_REPO = "bad-repo"
    REPO_TOO_LARGE = "repo-too-large"
    REFUSED_BY_DATABASE = "refused-by-database"


# Causes whose repair begins with a new look at the DID document, unless that was just done.
IDENTITY_CAUSES = frozenset(
    {
        Cause.NEW,
        Cause.IDENTITY,
        Cause.SYNC,
        Cause.BAD_SIGNATURE,
        Cause.REACTIVATED,
        Cause.REQUESTED,
        Cause.NO_KEY,
        Cause.IDENTITY_UNRESOLVABLE,
        Cause.PDS_UNREACHABLE,
        Cause.BAD_REPO,
        # An #identity may have been missed, or stood in the way of what overflowed.
        Cause.OVERFLOW,
        Cause.AUDIT,
        Cause.FORK,
        Cause.CONTRADICTED,
    }
)
# Causes that call the DID document itself into question, however lately it was read.
IDENTITY_DOUBTING_CAUSES = frozenset(
    {Cause.IDENTITY, Cause.SYNC, Cause.BAD_SIGNATURE, Cause.REACTIVATED, Cause.REQUESTED, Cause.FORK}
)
# Causes for which the host is asked whether the account is active: an #account may have been missed.
STATUS_CAUSES = frozenset({Cause.REQUESTED, Cause.AUDIT, Cause.CONTRADICTED})
# Causes that leave the stored chain as it is: if the commits that wait continue it, nothing need be fetched.
# What is missing in a broken chain may come from another upstream.
CHAIN_KEEPING_CAUSES = frozenset(
    {Cause.IDENTITY, Cause.BAD_SIGNATURE, Cause.BROKEN_CHAIN, Cause.PARTIAL_PROOF, Cause.CONTRADICTED}
)


# So much is kept of a status, which may be any text.
STATUS_LENGTH_LIMIT = 100
_MODERATED = frozenset({"takendown", "suspended"})


class Ignored(StrEnum):
    """Why a message changes nothing; the metric counts by it."""

    INACTIVE = "inactive"
    REPLAYED = "replayed"
    FOREIGN_HOST = "foreign-host"
    NOT_REPAIRED = "not-repaired"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Ignore:
    """The message changes nothing."""

    reason: Ignored


@dataclass(frozen=True, slots=True)
class Verify:
    """The message is to be verified against the stored key and root, then applied."""


@dataclass(frozen=True, slots=True)
class Wait:
    """The repository is being repaired: the commit waits for the outcome."""


@dataclass(frozen=True, slots=True)
class Desynchronize:
    """The repository needs repair."""

    cause: Cause


class RepoView(Protocol):
    """What a decision reads of a repository's state."""

    @property
    def sync_status(self) -> SyncStatus: ...
    @property
    def active(self) -> bool: ...
    @property
    def rev(self) -> str | None: ...
    @property
    def data(self) -> bytes | None: ...
    @property
    def pds(self) -> str | None: ...
    @property
    def commit_cid(self) -> bytes | None: ...
    @property
    def account_seq(self) -> int | None: ...
    @property
    def account_host(self) -> str | None: ...
    @property
    def upstream_status(self) -> str | None: ...
    @property
    def cause(self) -> Cause | None: ...


Decision: TypeAlias = Ignore | Verify | Wait | Desynchronize


def triage_commit(repo: RepoView, frame: CommitFrame) -> Decision:
    """Decide about a #commit of a tracked account before its proof is looked at."""
    if not repo.active:
        return Ignore(Ignored.INACTIVE)
    if repo.rev is not None and frame.rev <= repo.rev:
        return Ignore(Ignored.REPLAYED)
    match repo.sync_status:
        case SyncStatus.SYNCHRONIZED:
            return Verify()
        case SyncStatus.DESYNCHRONIZED:
            return Wait()
        case _:
            return Ignore(Ignored.NOT_REPAIRED)


def is_fork(repo: RepoView, frame: CommitFrame) -> bool:
    """Tell whether a #commit claims to be another one at the very rev that is stored."""
    return (
        repo.active
        and repo.sync_status is SyncStatus.SYNCHRONIZED
        and frame.rev == repo.rev
        and repo.commit_cid is not None
        and frame.commit != repo.commit_cid
    )


def triage_sync(repo: RepoView) -> Decision:
    """Decide about a #sync of a tracked account before its signature is looked at."""
    if not repo.active:
        return Ignore(Ignored.INACTIVE)
    if repo.sync_status is SyncStatus.SYNCHRONIZED:
        return Verify()
    # The one message that says "look again": it opens what had been given up.
    return Ignore(Ignored.UNCHANGED) if repo.sync_status is SyncStatus.DESYNCHRONIZED else Desynchronize(Cause.SYNC)


def decide_sync(repo: RepoView, rev: str, data: bytes) -> Decision:
    """Decide about a #sync whose commit (rev, root of its tree) has been verified."""
    if repo.rev is not None and rev == repo.rev and data != repo.data:
        return Desynchronize(Cause.FORK)
    if repo.rev is not None and rev <= repo.rev:
        return Ignore(Ignored.REPLAYED)
    if data == repo.data:
        return Verify()
    return Desynchronize(Cause.SYNC)


def decide_account(repo: RepoView, frame: AccountFrame, host: str, *, decides: bool) -> Decision:
    """Decide about an #account from the upstream `host`: Verify stands for applying its word.

    Where several upstreams speak of an account, one decides; when another contradicts it the account's host is asked.
    """
    if repo.account_seq is not None and repo.account_host in (None, host) and frame.seq <= repo.account_seq:
        return Ignore(Ignored.REPLAYED)
    if decides:
        return Verify()
    if frame.active == repo.active:
        return Ignore(Ignored.UNCHANGED)
    return Desynchronize(Cause.CONTRADICTED)


def is_foreign(repo: RepoView, upstream_pds: str | None) -> bool:
    """Tell whether an upstream that is itself a PDS speaks of an account that lives elsewhere.

    `upstream_pds` is None for a relay, which is believed about everybody. An account whose host is not known
    yet is not foreign: its repair will tell.
    """
    return upstream_pds is not None and repo.pds is not None and host_of(repo.pds) != host_of(upstream_pds)


def cause_of(error: ProtocolError) -> Cause:
    """Return the cause under which a commit that failed its verification desynchronizes its repository."""
    match error:
        case BadSignature():
            return Cause.BAD_SIGNATURE
        case BrokenChain() | TreeMismatch():
            return Cause.BROKEN_CHAIN
        case PartialTree():
            return Cause.PARTIAL_PROOF
        case FieldMismatch() | EncodingError() | InvalidSyntax():
            return Cause.BAD_COMMIT
        case _:
            return Cause.BAD_COMMIT


def is_since_broken(repo: RepoView, frame: CommitFrame) -> bool:
    """Tell whether a commit names another predecessor than the stored one; with a good inversion it is only counted."""
    return frame.since is not None and repo.rev is not None and frame.since != repo.rev


def is_withheld(repo: RepoView) -> bool:
    """Tell whether an inactive account stays so whatever its host says.

    A request, which anybody may make, and an audit undo no moderation: what a relay took down or suspended is its to
    give back.
    """
    by_host = repo.pds is not None and repo.account_host == urlsplit(repo.pds).netloc
    # Whose word it was outlives the number of that word, which a restarted upstream makes void.
    by_upstream = repo.account_seq is not None or repo.account_host is not None
    return by_upstream and repo.upstream_status in _MODERATED and not by_host


def is_gone_for_good(frame: AccountFrame) -> bool:
    """Tell whether an #account says that the account is deleted."""
    return not frame.active and frame.status == "deleted"


def host_of(url: str) -> tuple[str | None, int | None]:
    """Return host and port, by which the URLs of one host are equal."""
    parts = urlsplit(url)
    scheme = {"wss": "https", "ws": "http"}.get(parts.scheme, parts.scheme)
    return parts.hostname, parts.port or {"https": 443, "http": 80}.get(scheme)
