"""How a repository stands to its host's word, and what is a gap: every case against every other."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from indexer.decisions import SyncStatus
from indexer.state import Repo
from indexer.verdicts import HostView, Verdict, compare, is_comparable, is_gap, share_of_same

EARLIER, STORED, LATER = "3mbd3542kzc22", "3mbd3542kzc2b", "3mbd3542kzc2c"
REPO = Repo(
    "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa",
    SyncStatus.SYNCHRONIZED,
    rev=STORED,
    data=b"tree",
    commit_cid=b"here",
    pds="https://pds.example.com",
)
AWAY = replace(REPO, active=False, upstream_status="deactivated")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("repo", "view", "verdict"),
    [
        (REPO, HostView(True, rev=STORED, commit_cid=b"here"), Verdict.SAME),
        (REPO, HostView(True, rev=LATER, commit_cid=b"here"), Verdict.SAME),
        (REPO, HostView(True, rev=STORED), Verdict.SAME),
        (replace(REPO, commit_cid=None), HostView(True, rev=STORED, commit_cid=b"here"), Verdict.SAME),
        (REPO, HostView(True, rev=LATER, commit_cid=b"there"), Verdict.BEHIND),
        (REPO, HostView(True, rev=LATER), Verdict.BEHIND),
        (replace(REPO, rev=None, commit_cid=None), HostView(True, rev=EARLIER), Verdict.BEHIND),
        (REPO, HostView(True, rev=EARLIER, commit_cid=b"there"), Verdict.AHEAD),
        (REPO, HostView(True, rev=STORED, commit_cid=b"there"), Verdict.FORKED),
        (REPO, HostView(False, "deactivated"), Verdict.STATUS),
        (AWAY, HostView(False, "deleted"), Verdict.SAME),
        (AWAY, HostView(True, rev=STORED), Verdict.STATUS),
        (replace(AWAY, upstream_status="takendown", account_seq=7, account_host="relay.test"), HostView(True), Verdict.WITHHELD),
        (replace(AWAY, upstream_status="takendown", account_seq=7, account_host="pds.example.com"), HostView(True), Verdict.STATUS),
        (replace(AWAY, upstream_status="takendown"), HostView(True), Verdict.STATUS),
    ],
)  # fmt: skip
def test_a_repository_stands_to_its_hosts_word(repo: Repo, view: HostView, verdict: Verdict) -> None:
    assert compare(repo, view) is verdict


@pytest.mark.parametrize("status", SyncStatus)
def test_what_is_under_repair_or_given_up_is_not_compared(status: SyncStatus) -> None:
    assert is_comparable(replace(REPO, sync_status=status)) is (status is SyncStatus.SYNCHRONIZED)
    assert is_comparable(replace(AWAY, sync_status=status))


@pytest.mark.parametrize(
    ("first_seq", "passed", "gap"),
    [
        (10, timedelta(days=3), False),
        (11, timedelta(days=3), False),
        (12, timedelta(seconds=60), False),
        (12, timedelta(seconds=61), True),
        (500_000, timedelta(seconds=1), False),
        (500_000, timedelta(seconds=-5), False),
    ],
)
def test_numbers_that_are_missing_with_a_stretch_of_time_are_a_gap(
    first_seq: int, passed: timedelta, gap: bool
) -> None:
    assert is_gap(10, NOW, first_seq, NOW + passed) is gap


@pytest.mark.parametrize("times", [(None, NOW), (NOW, None), (None, None)])
def test_where_the_times_are_not_known_missing_numbers_are_a_gap(
    times: tuple[datetime | None, datetime | None],
) -> None:
    assert is_gap(10, times[0], 12, times[1])
    assert not is_gap(10, times[0], 11, times[1])


@pytest.mark.parametrize(
    ("counts", "share"),
    [
        ({}, None),
        ({"unreachable": 5, "under-repair": 1, "withheld": 2}, None),
        ({"same": 3, "behind": 1, "unreachable": 9}, 0.75),
        ({"ahead": 1, "forked": 1, "status": 1}, 0.0),
    ],
)
def test_the_share_is_of_those_that_could_be_compared(counts: dict[str, int], share: float | None) -> None:
    assert share_of_same(counts) == share
