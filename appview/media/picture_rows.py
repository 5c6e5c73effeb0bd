"""Whether an account's blob may be seen as a picture, and where its bytes are: hidden and missing are the same empty answer."""

from dataclasses import dataclass
from datetime import datetime

import asyncpg

from appview.asking import Statement
from appview.media.plan import READY, UNSUPPORTED, Kept
from appview.media.sniffing import is_sound
from appview.viewer import Asker
from appview.visibility import Seen, SqlRules

_URI = "'at://' || a.did || '/' || u.path"


def _picture(rules: SqlRules) -> str:
    return f"""
    SELECT r.pds, b.state, b.etag, b.size_bytes, b.mime_type, v.content_cid, v.etag AS variant_etag,
        v.size_bytes AS variant_size_bytes, v.mime_type AS variant_mime_type, b.state_at, j.run_at
    FROM network.actors a
    JOIN network.repos r ON r.actor_id = a.actor_id
    JOIN network.blob_references n ON n.actor_id = a.actor_id AND n.cid = $2 AND n.role = 'image'
    JOIN network.uris u ON u.uri_id = n.uri_id
    LEFT JOIN plyr.blobs b ON b.cid = n.cid
    LEFT JOIN plyr.media_jobs j ON j.kind = 'blob' AND j.subject = n.cid
    LEFT JOIN plyr.blob_variants v ON v.cid = n.cid AND v.profile = $3
    WHERE a.did = $1 AND {rules.record("r", "a.did", _URI, "n.uri_id")}
    LIMIT 1
    """


_PICTURE = Statement(Seen.DIRECT, _picture)


@dataclass(frozen=True, slots=True)
class PictureRow:
    """A picture that may be seen: its host, its state, and what is kept of it in the form that was asked for.

    `state_at` is since when it is in that state, `next_try_at` when its job is due, if it has one.
    """

    pds: str | None
    state: str | None
    original: Kept | None
    variant: Kept | None
    state_at: datetime | None
    next_try_at: datetime | None


async def load_picture(
    connection: asyncpg.Connection, asker: Asker, did: str, cid: str, profile: str
) -> PictureRow | None:
    """Return an account's blob that something which is shown names as its picture; None when there is none."""
    row = await connection.fetchrow(_PICTURE.of(asker), did, cid, profile)
    if row is None:
        return None
    original = variant = None
    state = row["state"]
    if state == READY and is_sound(row["mime_type"]):
        # Somebody's audio, which this account's record names as a picture.
        state = UNSUPPORTED
    elif state == READY and row["etag"] is not None:
        original = Kept(cid, None, cid, row["etag"], row["size_bytes"], row["mime_type"])
    if row["variant_etag"] is not None:
        facts = (row["content_cid"], row["variant_etag"], row["variant_size_bytes"], row["variant_mime_type"])
        variant = Kept(cid, profile, *facts)
    return PictureRow(row["pds"], state, original, variant, row["state_at"], row["run_at"])
