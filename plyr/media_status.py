"""What is known and kept of audio and pictures, in figures, and what is still to be done."""

from typing import Any

import asyncpg

from plyr.rendering import columns

_STATES = """
    SELECT state, count(*) AS count, coalesce(sum(size_bytes) FILTER (WHERE etag IS NOT NULL), 0)::bigint AS size_bytes
    FROM plyr.blobs GROUP BY state ORDER BY state
"""
_REASONS = """
    SELECT state, split_part(reason, ':', 1) AS reason, count(*) AS count FROM plyr.blobs
    WHERE state <> 'ready' AND reason IS NOT NULL GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT 20
"""
_VARIANTS = """
    SELECT profile, count(*) AS count, coalesce(sum(size_bytes), 0)::bigint AS size_bytes FROM plyr.blob_variants
    GROUP BY profile ORDER BY profile
"""
_JOBS = """
    SELECT count(*) AS waiting, count(*) FILTER (WHERE run_at <= now() AND (leased_until IS NULL OR leased_until <= now())) AS due,
        count(*) FILTER (WHERE leased_until > now()) AS at_work, count(*) FILTER (WHERE attempts > 1) AS tried_before,
        extract(epoch FROM now() - min(created_at))::bigint AS oldest_seconds
    FROM plyr.media_jobs
"""
_REFERENCED = "SELECT count(DISTINCT cid) FROM network.blob_references WHERE role = 'audio'"
_URLS = "SELECT state, count(*) AS count FROM plyr.external_media GROUP BY state ORDER BY state"


async def read_media_status(connection: asyncpg.Connection) -> dict[str, Any]:
    """Return the figures as a script reads them."""
    jobs = await connection.fetchrow(_JOBS)
    return {
        "audio_referenced": await connection.fetchval(_REFERENCED),
        "blobs": {
            row["state"]: {"count": row["count"], "size_bytes": row["size_bytes"]}
            for row in await connection.fetch(_STATES)
        },
        "reasons": [dict(row) for row in await connection.fetch(_REASONS)],
        "variants": {
            row["profile"]: {"count": row["count"], "size_bytes": row["size_bytes"]}
            for row in await connection.fetch(_VARIANTS)
        },
        "urls": {row["state"]: row["count"] for row in await connection.fetch(_URLS)},
        "jobs": dict(jobs),
    }


def render(status: dict[str, Any]) -> str:
    """Return the figures as people read them."""
    lines = [f"{status['audio_referenced']:,} blobs are named as audio."]
    rows = [(state, f"{each['count']:,}", megabytes(each["size_bytes"])) for state, each in status["blobs"].items()]
    rows += [
        (f"variant {name}", f"{each['count']:,}", megabytes(each["size_bytes"]))
        for name, each in status["variants"].items()
    ]
    rows += [(f"URL {state}", f"{count:,}", "") for state, count in status["urls"].items()]
    lines.append(columns(rows) if rows else "  nothing is kept yet")
    if status["reasons"]:
        lines.append("Why not:")
        lines.append(columns([(each["state"], each["reason"], f"{each['count']:,}") for each in status["reasons"]]))
    jobs = status["jobs"]
    lines.append(
        f"Jobs: {jobs['waiting']:,}, of which {jobs['due']:,} are due, {jobs['at_work']:,} at work, {jobs['tried_before']:,} tried before."
    )
    return "\n".join(lines)


def megabytes(size_bytes: int) -> str:
    """Return a size for people."""
    return f"{size_bytes / 1e6:,.1f} MB"
