"""Say what an audio file is, from its headers and, where those say nothing of its length, from its packets.

Nothing is decoded. Tags are a stranger's text: only well-known names are taken, cut to a bounded length and cleared of
control characters (Unicode categories C); what they mean is not judged.
"""

import os
import unicodedata
from collections.abc import Mapping
from typing import Any

from appview.media.workbench.files import original
from appview.media.workbench.limits import Caps
from appview.media.workbench.opening import LOSSLESS_CODECS, OpenedAudio, counted_seconds, opened_audio

_TAGS = (
    *("title", "artist", "album", "album_artist", "composer", "performer", "genre", "date", "year", "track", "disc"),
    *("comment", "description", "copyright", "license", "publisher", "isrc", "language", "lyricist", "bpm"),
)
_TAG_CHARACTERS = 500


def work(job: Mapping[str, Any], caps: Caps) -> Mapping[str, Any]:
    """Return the fields of AudioFacts. Raises Rejected or Failed."""
    with original(job["path"]) as source, opened_audio(source, caps.audio_seconds) as opened:
        size_bytes = os.fstat(source.fileno()).st_size
        context = opened.stream.codec_context
        seconds = opened.claimed_seconds or counted_seconds(opened, caps.audio_seconds)
        return {
            "mime_type": opened.mime_type,
            "codec": opened.codec,
            "duration_ms": round(seconds * 1000) or None,
            "bitrate_kbps": _bitrate_kbps(opened, seconds, size_bytes),
            "sample_rate_hz": context.sample_rate,
            "channels": context.channels,
            "is_lossless": opened.codec in LOSSLESS_CODECS,
            "tags": _tags(opened),
        }


def _bitrate_kbps(opened: OpenedAudio, seconds: float, size_bytes: int) -> int | None:
    # A header of MP3 speaks for one frame only; other formats may have a cover of any size among their bytes.
    said = 0 if opened.codec == "mp3" else opened.stream.codec_context.bit_rate or 0
    counted = (size_bytes - opened.tag_bytes) * 8 / seconds if seconds else 0
    return round(max(0, said or counted) / 1000) or None


def _tags(opened: OpenedAudio) -> dict[str, str]:
    said = {key.lower(): value for key, value in (opened.stream.metadata | opened.container.metadata).items()}
    cleaned = {key: _cleaned(said[key]) for key in _TAGS if key in said}
    return {key: value for key, value in cleaned.items() if value and value != "und"}  # no language


def _cleaned(text: str) -> str:
    # Cut twice: before, so that a tag of many megabytes costs nothing, and after, since that is the promise.
    spaced = (
        " " if unicodedata.category(character).startswith("C") else character
        for character in text[: 4 * _TAG_CHARACTERS]
    )
    return " ".join("".join(spaced).split())[:_TAG_CHARACTERS].strip()
