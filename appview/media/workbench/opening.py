"""Open the audio of a file of a stranger with FFmpeg, and only as what its first bytes say that it is.

The demuxer follows from the sniffed media type, so no playlist, no concatenation script and no subtitle format is ever chosen;
the bytes come from a file that is open already, other protocols are denied, and decoders outside a short list are not
even opened to look. Covers inside the file are left alone. Options: https://ffmpeg.org/ffmpeg-formats.html
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO

import av
import av.audio.stream
import av.subtitles.stream
import av.video.stream  # all three are loaded on first use otherwise, which a sealed process cannot
from av.container import InputContainer

from appview.media.sniffing import HEAD_BYTES, id3_bytes, sniff_audio
from appview.media.workbench.verdicts import Rejected

_DEMUXERS = {
    "audio/aac": "aac",
    "audio/aiff": "aiff",
    "audio/flac": "flac",
    "audio/mp4": "mov",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "audio/wav": "wav",
    "audio/webm": "matroska",
}
_PCM = (
    *("pcm_u8", "pcm_s8", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be"),
    *("pcm_s32le", "pcm_s32be", "pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_f64be"),
)
LOSSLESS_CODECS = frozenset((*_PCM, "flac", "alac"))
_CODECS = {
    **{name: name for name in (*LOSSLESS_CODECS, "aac", "vorbis", "opus")},
    **dict.fromkeys(("mp3", "mp3float"), "mp3"),
}
# Tags that are not in UTF-8 must not make a file unreadable; from 19 on PyAV reads all of them so, and has no such parameter.
_TOLERANCE: Mapping[str, Any] = (
    {"metadata_errors": "surrogateescape"} if int(av.__version__.partition(".")[0]) < 19 else {}
)
_MPEG_FRAME_HEAD_BYTES = 64
MINIMUM_RATE_HZ, MAXIMUM_RATE_HZ = 4_000, 768_000
MAXIMUM_CHANNELS = 8


@dataclass(frozen=True, slots=True)
class OpenedAudio:
    """A file with its first audio stream; `claimed_seconds` is what its header says, None where it says nothing.

    `tag_bytes` is the length of an ID3 tag in front of it.
    """

    mime_type: str
    tag_bytes: int
    container: InputContainer
    stream: av.audio.stream.AudioStream
    codec: str
    claimed_seconds: float | None


@contextlib.contextmanager
def opened_audio(source: BinaryIO, audio_seconds: int) -> Iterator[OpenedAudio]:
    """Open the audio of `source`, from its beginning.

    Raises Rejected: not-audio, no-audio-stream, broken, or too-long when it claims more than `audio_seconds`.
    """
    mime_type, tag_bytes, claims_length = _sniffed(source)
    try:
        container = av.open(
            source,
            "r",
            format=_DEMUXERS[mime_type],
            container_options={"codec_whitelist": ",".join((*_CODECS, "libopus")), "protocol_whitelist": "none"},
            **_TOLERANCE,
        )
    except MemoryError:
        raise
    except (av.FFmpegError, ValueError) as error:
        raise Rejected("broken", f"it begins like {mime_type}, but cannot be read as that") from error
    with container:
        stream, codec = _audio_stream(container)
        claimed = _claimed_seconds(container, stream) if claims_length else None
        if claimed is not None and claimed > audio_seconds:
            raise Rejected("too-long", f"it says that it is longer than {audio_seconds} seconds")
        yield OpenedAudio(mime_type, tag_bytes, container, stream, codec, claimed)


def counted_seconds(opened: OpenedAudio, audio_seconds: int) -> float:
    """Return the length by what the packets say, without decoding one; what cannot be read ends it.

    Raises Rejected too-long as soon as they add up to more than `audio_seconds`.
    """
    ticks = 0
    base = _time_base(opened.stream)
    try:
        for packet in opened.container.demux(opened.stream):
            ticks += max(0, packet.duration or 0)
            if ticks * base > audio_seconds:
                raise Rejected("too-long", f"it is longer than {audio_seconds} seconds")
    except MemoryError:
        raise
    except av.FFmpegError:
        pass
    return float(ticks * base)


def check_shape(sample_rate_hz: int, channels: int) -> None:
    """Raise Rejected when no recording has such a sampling rate or number of channels."""
    if not MINIMUM_RATE_HZ <= sample_rate_hz <= MAXIMUM_RATE_HZ:
        raise Rejected("broken", f"audio of {sample_rate_hz} Hz is not taken")
    if not 1 <= channels <= MAXIMUM_CHANNELS:
        raise Rejected("broken", f"audio of {channels} channels is not taken")


def _sniffed(source: BinaryIO) -> tuple[str, int, bool]:
    """Return the media type, the length of the tag in front, and whether such a file says how long it is."""
    source.seek(0)
    head = source.read(HEAD_BYTES)
    mime_type = sniff_audio(head)
    tag_bytes = id3_bytes(head)
    if tag_bytes:
        source.seek(tag_bytes)
        head = source.read(HEAD_BYTES)
        behind = sniff_audio(head)
        mime_type = behind if behind in ("audio/flac", "audio/aac") else "audio/mpeg"
    source.seek(0)
    if mime_type is None:
        raise Rejected("not-audio", "its first bytes are those of no audio format that is taken")
    if mime_type == "audio/mpeg":
        # Without one of these FFmpeg guesses from the first bit rates, which may be far from the truth.
        return mime_type, tag_bytes, any(mark in head[:_MPEG_FRAME_HEAD_BYTES] for mark in (b"Xing", b"Info", b"VBRI"))
    return mime_type, tag_bytes, mime_type != "audio/aac"


def _audio_stream(container: InputContainer) -> tuple[av.audio.stream.AudioStream, str]:
    if not container.streams.audio:
        raise Rejected("no-audio-stream", "there is no audio in it")
    stream = container.streams.audio[0]
    context = stream.codec_context
    # The context is missing when FFmpeg has no decoder at all.
    codec = _CODECS.get(context.name) if context else None
    if codec is None:
        raise Rejected("not-audio", "its audio is encoded in a way that is not taken")
    context.thread_count = 1
    check_shape(context.sample_rate or 0, context.channels)
    return stream, codec


def _claimed_seconds(container: InputContainer, stream: av.audio.stream.AudioStream) -> float | None:
    if stream.duration is not None:
        return max(0.0, float(stream.duration * _time_base(stream)))
    return None if container.duration is None else max(0.0, container.duration / 1_000_000)


def _time_base(stream: av.audio.stream.AudioStream) -> Fraction:
    """Return the length of a tick in seconds, 0 when it is not known; PyAV's own type of it differs between versions."""
    base = stream.time_base
    return Fraction(base.numerator, base.denominator) if base else Fraction(0)
