"""Decide how a repository's rows stand to what its host says of it, and whether a stream has a gap.

Pure: the caller asks the host and knows the times. A commit is compared by its CID where the host tells it: after a
migration a new host's rev may be another than that of the commit that it serves.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from indexer.decisions import RepoView, SyncStatus, is_withheld

# Numbers may be left out at any time; a stretch of time that is missing with them is a gap.
GAP = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class HostView:
    """What an account's host says of its repository; rev and commit are known of active ones only."""

    active: bool
    status: str | None = None
    rev: str | None = None
    commit_cid: bytes | None = None


class Verdict(StrEnum):
    """How the rows stand to the host's word."""

    SAME = "same"
    BEHIND = "behind"
    AHEAD = "ahead"
    FORKED = "forked"
    STATUS = "status"
    # a relay's moderation, which is not the host's to undo
    WITHHELD = "withheld"
    # nothing could be compared
    UNREACHABLE = "unreachable"
    UNDER_REPAIR = "under-repair"


DIFFERENT = frozenset({Verdict.BEHIND, Verdict.AHEAD, Verdict.FORKED, Verdict.STATUS})


def is_comparable(repo: RepoView) -> bool:
    """Tell whether there is anything to compare: what is being repaired is looked at anyway."""
    return repo.sync_status is SyncStatus.SYNCHRONIZED or not repo.active


def compare(repo: RepoView, view: HostView) -> Verdict:
    """Return how a repository stands to its host's word."""
    if view.active is not repo.active:
        return Verdict.WITHHELD if view.active and is_withheld(repo) else Verdict.STATUS
    if not view.active or (view.commit_cid is not None and view.commit_cid == repo.commit_cid):
        return Verdict.SAME
    if repo.rev is None or view.rev is None or view.rev > repo.rev:
        return Verdict.BEHIND
    if view.rev < repo.rev:
        return Verdict.AHEAD
    is_known = view.commit_cid is not None and repo.commit_cid is not None
    return Verdict.FORKED if is_known else Verdict.SAME


def share_of_same(counts: dict[str, int]) -> float | None:
    """Return the share of the compared repositories that equal their hosts; None when none was compared."""
    same = counts.get(Verdict.SAME, 0)
    compared = same + sum(counts.get(verdict, 0) for verdict in DIFFERENT)
    return same / compared if compared else None


def is_gap(cursor: int, cursor_time: datetime | None, first_seq: int, first_time: datetime | None) -> bool:
    """Tell whether a stream that was resumed after `cursor` begins later than it should.

    Relays that no longer have a cursor go on from their oldest event, or from now, without a word.
    """
    if first_seq <= cursor + 1:
        return False
    return cursor_time is None or first_time is None or first_time - cursor_time > GAP
