"""What is known of audio, as values: of a blob, and of what is at a URL. Read by whoever answers; nothing is decided here."""

from collections.abc import Mapping
from dataclasses import dataclass

from appview.media.facts import Loudness
from appview.media.plan import Kept


@dataclass(frozen=True, slots=True)
class Sound:
    """All that is told of a blob that is audio. `peaks` are a byte each; `variants` by profile, with their bitrates."""

    state: str
    reason: str | None
    original: Kept | None
    variants: Mapping[str, tuple[Kept, int | None]]
    codec: str | None = None
    duration_ms: int | None = None
    bitrate_kbps: int | None = None
    sample_rate_hz: int | None = None
    channels: int | None = None
    is_lossless: bool | None = None
    loudness: Loudness | None = None
    peaks: bytes | None = None
    variant_reason: str | None = None
    is_anothers: bool = False


@dataclass(frozen=True, slots=True)
class External:
    """What was found at a URL: `state` is ready, gone or unsupported."""

    state: str
    reason: str | None = None
    mime_type: str | None = None
    size_bytes: int | None = None
