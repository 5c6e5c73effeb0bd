"""What the database says of the indexing: cursors, repositories, records. Reads only, and starts nothing.

The JSON form is an interface: names are added, never changed. `idle` is true when every repository that can be
synchronized is, no request or audit waits, and no handle is unchecked.
"""

import json
from datetime import UTC, datetime
from typing import Any

import asyncpg

from indexer.verdicts import share_of_same
from plyr.rendering import columns

# A source that names a time at the end of the calendar has named none.
_UPSTREAMS = """
    SELECT host, endpoint, seq, CASE WHEN isfinite(event_time) THEN event_time END AS event_time, updated_at
    FROM network.cursors
    ORDER BY host, endpoint
"""
_LABELERS = "SELECT src, seq, updated_at FROM network.label_cursors ORDER BY src"
_REPOS = """
    SELECT sync_status, cause, active, upstream_status, count(*) AS count,
           count(*) FILTER (WHERE active AND handle IS NOT NULL AND handle_checked_at IS NULL) AS unchecked_handles,
           count(*) FILTER (WHERE handle_verified_at IS NOT NULL) AS verified_handles,
           count(*) FILTER (WHERE takendown) AS hidden,
           count(*) FILTER (WHERE deleted_at IS NOT NULL AND purged_at IS NULL) AS to_purge
    FROM network.repos
    GROUP BY sync_status, cause, active, upstream_status
"""
_RECORDS = "SELECT collection, accepted, rejected FROM network.collection_totals ORDER BY collection"
_REJECTED = """
    SELECT split_part(u.path, '/', 1) AS collection, p.problem ->> 'rule' AS rule, p.problem ->> 'path' AS path,
           count(*) AS count
    FROM network.records r
    JOIN network.uris u USING (uri_id)
    CROSS JOIN LATERAL json_array_elements(r.problems) AS p (problem)
    WHERE r.verdict = 'rejected'
    GROUP BY 1, 2, 3
    ORDER BY 4 DESC, 1, 2, 3
    LIMIT 100
"""
_AUDITS = """
    SELECT requested_at, reason, finished_at, counts FROM network.audits
    WHERE requested_at = (SELECT max(requested_at) FROM network.audits WHERE finished_at IS NOT NULL)
"""
_REST = """
    SELECT (SELECT count(*) FROM plyr.sync_requests WHERE taken_at IS NULL) AS waiting_requests,
           (SELECT count(*) FROM plyr.takedowns) AS takedowns,
           (SELECT count(*) FROM network.audits WHERE finished_at IS NULL) AS open_audits,
           (SELECT count(*) FROM network.undecodable_frames) AS undecodable_frames,
           (SELECT version_num FROM public.migrations) AS schema
"""

Status = dict[str, Any]


async def read_status(connection: asyncpg.Connection, now: datetime | None = None) -> Status:
    """Return everything that `plyr status` shows, as of one moment, ready to be JSON."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        upstreams = await connection.fetch(_UPSTREAMS)
        labelers = await connection.fetch(_LABELERS)
        repos = await connection.fetch(_REPOS)
        records = await connection.fetch(_RECORDS)
        rejected = await connection.fetch(_REJECTED)
        last_audit = await connection.fetchrow(_AUDITS)
        rest = await connection.fetchrow(_REST)
    assert rest is not None
    present = now or datetime.now(UTC)
    desynchronized = sum(row["count"] for row in repos if row["active"] and row["sync_status"] == "desynchronized")
    unchecked = sum(row["unchecked_handles"] for row in repos)
    to_purge = sum(row["to_purge"] for row in repos)
    return {
        "schema": rest["schema"],
        "upstreams": [
            {
                "host": row["host"],
                "endpoint": row["endpoint"],
                "seq": row["seq"],
                "event_time": _text(row["event_time"]),
                "updated_at": _text(row["updated_at"]),
                "lag_seconds": _lag(row["event_time"], present),
            }
            for row in upstreams
        ],
        "labelers": [
            {"did": row["src"], "seq": row["seq"], "updated_at": _text(row["updated_at"])} for row in labelers
        ],
        "repos": {
            "total": sum(row["count"] for row in repos),
            "desynchronized": desynchronized,
            "hidden": sum(row["hidden"] for row in repos),
            "by_status": _counted((_shown_status(row), row["count"]) for row in repos),
            "by_cause": _counted(
                (row["cause"], row["count"]) for row in repos if row["active"] and row["cause"] is not None
            ),
        },
        "handles": {"verified": sum(row["verified_handles"] for row in repos), "unchecked": unchecked},
        "records": {row["collection"]: {"accepted": row["accepted"], "rejected": row["rejected"]} for row in records},
        "rejected": [dict(row) for row in rejected],
        "audit": _audit(last_audit),
        "audits_open": rest["open_audits"],
        "undecodable_frames": rest["undecodable_frames"],
        "sync_requests_waiting": rest["waiting_requests"],
        "takedowns": rest["takedowns"],
        "idle": not any((desynchronized, unchecked, to_purge, rest["waiting_requests"], rest["open_audits"])),
    }


def render(status: Status) -> str:
    """Return the status for people."""
    repos = status["repos"]
    lines = [f"Schema {status['schema']}, indexer {'running' if status.get('indexer_running') else 'not running'}"]
    lines += ["", "Upstreams"]
    upstreams = [
        (each["host"], f"cursor {each['seq']:,}", _shown_lag(each["lag_seconds"])) for each in status["upstreams"]
    ]
    lines.append(columns(upstreams) or "  none was followed yet")
    if status["labelers"]:
        lines += ["", "Labelers"]
        lines.append(
            columns(
                [(each["did"], f"cursor {each['seq']:,}", f"{each['labels']:,} labels") for each in status["labelers"]]
            )
        )
    lines += ["", f"Repositories: {repos['total']:,}, hidden {repos['hidden']:,}"]
    lines.append(columns([(name, f"{count:,}") for name, count in repos["by_status"].items()]) or "  none yet")
    if repos["by_cause"]:
        lines += ["", "Not synchronized because of"]
        lines.append(columns([(name, f"{count:,}") for name, count in repos["by_cause"].items()]))
    lines += ["", _shown_audit(status["audit"], status["audits_open"])]
    lines += ["", "Records"]
    lines.append(
        columns(
            [
                (name, f"{counts['accepted']:,}", f"{counts['rejected']:,} rejected" if counts["rejected"] else "")
                for name, counts in status["records"].items()
            ]
        )
        or "  none yet"
    )
    if status["rejected"]:
        lines += ["", "Rejected because of"]
        lines.append(
            columns(
                [
                    (f"{each['collection']} {each['path'] or '/'}", each["rule"], f"{each['count']:,}")
                    for each in status["rejected"]
                ]
            )
        )
    lines += ["", f"{status['sync_requests_waiting']:,} requests wait, {status['takedowns']:,} takedowns, "]
    lines[-1] += f"{status['undecodable_frames']:,} undecodable frames; {'idle' if status['idle'] else 'at work'}"
    if status.get("live"):
        lines += ["", "Of the running indexer, what is not 0"]
        lines.append(columns(_shown_figures(status["live"])))
    return "\n".join(lines)


def _shown_figures(figures: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return the figures that are not 0, a line for each label."""
    rows: list[tuple[str, ...]] = []
    for name, value in figures.items():
        by_label = value if isinstance(value, dict) else {"": value}
        rows += [(name, label, f"{each:,}") for label, each in by_label.items() if each]
    return rows


def _audit(row: asyncpg.Record | None) -> dict[str, Any] | None:
    if row is None:
        return None
    counts = json.loads(row["counts"] or "{}")
    return {
        "reason": row["reason"],
        "finished_at": _text(row["finished_at"]),
        "counts": counts,
        "share_of_same": share_of_same(counts),
    }


def _shown_audit(audit: dict[str, Any] | None, open_count: int) -> str:
    under_way = f"; {open_count} asked for or under way" if open_count else ""
    if audit is None:
        return f"Audit: none has ended yet{under_way}"
    share = audit["share_of_same"]
    compared = "nothing could be compared" if share is None else f"{share:.2%} equal their hosts'"
    return f"Audit of {audit['finished_at']} ({audit['reason']}): {compared}{under_way}"


def _shown_status(row: asyncpg.Record) -> str:
    if row["active"]:
        return str(row["sync_status"])
    return f"inactive:{row['upstream_status'] or 'unexplained'}"


def _counted(pairs: Any) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name, count in pairs:
        counts[name] = counts.get(name, 0) + count
    return dict(sorted(counts.items()))


def _lag(event_time: datetime | None, now: datetime) -> float | None:
    return None if event_time is None else round(max(0.0, (now - event_time).total_seconds()), 1)


def _text(instant: datetime | None) -> str | None:
    return (
        None if instant is None else instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def _shown_lag(seconds: float | None) -> str:
    return "at an unknown time" if seconds is None else f"{seconds:,.1f} s behind"
