"""What is known of audio and pictures once they were read: plain values that the store, the views and the workers share.

Nothing here opens a file or a library of media. Sizes are in bytes, lengths in milliseconds, loudness in the units of
EBU R 128 (https://tech.ebu.ch/docs/r/r128.pdf). What a file claims (AudioFacts) and what was counted while all of it
was decoded (Rendering) are two types, because a stranger writes the former.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class AudioFacts:
    """What an original says of itself; `duration_ms` is a claim until the file was rendered.

    `tags` has at most 20 lower-case keys (title, artist, album, …) and values of at most 500 characters without control characters.
    """

    mime_type: str
    codec: str
    duration_ms: int | None
    bitrate_kbps: int | None
    sample_rate_hz: int
    channels: int
    is_lossless: bool
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Loudness:
    """How loud a whole recording is, and its highest point between the samples; None: silence (below -70 LUFS, -66 dBTP)."""

    integrated_lufs: float | None
    true_peak_dbtp: float | None


@dataclass(frozen=True, slots=True)
class Rendering:
    """What was written for streaming; the length is counted from decoded samples.

    `peaks` are the largest magnitudes of all channels, 0 to 255, in at most 1,000 equal parts of the whole length.
    """

    duration_ms: int
    bitrate_kbps: int
    sample_rate_hz: int
    channels: int
    size_bytes: int
    mime_type: str
    loudness: Loudness
    peaks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AudioProfile:
    """A form in which tracks are streamed; the bit rate is that of two channels, one takes half."""

    name: str
    mime_type: str
    codec: str
    bitrate_kbps: int


@dataclass(frozen=True, slots=True)
class ImagePreset:
    """A size of pictures: "cover" crops to the proportions, "contain" keeps all of it; neither makes a picture larger."""

    name: str
    width: int
    height: int
    fit: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that was written."""

    width: int
    height: int
    size_bytes: int
    mime_type: str


AAC_160 = AudioProfile("aac-160", "audio/mp4", "aac", 160)

IMAGE_PRESETS: Mapping[str, ImagePreset] = MappingProxyType(
    {
        preset.name: preset
        for preset in (
            ImagePreset("thumb", 96, 96, "cover"),
            ImagePreset("card", 320, 320, "cover"),
            ImagePreset("cover", 1000, 1000, "contain"),
            ImagePreset("avatar", 256, 256, "cover"),
        )
    }
)
