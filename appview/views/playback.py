"""Where a track is heard, and what is known of its audio, as JSON: feed.getPlayback, feed.defs#audioSource and #audioDetails."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from appview.media.facts import Loudness
from appview.media.known import External, Sound
from appview.views.formats import instant_text, present
from appview.xrpc.call import Output

R2: Final = "r2"
PDS: Final = "pds"
EXTERNAL: Final = "external"


@dataclass(frozen=True, slots=True)
class Source:
    """One place where a track can be fetched; `profile` is None for the original."""

    url: str
    mime_type: str | None
    origin: str
    profile: str | None = None
    bitrate_kbps: int | None = None
    size_bytes: int | None = None
    cid: str | None = None
    is_verified: bool = False
    expires_at: datetime | None = None


def source_view(source: Source) -> Output:
    """Return a source: feed.defs#audioSource."""
    return present({
        "url": source.url,
        "mimeType": source.mime_type,
        "bitrateKbps": source.bitrate_kbps,
        "sizeBytes": source.size_bytes,
        "kind": "original" if source.profile is None else "transcode",
        "origin": source.origin,
        "integrity": "verified" if source.is_verified else "unverified",
        "cid": source.cid,
        "expiresAt": None if source.expires_at is None else instant_text(source.expires_at),
    })  # fmt: skip


def chosen(sources: Iterable[Source], mime_type: str | None, max_bitrate_kbps: int | None) -> Sequence[Source]:
    """Return the sources that a client can use; one whose bit rate is not known may be above any bound."""
    return [
        each
        for each in sources
        if (mime_type is None or each.mime_type == mime_type.lower())
        and (max_bitrate_kbps is None or (each.bitrate_kbps is not None and each.bitrate_kbps <= max_bitrate_kbps))
    ]


def audio_status(sound: Sound | None) -> Output | None:
    """Return how far the bytes are known: feed.defs#audioStatus; None while nobody has asked for them."""
    return None if sound is None else present({"state": sound.state, "reason": sound.reason})


def audio_details(sound: Sound | None) -> Output | None:
    """Return what was found out about the audio: feed.defs#audioDetails."""
    if sound is None:
        return None
    facts = {
        "state": sound.state,
        "reason": sound.reason,
        "codec": sound.codec,
        "durationMs": sound.duration_ms,
        "sampleRateHz": sound.sample_rate_hz,
        "channels": sound.channels,
        "isLossless": sound.is_lossless,
        "loudness": None if sound.loudness is None else _loudness(sound.loudness),
        "peaks": None if sound.peaks is None else list(sound.peaks),
    }
    return present(facts)


def external_status(found: External) -> Output:
    """Return what is known of audio that is named by a URL: feed.defs#audioStatus."""
    return present({"state": EXTERNAL if found.state == "ready" else found.state, "reason": found.reason})


def _loudness(loudness: Loudness) -> Output:
    return present({
        "integratedCentiLufs": _hundredths(loudness.integrated_lufs),
        "truePeakCentiDbtp": _hundredths(loudness.true_peak_dbtp),
    })  # fmt: skip


def _hundredths(value: float | None) -> int | None:
    return None if value is None else round(value * 100)
