"""feed.getPlayback: whether and where a track can be played.

Whether it may be, whether it is there and how sure that is are three answers: `access`, `sources`, `integrity`. What
`/audio` would answer is decided by the same plan. Audio that a record names by URL is looked at only where the operator
believes its origin, and is never verified.
"""

from collections.abc import Sequence
from datetime import timedelta

from appview.api.feed.subject import subject_track_of
from appview.media import blob_rows, jobs
from appview.media.external import load_external
from appview.media.facts import AAC_160
from appview.media.keys import BlobKey, VariantKey, is_blob
from appview.media.known import Sound
from appview.media.plan import READY, Audio, FromHost, Kept, Refusal, Refuse, ToSigned, plan
from appview.media.settings import Mirroring
from appview.rows import TrackRow
from appview.service import Context
from appview.views.formats import present
from appview.views.playback import (
    EXTERNAL,
    PDS,
    R2,
    Source,
    audio_details,
    chosen,
    external_status,
    source_view,
)
from appview.xrpc.call import Output

_GRANTED, _SUPPORT_REQUIRED, _UNAVAILABLE, _PROCESSING = "granted", "supportRequired", "unavailable", "processing"


async def get_playback(context: Context) -> Output:
    """Return how to play a track."""
    track, state = await subject_track_of(context)
    author = state.actors[track.actor_id]
    is_own = context.asker.actor_id == track.actor_id
    is_gated = track.content.support_gate is not None
    if is_gated and not is_own:
        return {"uri": track.uri, "access": _SUPPORT_REQUIRED, "sources": []}
    if track.content.audio_cid is None:
        return await _external(context, track)
    sound = await blob_rows.load_sound(context.connection, track.content.audio_cid, track.actor_id, author.pds)
    audio = Audio(
        did=author.did,
        cid=track.content.audio_cid,
        file_name=f"{track.content.artist} - {track.content.title}",
        is_gated=is_gated,
        pds=author.pds,
        state=None if sound is None else sound.state,
        original=None if sound is None else sound.original,
        variants={} if sound is None else {name: kept for name, (kept, _) in sound.variants.items()},
        is_anothers=sound is not None and sound.is_anothers,
    )
    if not is_blob(audio.cid):
        return {"uri": track.uri, "access": _UNAVAILABLE, "sources": []}
    all_sources = await _sources(context, track, audio, sound, is_own=is_own)
    wanted = context.call.parameters.get("maxBitrateKbps")
    found = chosen(all_sources, context.call.optional_text("format"), wanted if isinstance(wanted, int) else None)
    access = _GRANTED if found else _UNAVAILABLE
    if all_sources and not found and _may_come(context, audio, sound):
        await jobs.want_unless_queued(context.connection, "blob", audio.cid, context.call.called_at)
        access = _PROCESSING
    fields = {
        "uri": track.uri,
        "access": access,
        "sources": [source_view(each) for each in found],
        "audio": audio_details(sound),
    }
    return present(fields)


async def _sources(
    context: Context, track: TrackRow, audio: Audio, sound: Sound | None, *, is_own: bool
) -> list[Source]:
    """Return the original and its variants, as far as they are to be had."""
    decided = plan(audio, context.ways, is_own=is_own)
    if isinstance(decided, Refuse):
        assert decided.refusal is Refusal.UNAVAILABLE
        return []
    if isinstance(decided, FromHost):
        url = context.places.audio(audio.did, audio.cid)
        claims = (track.content.audio_mime_type, PDS)
        return [Source(url, *claims, size_bytes=track.content.audio_size_bytes, cid=audio.cid)]
    assert sound is not None
    assert sound.original is not None
    found = [await _kept_source(context, audio, sound.original, sound.bitrate_kbps, is_own=is_own)]
    for kept, bitrate_kbps in sound.variants.values():
        found.append(await _kept_source(context, audio, kept, bitrate_kbps, is_own=is_own))
    return found


async def _kept_source(context: Context, audio: Audio, kept: Kept, bitrate_kbps: int | None, *, is_own: bool) -> Source:
    url, expires_at = context.places.audio(audio.did, audio.cid, kept.profile), None
    # What needs a proof at our address may be had with a signature instead: no player sends the proof.
    if audio.is_gated and isinstance(plan(audio, context.ways, is_own=is_own, profile=kept.profile), ToSigned):
        seconds = context.settings.media.signed_url_seconds
        key = BlobKey(kept.cid) if kept.profile is None else VariantKey(kept.cid, kept.profile)
        signed = await context.signed_url(key, seconds, kept.mime_type)
        if signed is not None:
            url, expires_at = signed, context.call.called_at + timedelta(seconds=seconds)
    return Source(
        url=url,
        mime_type=kept.mime_type,
        origin=R2,
        profile=kept.profile,
        bitrate_kbps=bitrate_kbps,
        size_bytes=kept.size_bytes,
        cid=kept.tag,
        is_verified=True,
        expires_at=expires_at,
    )


async def _external(context: Context, track: TrackRow) -> Output:
    url = context.places.believed(track.content.audio_url)
    if url is None:
        return {"uri": track.uri, "access": _UNAVAILABLE, "sources": []}
    found = await load_external(context.connection, url)
    if found is None:
        await jobs.want_unless_queued(context.connection, "url", url, context.call.called_at)
        return {"uri": track.uri, "access": _PROCESSING, "sources": [], "audio": {"state": "pending"}}
    sources: Sequence[Source] = ()
    if found.state == READY:
        source = Source(url, found.mime_type, EXTERNAL, size_bytes=found.size_bytes)
        sources = chosen([source], context.call.optional_text("format"), None)
    access = _GRANTED if sources else _UNAVAILABLE
    views = [source_view(each) for each in sources]
    return {"uri": track.uri, "access": access, "sources": views, "audio": external_status(found)}


def _may_come(context: Context, audio: Audio, sound: Sound | None) -> bool:
    """Tell whether there is a variant still to be made."""
    if AAC_160.name in audio.variants or context.settings.media.mirroring is Mirroring.NEVER or audio.is_anothers:
        return False
    if audio.is_gated and context.ways.has_public_url:
        return False
    return sound is None or sound.variant_reason is None
