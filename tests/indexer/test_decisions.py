"""What one message means for one repository: every state against every message."""

from dataclasses import replace

import pytest

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
from indexer.decisions import (
    CHAIN_KEEPING_CAUSES,
    IDENTITY_CAUSES,
    STATUS_CAUSES,
    Cause,
    Decision,
    Desynchronize,
    Ignore,
    Ignored,
    SyncStatus,
    Verify,
    Wait,
    cause_of,
    decide_account,
    decide_sync,
    is_foreign,
    is_gone_for_good,
    is_since_broken,
    triage_commit,
    triage_sync,
)
from indexer.state import Repo

DID = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
EARLIER, STORED, LATER = "3mbd3542kzc22", "3mbd3542kzc2b", "3mbd3542kzc2j"
HERE, ELSEWHERE = b"here", b"elsewhere"
SYNCHRONIZED = Repo(DID, SyncStatus.SYNCHRONIZED, rev=STORED, data=HERE, pds="https://pds.example.com")


def commit(rev: str, since: str | None = STORED) -> CommitFrame:
    return CommitFrame(7, DID, rev, since, "2026-01-01T00:00:00Z", b"", b"", (), HERE)


def account(seq: int = 7, active: bool = True, status: str | None = None) -> AccountFrame:
    return AccountFrame(seq, DID, "2026-01-01T00:00:00Z", active, status)


@pytest.mark.parametrize(
    ("status", "active", "rev", "decision"),
    [
        (SyncStatus.SYNCHRONIZED, True, LATER, Verify()),
        (SyncStatus.SYNCHRONIZED, True, STORED, Ignore(Ignored.REPLAYED)),
        (SyncStatus.SYNCHRONIZED, True, EARLIER, Ignore(Ignored.REPLAYED)),
        (SyncStatus.SYNCHRONIZED, False, LATER, Ignore(Ignored.INACTIVE)),
        (SyncStatus.DESYNCHRONIZED, True, LATER, Wait()),
        (SyncStatus.DESYNCHRONIZED, True, STORED, Ignore(Ignored.REPLAYED)),
        (SyncStatus.DESYNCHRONIZED, False, LATER, Ignore(Ignored.INACTIVE)),
        (SyncStatus.TOO_LARGE, True, LATER, Ignore(Ignored.NOT_REPAIRED)),
        (SyncStatus.ERROR, True, LATER, Ignore(Ignored.NOT_REPAIRED)),
    ],
)
def test_a_commit_is_verified_waits_or_changes_nothing(
    status: SyncStatus, active: bool, rev: str, decision: Decision
) -> None:
    assert triage_commit(replace(SYNCHRONIZED, sync_status=status, active=active), commit(rev)) == decision


def test_before_the_first_repair_every_commit_waits() -> None:
    assert triage_commit(Repo(DID, SyncStatus.DESYNCHRONIZED), commit(EARLIER)) == Wait()


@pytest.mark.parametrize(
    ("status", "active", "decision"),
    [
        (SyncStatus.SYNCHRONIZED, True, Verify()),
        (SyncStatus.SYNCHRONIZED, False, Ignore(Ignored.INACTIVE)),
        (SyncStatus.DESYNCHRONIZED, True, Ignore(Ignored.UNCHANGED)),
        (SyncStatus.TOO_LARGE, True, Desynchronize(Cause.SYNC)),
        (SyncStatus.ERROR, True, Desynchronize(Cause.SYNC)),
        (SyncStatus.ERROR, False, Ignore(Ignored.INACTIVE)),
    ],
)
def test_a_sync_opens_even_what_had_been_given_up(status: SyncStatus, active: bool, decision: Decision) -> None:
    assert triage_sync(replace(SYNCHRONIZED, sync_status=status, active=active)) == decision


@pytest.mark.parametrize(
    ("rev", "data", "decision"),
    [
        (LATER, HERE, Verify()),
        (LATER, ELSEWHERE, Desynchronize(Cause.SYNC)),
        (STORED, ELSEWHERE, Desynchronize(Cause.FORK)),
        (STORED, HERE, Ignore(Ignored.REPLAYED)),
        (EARLIER, ELSEWHERE, Ignore(Ignored.REPLAYED)),
        (EARLIER, HERE, Ignore(Ignored.REPLAYED)),
    ],
)
def test_a_verified_sync_has_the_repository_fetched_only_when_its_tree_is_another(
    rev: str, data: bytes, decision: Decision
) -> None:
    assert decide_sync(SYNCHRONIZED, rev, data) == decision


def test_a_verified_sync_of_a_repository_that_was_never_read_has_it_fetched() -> None:
    assert decide_sync(Repo(DID, SyncStatus.SYNCHRONIZED), EARLIER, HERE) == Desynchronize(Cause.SYNC)


@pytest.mark.parametrize(
    ("known", "seq", "decision"),
    [(None, 0, Verify()), (7, 8, Verify()), (7, 7, Ignore(Ignored.REPLAYED)), (7, 6, Ignore(Ignored.REPLAYED))],
)
def test_an_account_event_counts_once(known: int | None, seq: int, decision: Decision) -> None:
    repo = replace(SYNCHRONIZED, account_seq=known, account_host="relay.test")
    assert decide_account(repo, account(seq), "relay.test", decides=True) == decision
    assert decide_account(repo, account(seq), "other.test", decides=True) == Verify(), "another host counts anew"


@pytest.mark.parametrize(
    ("active", "decision"), [(True, Ignore(Ignored.UNCHANGED)), (False, Desynchronize(Cause.CONTRADICTED))]
)
def test_an_upstream_that_does_not_decide_can_only_have_the_host_asked(active: bool, decision: Decision) -> None:
    repo = replace(SYNCHRONIZED, account_seq=7, account_host="relay.test")
    assert decide_account(repo, account(1, active=active), "witness.test", decides=False) == decision


@pytest.mark.parametrize(
    ("upstream", "pds", "foreign"),
    [
        (None, "https://pds.example.com", False),
        ("https://pds.example.com", None, False),
        ("https://pds.example.com", "https://pds.example.com/", False),
        ("https://pds.example.com", "https://PDS.example.com:443", False),
        ("wss://pds.example.com", "https://pds.example.com", False),
        ("ws://pds.example.com:80", "http://pds.example.com", False),
        ("https://pds.example.com", "https://other.example.com", True),
        ("https://pds.example.com", "https://example.com", True),
        ("https://pds.example.com:8443", "https://pds.example.com", True),
        ("http://pds.example.com", "https://pds.example.com", True),
    ],
)
def test_a_host_is_believed_about_its_own_accounts_only(upstream: str | None, pds: str | None, foreign: bool) -> None:
    assert is_foreign(replace(SYNCHRONIZED, pds=pds), upstream) is foreign


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (BadSignature("x"), Cause.BAD_SIGNATURE),
        (BrokenChain("x"), Cause.BROKEN_CHAIN),
        (TreeMismatch("x"), Cause.BROKEN_CHAIN),
        (PartialTree("x"), Cause.PARTIAL_PROOF),
        (FieldMismatch("x"), Cause.BAD_COMMIT),
        (EncodingError("x"), Cause.BAD_COMMIT),
        (InvalidSyntax("x"), Cause.BAD_COMMIT),
        (ProtocolError("x"), Cause.BAD_COMMIT),
    ],
)
def test_every_failed_verification_has_a_cause(error: ProtocolError, cause: Cause) -> None:
    assert cause_of(error) is cause


@pytest.mark.parametrize(
    ("stored", "since", "broken"), [(STORED, STORED, False), (STORED, EARLIER, True), (STORED, None, False), (None, STORED, False)]
)  # fmt: skip
def test_a_since_is_broken_when_it_names_another_rev(stored: str | None, since: str | None, broken: bool) -> None:
    assert is_since_broken(replace(SYNCHRONIZED, rev=stored), commit(LATER, since)) is broken


@pytest.mark.parametrize(
    ("active", "status", "gone"),
    [
        (False, "deleted", True),
        (True, "deleted", False),
        (False, "deactivated", False),
        (False, "takendown", False),
        (False, None, False),
        (True, None, False),
    ],
)
def test_only_a_deleted_account_is_gone_for_good(active: bool, status: str | None, gone: bool) -> None:
    assert is_gone_for_good(account(active=active, status=status)) is gone


def test_what_may_keep_its_chain_is_never_a_reason_to_doubt_the_stored_tree() -> None:
    """What was never seen, or cannot be read, is in no commit that waits: then the repository must be fetched."""
    breaks_the_chain = {
        Cause.NEW, Cause.SYNC, Cause.REACTIVATED, Cause.BAD_COMMIT, Cause.OVERFLOW, Cause.AUDIT, Cause.FORK,
        Cause.REQUESTED,
    }  # fmt: skip
    assert CHAIN_KEEPING_CAUSES.isdisjoint(breaks_the_chain)


def test_after_a_gap_in_the_stream_the_identity_and_the_status_are_asked_for() -> None:
    """An #identity and an #account may have been in it."""
    assert Cause.AUDIT in IDENTITY_CAUSES
    assert Cause.AUDIT in STATUS_CAUSES
