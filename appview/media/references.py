"""Who refers to a blob, and from which hosts it can be had: the facts on which every step of its job is decided.

A reference that is taken down (here, by a labeler that counts, or where the account lives) holds nothing; one of an
account that is only away does. What is read here is read anew for every step, as records come and go.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from appview.media.steps import Standing
from appview.visibility import LABELS, SQL_LABEL_HOLDS, Reason, sql_not_taken_down
from atprotocol.syntax.did import DID

SQL_TAKEDOWN_LABELS: Final = ", ".join(
    f"'{value}'" for value, reason in LABELS.items() if reason is Reason.LABELLED_TAKEDOWN
)
_URI: Final = "'at://' || a.did || '/' || u.path"
# Labels that a record states of itself take nothing down.
SQL_IS_HELD: Final = f"""
    NOT r.takendown AND r.upstream_status IS DISTINCT FROM 'takendown' AND {sql_not_taken_down("a.did", _URI)}
    AND NOT EXISTS (
        SELECT FROM network.labels l WHERE l.uri IN (a.did, {_URI}) AND l.val IN ({SQL_TAKEDOWN_LABELS}) AND l.uri_id = 0
            AND (l.cid = '' OR l.cid = d.cid) AND {SQL_LABEL_HOLDS} OFFSET 0)
"""
SQL_REFERENCES: Final = """
    FROM network.blob_references n
    JOIN network.repos r ON r.actor_id = n.actor_id
    JOIN network.actors a ON a.actor_id = n.actor_id
    JOIN network.uris u ON u.uri_id = n.uri_id
    JOIN network.records d ON d.uri_id = n.uri_id
    LEFT JOIN network.tracks t ON t.uri_id = n.uri_id AND n.role = 'audio'
"""
# A picture is for everybody. Audio is where a track without a gate names it, and not because somebody calls it a picture.
SQL_IS_OPEN: Final = """
    CASE n.role WHEN 'audio' THEN t.support_gate IS NULL
        ELSE NOT EXISTS (SELECT FROM plyr.blobs k WHERE k.cid = n.cid AND k.mime_type LIKE 'audio/%') END
"""
# More than these need not be looked at to know that it is held; those that hold come first.
_MOST: Final = 1000
_REFERENCES: Final = f"""
    SELECT n.role, {SQL_IS_HELD} AS is_held, {SQL_IS_OPEN} AS is_open,
        a.did, CASE WHEN r.visible THEN r.pds END AS pds
    {SQL_REFERENCES}
    WHERE n.cid = $1
    ORDER BY 2 DESC, 3 DESC, n.uri_id
    LIMIT {_MOST}
"""
_KNOWN: Final = """
    SELECT b.state, b.unreferenced_at, b.etag,
        b.variant_reason IS NOT NULL OR b.mime_type LIKE 'image/%' OR EXISTS (SELECT FROM plyr.blob_variants v WHERE v.cid = b.cid AND v.profile = $2)
            AS is_rendered
    FROM plyr.blobs b WHERE b.cid = $1
"""


@dataclass(frozen=True, slots=True)
class Source:
    """An account that refers to the blob, and its present host; `is_open` when all may hear it there."""

    did: DID
    pds: str
    is_open: bool = True


@dataclass(frozen=True, slots=True)
class Situation:
    """A blob as it stands, and where it can be had."""

    standing: Standing
    sources: tuple[Source, ...]
    etag: str | None


async def situation_of(connection: asyncpg.Connection, cid: str, profile: str) -> Situation:
    """Return how a blob stands; it is rendered when there is a variant of this profile, or a reason why there is none."""
    # First what is known, then who refers to it: a reference that comes between is seen.
    known = await connection.fetchrow(_KNOWN, cid, profile)
    references: Sequence[asyncpg.Record] = await connection.fetch(_REFERENCES, cid)
    held = [row for row in references if row["is_held"]]
    # By account: one that names it openly and gated names it openly, and these come first.
    sources: dict[str, Source] = {}
    for row in held:
        if row["pds"] is not None:
            sources.setdefault(row["did"], Source(DID(row["did"]), row["pds"], row["is_open"]))
    unreferenced_at: datetime | None = None if known is None else known["unreferenced_at"]
    standing = Standing(
        state=None if known is None else known["state"],
        references=len(references),
        held_by=len(held),
        open_to=sum(row["is_open"] for row in held),
        is_audio=any(row["role"] == "audio" for row in held),
        is_rendered=known is not None and known["is_rendered"],
        unreferenced_at=unreferenced_at,
    )
    return Situation(standing, tuple(sources.values()), None if known is None else known["etag"])
