"""Audio files made while the tests run: one of every format that is taken, and their hostile relatives.

Signals are sines, so that lengths, loudness and peaks are known beforehand. Nothing here imports what it tests.
"""

import io
import random
import struct
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

# format: (muxer, encoder, sample format, sampling rate when another is not possible)
_ENCODINGS: Mapping[str, tuple[str, str, str, int | None]] = {
    "mp3": ("mp3", "libmp3lame", "s16p", None),
    "aac": ("mp4", "aac", "fltp", None),
    "adts": ("adts", "aac", "fltp", None),
    "flac": ("flac", "flac", "s16", None),
    "alac": ("mp4", "alac", "s16p", None),
    "wav": ("wav", "pcm_s16le", "s16", None),
    "wav-8": ("wav", "pcm_u8", "u8", None),
    "wav-24": ("wav", "pcm_s24le", "s32", None),
    "wav-32": ("wav", "pcm_s32le", "s32", None),
    "wav-float": ("wav", "pcm_f32le", "flt", None),
    "rf64": ("wav", "pcm_s16le", "s16", None),
    "aiff": ("aiff", "pcm_s16be", "s16", None),
    "opus": ("ogg", "libopus", "s16", 48_000),
    "opus-webm": ("webm", "libopus", "s16", 48_000),
    "vorbis": ("ogg", "vorbis", "fltp", None),
}
FORMATS: tuple[str, ...] = tuple(_ENCODINGS)
MEDIA_TYPES: Mapping[str, str] = {
    **dict.fromkeys(("wav", "wav-8", "wav-24", "wav-32", "wav-float", "rf64"), "audio/wav"),
    **dict.fromkeys(("aac", "alac"), "audio/mp4"),
    **dict.fromkeys(("opus", "vorbis"), "audio/ogg"),
    "adts": "audio/aac",
    "aiff": "audio/aiff",
    "flac": "audio/flac",
    "mp3": "audio/mpeg",
    "opus-webm": "audio/webm",
}
CODECS: Mapping[str, str] = {
    name: {"libmp3lame": "mp3", "libopus": "opus"}.get(codec, codec) for name, (_, codec, _, _) in _ENCODINGS.items()
}
LOSSLESS = frozenset(("flac", "alac", "wav", "wav-8", "wav-24", "wav-32", "wav-float", "rf64", "aiff"))
_FRAME_SAMPLES = 4096
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}


def sample(
    format: str,  # noqa: A002  (its name everywhere)
    seconds: float = 2.0,
    hertz: float = 440.0,
    channels: int = 2,
    sample_rate: int = 44_100,
    tags: Mapping[str, str] | None = None,
    amplitude: float = 0.5,
) -> bytes:
    """Return a sine in one of FORMATS; Opus is always of 48,000 Hz."""
    rate = _ENCODINGS[format][3] or sample_rate
    moments = np.arange(round(seconds * rate)) / rate
    wave = amplitude * np.sin(2 * np.pi * hertz * moments)
    return encoded(format, np.tile(wave, (channels, 1)), rate, tags)


def encoded(format: str, samples: NDArray[Any], sample_rate: int, tags: Mapping[str, str] | None = None) -> bytes:  # noqa: A002
    """Return these samples, of shape (channels, samples) and full scale 1.0, in one of FORMATS."""
    muxer, codec, sample_format, _ = _ENCODINGS[format]
    file = io.BytesIO()
    layout = _LAYOUTS[len(samples)]
    options = {"rf64": "always"} if format == "rf64" else {}
    with av.open(file, "w", format=muxer, container_options=options) as container:
        container.metadata.update(tags or {})
        stream: Any = container.add_stream(codec, rate=sample_rate, options={"strict": "experimental"})
        stream.layout = layout
        stream.format = sample_format
        if format not in LOSSLESS:
            stream.bit_rate = 128_000
        for start in range(0, samples.shape[1], _FRAME_SAMPLES):
            frame = _frame(samples[:, start : start + _FRAME_SAMPLES], sample_format, layout)
            frame.sample_rate, frame.pts, frame.time_base = sample_rate, start, Fraction(1, sample_rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def _frame(samples: NDArray[Any], sample_format: str, layout: str) -> AudioFrame:
    kind = sample_format.removesuffix("p")
    scaled: NDArray[Any]
    if kind == "flt":
        scaled = samples.astype(np.float32)
    elif kind == "u8":
        scaled = (samples * 127 + 128).round().astype(np.uint8)
    elif kind == "s32":
        scaled = (samples * (2**31 - 256)).round().astype(np.int32)
    else:
        scaled = (samples * 32_767).round().astype(np.int16)
    if not sample_format.endswith("p"):
        scaled = scaled.T.reshape(1, -1)
    return AudioFrame.from_ndarray(np.ascontiguousarray(scaled), format=sample_format, layout=layout)


def truncated(data: bytes, keep: float = 0.3) -> bytes:
    """Return the first part of a file."""
    return data[: int(len(data) * keep)]


def bit_flipped(data: bytes, seed: int, share: float = 0.002, spare: int = 0) -> bytes:
    """Return a file of which some bits are wrong, none in the first `spare` bytes."""
    chance = random.Random(seed)
    damaged = bytearray(data)
    for _ in range(max(1, int(len(data) * share))):
        damaged[chance.randrange(spare, len(data))] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def wrong_container(data: bytes, format: str) -> bytes:  # noqa: A002
    """Return a file that begins like another format than its own."""
    return (b"fLaC" if format != "flac" else b"OggS\0\2") + data[6:]


def with_cover(data: bytes, picture: bytes) -> bytes:
    """Return an MP3 with an ID3v2.3 tag in front of it that holds a picture, large enough to hide the audio from a short look."""
    content = b"\0image/png\0\3\0" + picture
    frame = b"APIC" + struct.pack(">I", len(content)) + b"\0\0" + content
    size = len(frame)
    return b"ID3\3\0\0" + bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0)) + frame + data


def wav(
    samples: bytes, *, rate: int, bits: int = 16, channels: int = 1, kind: int = 1, claimed_bytes: int | None = None
) -> bytes:
    """Return a WAV made by hand, whose header may claim any number of bytes; `kind` 3 is of floats."""
    size = len(samples) if claimed_bytes is None else claimed_bytes
    block = channels * bits // 8
    header = struct.pack("<HHIIHH", kind, channels, rate, rate * block & 0xFFFFFFFF, block, bits)
    riff = min(size + 36, 0xFFFFFFFF)
    return (
        b"RIFF"
        + struct.pack("<I", riff)
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + header
        + b"data"
        + struct.pack("<I", size)
        + samples
    )


def absurd_duration(format: str, seconds: float = 0.5) -> bytes:  # noqa: A002
    """Return a short file whose header claims days; FLAC, WAV, AIFF, MP3, ALAC, AAC in MP4, Opus and Vorbis can."""
    data = bytearray(sample(format, seconds))
    if format == "flac":
        # STREAMINFO: the lower 36 bits of the 8 bytes from place 18 on are the number of samples.
        data[21] |= 0x0F
        data[22:26] = b"\xff\xff\xff\xff"
    elif format.startswith("wav"):
        place = data.index(b"data")
        data[place + 4 : place + 8] = b"\xf0\xff\xff\xff"
        data[4:8] = b"\xff\xff\xff\xff"
    elif format == "aiff":
        place = data.index(b"COMM")
        data[place + 10 : place + 14] = b"\xff\xff\xff\xf0"
        place = data.index(b"SSND")
        data[place + 4 : place + 8] = b"\x7f\xff\xff\xf0"
    elif format == "mp3":
        place = max(data.find(b"Xing"), data.find(b"Info"))
        data[place + 8 : place + 12] = struct.pack(">I", 0x0FFFFFFF)
    elif format in ("aac", "alac"):
        for box, offset in ((b"mdhd", 16), (b"tkhd", 24), (b"mvhd", 16)):
            place = data.index(box) + 4 + offset
            data[place : place + 4] = b"\x7f\xff\xff\xff"
        place = data.index(b"stts") + 4 + 8
        data[place + 4 : place + 8] = b"\x00\xff\xff\xff"  # ticks of one packet
    else:
        place = data.rindex(b"OggS")
        data[place + 6 : place + 14] = struct.pack("<Q", 2**45)
        data[place + 22 : place + 26] = bytes(4)
        data[place + 22 : place + 26] = struct.pack("<I", _ogg_checksum(bytes(data[place:])))
    return bytes(data)


def _ogg_checksum(page: bytes) -> int:
    checksum = 0
    for byte in page:
        checksum ^= byte << 24
        for _ in range(8):
            checksum = (checksum << 1 ^ (0x04C11DB7 if checksum & 0x80000000 else 0)) & 0xFFFFFFFF
    return checksum


def bomb(seconds: int = 7 * 3600) -> bytes:
    """Return a FLAC of silence for hours in a few hundred kilobytes, whose header does not say how long it is.

    Frames have 65,535 samples at 8,000 Hz and a constant subframe (https://www.rfc-editor.org/rfc/rfc9639#section-9).
    """
    block, rate = 65_535, 8_000
    info = (
        struct.pack(">HH", block, block) + bytes(6) + (rate << 44 | 0 << 41 | 15 << 36).to_bytes(8, "big") + bytes(16)
    )
    frames = bytearray(b"fLaC\x80\x00\x00\x22" + info)
    for number in range(seconds * rate // block + 1):
        # Fixed blocks; a 16-bit block size follows; 8 kHz; one channel of 16 bits; the number in the manner of UTF-8.
        header = b"\xff\xf8\x74\x08" + chr(number).encode("utf-8", "surrogatepass") + struct.pack(">H", block - 1)
        frame = header + bytes((_flac_checksum(header, 8, 0x07),)) + b"\0\0\0"
        frames += frame + struct.pack(">H", _flac_checksum(frame, 16, 0x8005))
    return bytes(frames)


def _flac_checksum(data: bytes, bits: int, polynomial: int) -> int:
    checksum, top, mask = 0, 1 << (bits - 1), (1 << bits) - 1
    for byte in data:
        checksum ^= byte << (bits - 8)
        for _ in range(8):
            checksum = (checksum << 1 ^ (polynomial if checksum & top else 0)) & mask
    return checksum


PLAYLISTS: Mapping[str, bytes] = {
    "hls": b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
    "concat": b"ffconcat version 1.0\nfile '/etc/passwd'\nduration 2\n" + b"# padding\n" * 10,
    "subtitles": b"1\n00:00:00,000 --> 00:10:00,000\n<img src='/etc/passwd'>\n" + b"\n" * 64,
    "sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n" + b"\n" * 64,
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='/etc/passwd'/></svg>" + b"\n" * 64,
}
