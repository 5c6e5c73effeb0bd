"""Every metric and every named event of the indexer, declared once: the exposition and the page of reference follow.

Labels are small closed sets, shown as 0 from the start so that an alert can see what never happened, or names of hosts,
which are bounded: strangers choose the hosts of accounts. DIDs stand in log lines only, but for those of labelers, which
are settings. Names follow https://prometheus.io/docs/practices/naming/: the unit is in the name, a total counts since the
process began.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from atprotocol.frames import ACCOUNT, COMMIT, ERROR, IDENTITY, INFO, SYNC
from indexer.decisions import Cause, Ignored, SyncStatus
from indexer.label_scope import Refusal
from indexer.verdicts import DIFFERENT, Verdict

PREFIX: Final = "plyr_indexer_"
# So many hosts of accounts have figures of their own; those that come later share one.
HOSTS_LIMIT: Final = 200
OTHER_HOSTS: Final = "other"
INACTIVE: Final = "inactive"


class Kind(StrEnum):
    """How a metric moves, in the words of Prometheus."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Fetch(StrEnum):
    """How a repository was fetched."""

    SPARSE = "sparse"
    WHOLE = "whole"


@dataclass(frozen=True, slots=True)
class Label:
    """What a metric is told apart by; `values` are all that occur, None where they are names of hosts."""

    name: str
    values: tuple[str, ...] | None
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Instrument:
    """One metric: `short_name` follows the common prefix, `buckets` are a histogram's upper bounds."""

    short_name: str
    kind: Kind
    help: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        """Return the whole name, as it is scraped."""
        return PREFIX + self.short_name


# Every event that is logged by name, and what it says. Those of one upstream are counted for each of them.
STREAM_EVENTS: Final = {
    "indexer.reconnect": "the connection was dropped by us: its numbering, or a frame, could not be used",
    "indexer.disconnected": "the upstream ended the connection or could not be reached",
    "indexer.gap": "the stream went on later than it should: an audit finds what is missing",
    "indexer.outdated_cursor": "the upstream says that it no longer has our cursor",
    "indexer.consumer_too_slow": "the upstream says that we read too slowly",
    "indexer.upstream_restarted": "the upstream numbers its events anew",
    "indexer.replay_skipped": "the outage was too long for a replay: live at once, and an audit",
    "indexer.overlap": "a new upstream was begun a little before where another one was left",
    "indexer.info": "the upstream said something of the stream that we do not know",
    "indexer.undecodable_frame": "a frame could not be read twice: it is kept, and passed over",
    "indexer.stream_refused": "one of several upstreams says that it serves no stream",
}
EVENTS: Final = STREAM_EVENTS | {
    "indexer.upstream_unknown": "an upstream does not say whether it is a relay or a PDS",
    "indexer.fork": "an account signed two different commits with one rev",
    "indexer.rollback": "a host keeps to an older state than was heard of: its word was taken",
    "indexer.since_mismatch": "a commit that was verified names another predecessor than ours",
    "indexer.bad_rev": "a commit that should wait has no rev, or one from the future: dropped",
    "indexer.forged_commit": "a commit that waited was not signed by the account: dropped",
    "indexer.growth_refused": "a new account must wait for its turn",
    "indexer.discovery_failed": "a relay could not be asked for the accounts of our collections",
    "indexer.discovered": "a relay named the accounts of our collections",
    "indexer.purged": "an account is gone for good, and its rows with it",
    "indexer.handle_contested": "two accounts verified one handle: the newer verification won",
    "indexer.database_failed": "a batch could not be written and is tried again",
    "indexer.repo_refused": "the database refused what a repository holds",
    "indexer.ended_unwritten": "the end came before the last batch was written: it comes again from the cursor",
    "indexer.audit_requested": "an audit was asked for",
    "indexer.audit_not_live": "an audit began although a stream was not live yet",
    "indexer.auditing": "an audit goes on",
    "indexer.audited": "an audit ended",
    "indexer.labeler_disconnected": "a labeler ended the connection, could not be reached, or is no labeler",
    "indexer.labeler_restarted": "a labeler numbers its messages anew: it is read from the beginning",
    "indexer.labeler_out_of_order": "a labeler sent a message behind a later one: its labels were taken all the same",
    "indexer.labeler_outdated_cursor": "a labeler says that it no longer has our cursor: its labels are asked for page by page",
    "indexer.labeler_info": "a labeler said something of its stream that we do not know",
    "indexer.labeler_rotated": "a labeler signs with another key",
    "indexer.labeler_forgotten": "a labeler is configured no more: its labels were deleted",
    "indexer.label_refused": "a label, or a message with labels, could not be taken",
    "indexer.labels_unwritten": "labels could not be written: they come again",
    "indexer.labels_repair_failed": "a labeler could not be asked for its labels, and is asked again",
    "indexer.labels_unrepaired": "a labeler does not tell its labels page by page: what was missed stays missed",
    "indexer.labels_repaired": "a labeler was asked for its labels page by page",
    **{f"indexer.audit_{verdict}": "an audit found a repository different" for verdict in sorted(DIFFERENT)},
    f"indexer.audit_{Verdict.UNREACHABLE}": "an audit could not ask a repository's host",
}

_UPSTREAM = Label("host", None, "an upstream")
_PDS = Label("host", None, f"the first {HOSTS_LIMIT} that occur, then `{OTHER_HOSTS}`")
_CAUSE = Label("cause", tuple(Cause))
_KIND = Label("kind", (COMMIT, SYNC, ACCOUNT, IDENTITY, INFO, ERROR))
_STATUS = Label("status", (*SyncStatus, INACTIVE))
# What the verification of a commit concludes (`decisions.cause_of`).
_FAILURE = Label("cause", (Cause.BAD_SIGNATURE, Cause.BROKEN_CHAIN, Cause.PARTIAL_PROOF, Cause.BAD_COMMIT))
_OUTCOME = Label("outcome", (*SyncStatus, INACTIVE, *(f"failed:{cause}" for cause in Cause)))
_FETCH = Label("how", tuple(Fetch))

_LABELER = Label("labeler", None, "the DID of a configured labeler")

_C, _G, _H = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM

LEADS: Final = Instrument("leads", _G, "1: this process writes; 0: it is a standby, or begins, and shows nothing else.")

# the streams
RECEIVED: Final = Instrument("received_total", _C, "Frames that were received, of whomever.", (_UPSTREAM,))
FRAMES: Final = Instrument("frames_total", _C, "Frames that concern us.", (_KIND,))
IGNORED: Final = Instrument(
    "ignored_total", _C, "Frames of tracked accounts that changed nothing.", (Label("reason", tuple(Ignored)),)
)
LAG: Final = Instrument(
    "lag_seconds",
    _G,
    "Age of the last event that the database covers, by the upstream's clock; grows on a quiet stream too.",
    (_UPSTREAM,),
)
LAST_FRAME: Final = Instrument(
    "last_frame_seconds", _G, "Time since a frame came, to the second: tells a quiet stream from a lag.", (_UPSTREAM,)
)
CURSOR: Final = Instrument("cursor_seq", _G, "The seq that the database covers.", (_UPSTREAM,))
RECEIVED_SEQ: Final = Instrument(
    "received_seq", _G, "The seq that was received last; less the cursor it is what waits in memory.", (_UPSTREAM,)
)
GAPS: Final = Instrument(
    "gaps_total", _C, "Gaps that were noticed, whether the upstream spoke of them or not.", (_UPSTREAM,)
)
STREAM: Final = Instrument(
    "stream_events_total",
    _C,
    "Events of one upstream, see below.",
    (_UPSTREAM, Label("event", tuple(STREAM_EVENTS), "those with an upstream below")),
)
EVENT: Final = Instrument(
    "events_total", _C, "All events, see below.", (Label("event", tuple(EVENTS), "the names below"),)
)

# verification
VERIFIED: Final = Instrument("commits_verified_total", _C, "Commits whose signature and proof were verified.")
UNVERIFIED: Final = Instrument(
    "verification_failures_total",
    _C,
    "Verifications that failed, of one commit maybe several: bad-signature, broken-chain, bad-commit, and partial-proof when the inversion was incomplete.",
    (_FAILURE,),
)
LEGACY: Final = Instrument(
    "commits_without_prev_data_total", _C, "Verified commits in the old form, by the account's host.", (_PDS,)
)
DESYNCHRONIZED: Final = Instrument("desynchronized_total", _C, "Repositories that became in need of repair.", (_CAUSE,))

# repositories and their repair
REPOS: Final = Instrument("repos", _G, "Tracked repositories.", (_STATUS,))
UNSYNCHRONIZED: Final = Instrument(
    "desynchronized_repos", _G, "Active repositories that are in need of repair now.", (_CAUSE,)
)
OLDEST: Final = Instrument(
    "oldest_desynchronized_seconds",
    _G,
    "How long the repository waits for its repair that waits longest, at least; counted from this process's start on.",
)
QUEUE: Final = Instrument(
    "repair_queue_repos",
    _G,
    "Repositories that are due for a look, wait for a retry, or wait for a turn at their host.",
    (Label("state", ("due", "later", "held")),),
)
QUEUE_AGE: Final = Instrument("repair_queue_age_seconds", _G, "How long the look that is due longest is overdue.")
REPAIRS: Final = Instrument("repairs_total", _C, "Repairs that were done.", (_OUTCOME,))
REPAIR_SECONDS: Final = Instrument(
    "repair_seconds", _H, "How long a repair took.", buckets=(0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
)
FETCHES: Final = Instrument("fetches_total", _C, "Repositories that were fetched.", (_FETCH,))
FETCH_REQUESTS: Final = Instrument("fetch_requests_total", _C, "Requests that these took.", (_FETCH,))
FETCHED_BYTES: Final = Instrument("fetched_bytes_total", _C, "Bytes that these brought.", (_FETCH,))
TOO_MANY: Final = Instrument("too_many_requests_total", _C, "Answers with status 429, whatever was asked.", (_PDS,))
PAUSED: Final = Instrument("paused_hosts", _G, "Hosts that are left alone for a while.")
WAITING_BYTES: Final = Instrument("waiting_bytes", _G, "What commits weigh that wait for a repair.")

# growth
WAITLIST: Final = Instrument("waitlist_repos", _G, "New accounts that wait to be tracked.")
REFUSED: Final = Instrument("growth_refused_total", _C, "Frames whose new account was not tracked at once.")
FORGOTTEN: Final = Instrument("growth_forgotten_total", _C, "New accounts for which the waiting list had no room.")

# the truth
AUDIT_REPOS: Final = Instrument("audit_repos", _G, "What the last audit found.", (Label("verdict", tuple(Verdict)),))
AUDIT_SHARE: Final = Instrument(
    "audit_share_of_same", _G, "Share of the compared repositories that equal their hosts': the objective."
)
AUDIT_AGE: Final = Instrument("audit_age_seconds", _G, "Time since the last audit ended.")

# labels
LABELS_STORED: Final = Instrument(
    "labels_stored_total", _C, "Labels that were stored, or replaced earlier ones.", (_LABELER,)
)
LABELS_REFUSED: Final = Instrument(
    "labels_refused_total",
    _C,
    "Labels that were not taken, those about what we never show among them; of messages that cannot be read, one each.",
    (Label("reason", tuple(Refusal)),),
)
LABELER_CONNECTED: Final = Instrument(
    "labeler_connected", _G, "1: the labeler's stream is open; 0: it is not.", (_LABELER,)
)
LABELER_SEQ: Final = Instrument("labeler_seq", _G, "The seq that the database covers.", (_LABELER,))
LABELER_SILENCE: Final = Instrument(
    "labeler_last_message_seconds", _G, "Time since a labeler said anything, once it did; most are quiet.", (_LABELER,)
)

# the database
BATCHES: Final = Instrument("batches_total", _C, "Batches that were committed.")
BATCH_SECONDS: Final = Instrument(
    "batch_seconds",
    _H,
    "How long a batch with changes took to write, tries that failed included.",
    buckets=(0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0),
)
VISIBLE_SECONDS: Final = Instrument(
    "visible_seconds",
    _H,
    "From the arrival of a batch's first change to its commit: nothing in it took longer.",
    buckets=(0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0),
)

INSTRUMENTS: Final = tuple(each for each in list(globals().values()) if isinstance(each, Instrument))
