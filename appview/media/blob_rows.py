"""What is known of blobs and of what was made of them, as typed rows: read by whoever answers, written by whoever works.

One statement tells whether an account's blob may be heard, and where its bytes are: the rules of visibility for whoever
fetches sound stand in it, so that hidden and missing are the same empty answer.
"""

from typing import Any, Final

import asyncpg
import orjson

from appview.asking import Statement
from appview.media import jobs
from appview.media.facts import AudioFacts, Loudness, Rendering
from appview.media.known import Sound
from appview.media.plan import READY, UNSUPPORTED, Audio, Kept
from appview.media.sniffing import is_sound
from appview.viewer import Asker
from appview.visibility import Seen, SqlRules

_VARIANTS: Final = """
    (SELECT json_agg(json_build_array(v.profile, v.content_cid, v.etag, v.size_bytes, v.mime_type, v.bitrate_kbps) ORDER BY v.profile)
     FROM plyr.blob_variants v WHERE v.cid = {cid}) AS variants
"""
# An index holds the gated tracks alone, by their audio.
_IS_ANOTHERS: Final = """
    (b.etag IS NOT NULL AND b.fetched_from IS DISTINCT FROM {pds} AND EXISTS (
        SELECT FROM network.tracks o WHERE o.audio_cid = {cid} AND o.support_gate IS NOT NULL AND o.actor_id <> {actor_id}
    )) AS is_anothers
"""


def _audio(rules: SqlRules) -> str:
    return f"""
    SELECT t.title, t.artist, t.support_gate IS NOT NULL AS is_gated, r.pds, b.state, b.etag, b.size_bytes, b.mime_type,
        {_IS_ANOTHERS.format(cid="$2", actor_id="a.actor_id", pds="r.pds")}, {_VARIANTS.format(cid="$2")}
    FROM network.actors a
    JOIN network.repos r ON r.actor_id = a.actor_id
    JOIN network.blob_references n ON n.actor_id = a.actor_id AND n.cid = $2 AND n.role = 'audio'
    JOIN network.tracks t ON t.uri_id = n.uri_id
    LEFT JOIN plyr.blobs b ON b.cid = n.cid
    WHERE a.did = $1 AND {rules.track("t", "r", "a.did")}
    ORDER BY t.support_gate IS NOT NULL, t.uri
    LIMIT 1
    """


_AUDIO = Statement(Seen.AUDIO, _audio)
_OWN_AUDIO = _audio(SqlRules(Seen.OWN, is_anonymous=False))
_SOUND = f"""
    SELECT b.state, b.reason, b.etag, b.size_bytes, b.mime_type, b.codec, b.duration_ms, b.bitrate_kbps, b.sample_rate_hz,
        b.channels, b.is_lossless, b.integrated_lufs, b.true_peak_dbtp, b.peaks,
        EXISTS (SELECT FROM plyr.media_jobs j WHERE j.kind = 'blob' AND j.subject = $1) AS is_at_work, b.variant_reason,
        {_IS_ANOTHERS.format(cid="$1", actor_id="$2::bigint", pds="$3::text")}, {_VARIANTS.format(cid="$1")}
    FROM (SELECT $1::text COLLATE "C" AS cid) AS asked LEFT JOIN plyr.blobs b USING (cid)
"""
_SAVE_STATE = """
    INSERT INTO plyr.blobs (cid, state, reason, fetched_from, state_at) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (cid) DO UPDATE SET state = excluded.state, reason = excluded.reason, etag = NULL,
        fetched_from = coalesce(excluded.fetched_from, blobs.fetched_from), state_at = excluded.state_at
"""
_SAVE_READY = """
    INSERT INTO plyr.blobs (cid, state, fetched_from, size_bytes, mime_type, etag, codec, duration_ms, bitrate_kbps,
        sample_rate_hz, channels, is_lossless, tags, state_at)
    VALUES ($1, 'ready', $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
    ON CONFLICT (cid) DO UPDATE SET state = 'ready', reason = NULL, fetched_from = excluded.fetched_from,
        size_bytes = excluded.size_bytes, mime_type = excluded.mime_type, etag = excluded.etag, codec = excluded.codec,
        duration_ms = coalesce(blobs.duration_ms, excluded.duration_ms), bitrate_kbps = excluded.bitrate_kbps,
        sample_rate_hz = excluded.sample_rate_hz, channels = excluded.channels, is_lossless = excluded.is_lossless,
        tags = excluded.tags, state_at = excluded.state_at, unreferenced_at = NULL
"""
_SAVE_RENDERING = """
    UPDATE plyr.blobs SET duration_ms = $2, integrated_lufs = $3, true_peak_dbtp = $4, peaks = $5, variant_reason = NULL
    WHERE cid = $1
"""
_SAVE_VARIANT = """
    INSERT INTO plyr.blob_variants (cid, profile, content_cid, size_bytes, mime_type, etag, bitrate_kbps)
    SELECT cid, $2, $3, $4, $5, $6, $7 FROM plyr.blobs WHERE cid = $1 FOR KEY SHARE
    ON CONFLICT (cid, profile) DO UPDATE SET content_cid = excluded.content_cid, size_bytes = excluded.size_bytes,
        mime_type = excluded.mime_type, etag = excluded.etag, bitrate_kbps = excluded.bitrate_kbps, made_at = now()
    RETURNING cid
"""
_SAVE_UNRENDERED = "UPDATE plyr.blobs SET variant_reason = $2 WHERE cid = $1"
_LOSE = (
    "UPDATE plyr.blobs SET state = 'pending', reason = $3, etag = NULL WHERE cid = $1 AND etag = $2 AND state = 'ready'"
)
# In the order in which a worker writes: whoever has a job's row may wait for its blob's, never the other way round.
_LOCK_JOB = "SELECT FROM plyr.media_jobs WHERE kind = 'blob' AND subject = $1 FOR UPDATE"
_REJECT = """
    UPDATE plyr.blobs SET state = 'unsupported', reason = $3, etag = NULL, state_at = $4
    WHERE cid = $1 AND etag = $2 AND state = 'ready' RETURNING cid
"""
_LOSE_VARIANT = "DELETE FROM plyr.blob_variants WHERE cid = $1 AND profile = $2 AND etag = $3"
_LOCK_BLOB = "SELECT FROM plyr.blobs WHERE cid = $1 FOR UPDATE"
_FORGET = "WITH gone AS (DELETE FROM plyr.blob_variants WHERE cid = $1) DELETE FROM plyr.blobs WHERE cid = $1"


async def load_audio(connection: asyncpg.Connection, asker: Asker, did: str, cid: str) -> Audio | None:
    """Return an account's blob that a track names which whoever asks may hear; None when there is none, for any reason."""
    is_own = asker.viewer is not None and asker.viewer.did == did
    row = await connection.fetchrow(_OWN_AUDIO if is_own else _AUDIO.of(asker), did, cid)
    if row is None:
        return None
    return Audio(
        did=did,
        cid=cid,
        file_name=f"{row['artist']} - {row['title']}",
        is_gated=row["is_gated"],
        pds=row["pds"],
        state=UNSUPPORTED if _is_picture(row) else row["state"],
        original=_original(cid, row),
        variants={profile: kept for profile, (kept, _) in _variants(cid, row["variants"]).items()},
        is_anothers=row["is_anothers"],
    )


async def load_sound(
    connection: asyncpg.Connection, cid: str, actor_id: int | None = None, pds: str | None = None
) -> Sound | None:
    """Return what is known of a blob; None while nothing was done about it and nothing is going to be.

    An account that names it, with its host, has it told whether the bytes are another's.
    """
    row = await connection.fetchrow(_SOUND, cid, actor_id, pds)
    if row["state"] is None:
        return Sound("pending", None, None, {}) if row["is_at_work"] else None
    loudness = None
    if row["peaks"] is not None:
        loudness = Loudness(row["integrated_lufs"], row["true_peak_dbtp"])
    facts = (
        "codec",
        "duration_ms",
        "bitrate_kbps",
        "sample_rate_hz",
        "channels",
        "is_lossless",
        "peaks",
        "variant_reason",
    )
    if _is_picture(row):
        return Sound(UNSUPPORTED, "not-audio: the bytes are a picture", None, {})
    # One that could not be had may be tried again at this moment.
    state = "pending" if row["is_at_work"] and row["state"] in ("gone", "mismatch") else row["state"]
    return Sound(
        state=state,
        reason=row["reason"],
        original=_original(cid, row),
        variants=_variants(cid, row["variants"]),
        loudness=loudness,
        is_anothers=bool(row["is_anothers"]),
        **{name: row[name] for name in facts},
    )


def _original(cid: str, row: asyncpg.Record) -> Kept | None:
    if row["state"] != READY or row["etag"] is None or _is_picture(row):
        return None
    return Kept(cid, None, cid, row["etag"], row["size_bytes"], row["mime_type"])


def _is_picture(row: asyncpg.Record) -> bool:
    """Tell whether the bytes that are kept are a picture, which some record names as audio."""
    return row["state"] == READY and not is_sound(row["mime_type"])


def _variants(cid: str, text: str | None) -> dict[str, tuple[Kept, int | None]]:
    rows: list[Any] = orjson.loads(text) if text else []
    return {
        profile: (Kept(cid, profile, content_cid, etag, size_bytes, mime_type), bitrate_kbps)
        for profile, content_cid, etag, size_bytes, mime_type, bitrate_kbps in rows
    }


async def save_state(
    connection: asyncpg.Connection, cid: str, state: str, reason: str | None, at: Any, fetched_from: str | None = None
) -> None:
    """Write down that the bytes are not kept, and why."""
    told = None if reason is None else jobs.storable(reason)
    await connection.execute(_SAVE_STATE, cid, state, told, fetched_from, at)


async def save_ready(
    connection: asyncpg.Connection,
    cid: str,
    *,
    fetched_from: str,
    size_bytes: int,
    mime_type: str,
    etag: str,
    facts: AudioFacts | None,
    at: Any,
) -> None:
    """Write down that the bytes are kept, and what they are; `facts` None for pictures."""
    sound: tuple[object, ...] = (None,) * 7
    if facts is not None:
        tags = orjson.dumps(dict(facts.tags)).decode()
        sound = (
            facts.codec,
            facts.duration_ms,
            facts.bitrate_kbps,
            facts.sample_rate_hz,
            facts.channels,
            facts.is_lossless,
            tags,
        )
    await connection.execute(_SAVE_READY, cid, fetched_from, size_bytes, mime_type, etag, *sound, at)


async def save_variant(
    connection: asyncpg.Connection,
    cid: str,
    profile: str,
    *,
    content_cid: str,
    size_bytes: int,
    mime_type: str,
    etag: str,
    bitrate_kbps: int | None = None,
) -> bool:
    """Write down that a variant is kept; False when its blob was let go of meanwhile, and it is not."""
    facts = (content_cid, size_bytes, mime_type, etag, bitrate_kbps)
    return await connection.fetchval(_SAVE_VARIANT, cid, profile, *facts) is not None


async def save_rendering(connection: asyncpg.Connection, cid: str, rendering: Rendering) -> None:
    """Write down what was measured while a variant was made."""
    loudness = rendering.loudness
    await connection.execute(
        _SAVE_RENDERING,
        cid,
        rendering.duration_ms,
        loudness.integrated_lufs,
        loudness.true_peak_dbtp,
        bytes(rendering.peaks),
    )


async def save_unrendered(connection: asyncpg.Connection, cid: str, reason: str) -> None:
    """Write down that no variants can be made, and why."""
    await connection.execute(_SAVE_UNRENDERED, cid, jobs.storable(reason))


async def reject(connection: asyncpg.Connection, kept: Kept, reason: str, at: Any) -> bool:
    """Write down that an original which is kept is none that we take; False when it was replaced meanwhile."""
    return await connection.fetchval(_REJECT, kept.cid, kept.etag, jobs.storable(reason), at) is not None


async def lose(connection: asyncpg.Connection, kept: Kept, reason: str) -> None:
    """Write down that an object which should be kept is not there, unless it was replaced meanwhile.

    Within a transaction that asks for its job too.
    """
    await connection.execute(_LOCK_JOB, kept.cid)
    if kept.profile is None:
        await connection.execute(_LOSE, kept.cid, kept.etag, reason)
    else:
        await connection.execute(_LOSE_VARIANT, kept.cid, kept.profile, kept.etag)


async def forget(connection: asyncpg.Connection, cid: str) -> None:
    """Forget all that is known of a blob, within a transaction: a variant that comes meanwhile is not written down."""
    await connection.execute(_LOCK_BLOB, cid)
    await connection.execute(_FORGET, cid)
