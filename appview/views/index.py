"""The state of the index as JSON: index.defs."""

from datetime import datetime
from typing import Final

import orjson

from appview.status_rows import RecordStatus, RepoStatus, Stats, Upstream
from appview.views.formats import cid_text, instant_text, present
from appview.visibility import LABELS, TABLE, Seen, Verdict, is_shown
from appview.xrpc.call import Output

SYNCHRONIZED: Final = "synchronized"
UNKNOWN: Final = "unknown"
# The collections by name within the namespace, and what the totals call them.
_TOTALS: Final = {
    "track": "tracks",
    "like": "likes",
    "comment": "comments",
    "list": "lists",
    "actor.profile": "profiles",
}


def record_status_view(uri: str, status: RecordStatus | None, audio: Output | None = None) -> Output:
    """Return what became of a record: index.defs#recordStatusView. `uri` is repeated as it was asked for.

    `audio` is how far the bytes of its audio are known.
    """
    if status is None:
        return {"uri": uri, "state": UNKNOWN}
    if status.verdict is None:
        if status.sync_status == SYNCHRONIZED:
            return {"uri": uri, "state": UNKNOWN}
        return {"uri": uri, "state": "pending", "cause": status.cause or status.sync_status}
    return present({
        "uri": uri,
        "state": _state(status),
        "reasons": _reasons(status),
        "cid": None if status.cid is None else cid_text(status.cid),
        "rev": status.rev,
        "indexedAt": _optional_instant(status.indexed_at),
        "audio": audio,
    })  # fmt: skip


def repo_status_view(did: str, status: RepoStatus | None) -> Output:
    """Return how far a repository is known: index.defs#repoStatusView."""
    if status is None:
        return {"did": did, "state": UNKNOWN}
    indexed = [each for each in status.collections if each.accepted]
    return present({
        "did": did,
        "state": status.account_status or status.sync_status,
        "cause": status.cause,
        "rev": status.rev,
        "recordCounts": [{"collection": each.collection, "count": each.accepted} for each in indexed],
        "rejectedCount": sum(each.rejected for each in status.collections),
        "trackedAt": instant_text(status.tracked_at),
        "synchronizedAt": _optional_instant(status.synchronized_at),
        "lastIndexedAt": _optional_instant(max((each.last_indexed_at for each in status.collections), default=None)),
        "nextAttemptAt": _optional_instant(status.retry_at),
    })  # fmt: skip


def stats_view(stats: Stats, namespace: str, now: datetime) -> Output:
    """Return the figures of the whole index: index.defs#stats."""
    totals = {total: stats.collections.get(f"{namespace}.{name}", (0, 0))[0] for name, total in _TOTALS.items()}
    totals["repos"] = sum(stats.repos.values())
    totals["rejected"] = sum(rejected for _, rejected in stats.collections.values())
    lags = [lag for each in stats.upstreams if (lag := lag_seconds(each.event_time, now)) is not None]
    return present({
        "totals": totals,
        "lagSeconds": max(lags, default=None),
        "upstreams": [_upstream_view(each, now) for each in stats.upstreams],
        "repoStates": [{"state": state, "count": count} for state, count in stats.repos.items()],
    })  # fmt: skip


def _upstream_view(upstream: Upstream, now: datetime) -> Output:
    return present({
        "host": upstream.host,
        "cursor": upstream.seq,
        "lagSeconds": lag_seconds(upstream.event_time, now),
        "lastEventAt": _optional_instant(upstream.event_time),
    })  # fmt: skip


def lag_seconds(event_time: datetime | None, now: datetime) -> int | None:
    """Return how long ago an event happened; an upstream whose clock runs ahead is not behind."""
    return None if event_time is None else max(0, int((now - event_time).total_seconds()))


def _reasons(status: RecordStatus) -> list[dict[str, object]] | None:
    problems: list[dict[str, object]] = orjson.loads(status.problems) if status.problems else []
    severity = {"severity": "flag"} if status.verdict == "flagged" else {}
    reasons = [severity | problem for problem in problems]
    if status.is_taken_down:
        reasons.append({"path": "", "rule": "takedown", "message": "It was taken down here"})
    for value in status.labels:
        judged = LABELS.get(value)
        if judged is not None and TABLE[judged][Seen.DISCOVERY] is Verdict.HIDDEN:
            is_hidden = TABLE[judged][Seen.DIRECT] is Verdict.HIDDEN
            reasons.append({
                "path": "",
                "rule": f"label:{value}",
                "message": "Nobody is shown it" if is_hidden else "Feeds and searches leave it out",
                **({} if is_hidden else {"severity": "flag"}),
            })  # fmt: skip
    return reasons or None


def _state(status: RecordStatus) -> str:
    if status.verdict in ("rejected", "deleted"):
        return status.verdict
    against = [LABELS[value] for value in status.labels if value in LABELS]
    is_hidden = status.is_taken_down or not is_shown(against, Seen.DIRECT)
    return "hidden" if is_hidden else "indexed"


def _optional_instant(instant: datetime | None) -> str | None:
    return None if instant is None else instant_text(instant)
