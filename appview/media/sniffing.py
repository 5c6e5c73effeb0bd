"""Which kind of media a file is, by its first bytes and by nothing that anybody said of it.

It names only what we take, in media types; anything else is None, and no later step guesses again: the demuxer and the
decoder follow from this answer. Signatures are those of the WHATWG (https://mimesniff.spec.whatwg.org/) and of the
formats themselves, stricter where two could be meant (an MPEG frame must be followed by another).
"""

HEAD_BYTES = 4096
_ID3_HEADER_BYTES = 10

_AUDIO_BRANDS = frozenset(
    (
        *(b"M4A ", b"M4B ", b"mp41", b"mp42", b"dash", b"MSNV", b"qt  ", b"3gp4", b"3gp5", b"3gp6"),
        *(b"isom", b"iso2", b"iso3", b"iso4", b"iso5", b"iso6", b"iso7", b"iso8", b"iso9"),
    )
)
_AVIF_BRANDS = frozenset((b"avif", b"avis"))

_KBPS_MPEG1 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBPS_MPEG2 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_HZ_MPEG1 = (44_100, 48_000, 32_000)


def sniff_audio(head: bytes) -> str | None:
    """Return the media type of an audio file that we take, by its first 4,096 bytes (64 at the least); None otherwise.

    An ID3 tag that is longer than `head` counts as MP3, whatever follows it.
    """
    tag_bytes = id3_bytes(head)
    if tag_bytes == 0:
        return _sniff_audio_without_tag(head)
    behind = head[tag_bytes:]
    if behind.startswith(b"fLaC"):
        return "audio/flac"
    return "audio/aac" if _is_adts(behind) else "audio/mpeg"


def sniff_image(head: bytes) -> str | None:
    """Return the media type of a picture that we take, by its first bytes; None for SVG, TIFF and everything else."""
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    return "image/avif" if not _AVIF_BRANDS.isdisjoint(_brands(head)) else None


def is_sound(mime_type: str) -> bool:
    """Tell whether a media type that was found here is that of audio."""
    return mime_type.startswith("audio/")


def id3_bytes(head: bytes) -> int:
    """Return the length of the ID3v2 tag that a file begins with, 0 without one (https://id3.org/id3v2.4.0-structure)."""
    if (
        len(head) < _ID3_HEADER_BYTES
        or head[:3] != b"ID3"
        or head[3] == 0xFF
        or any(byte & 0x80 for byte in head[6:10])
    ):
        return 0
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    has_footer = bool(head[5] & 0x10)
    return _ID3_HEADER_BYTES + size + (_ID3_HEADER_BYTES if has_footer else 0)


def _sniff_audio_without_tag(head: bytes) -> str | None:
    kind = None
    if head.startswith(b"fLaC"):
        kind = "audio/flac"
    elif head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        kind = "audio/wav"
    elif head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        kind = "audio/aiff"
    elif head.startswith(b"OggS\0"):
        kind = "audio/ogg"
    elif head.startswith(b"\x1a\x45\xdf\xa3"):
        # The document type is an element of the header, within the first bytes of any file that is made.
        kind = "audio/webm" if b"\x42\x82\x84webm" in head[:64] else None
    elif _is_adts(head):
        kind = "audio/aac"
    elif _is_mpeg_layer_3(head):
        kind = "audio/mpeg"
    elif (brands := _brands(head)) and _AVIF_BRANDS.isdisjoint(brands) and brands[0] in _AUDIO_BRANDS:
        kind = "audio/mp4"
    return kind


def _brands(head: bytes) -> list[bytes]:
    """Return the brands of an ISO base media file, the major one first; none when it is no such file."""
    size = int.from_bytes(head[:4], "big")
    if head[4:8] != b"ftyp" or size < 16:
        return []
    compatible = head[16 : min(size, 256)]
    return [head[8:12], *(compatible[place : place + 4] for place in range(0, len(compatible) - 3, 4))]


def _is_adts(head: bytes) -> bool:
    length = _adts_frame_bytes(head)
    return length > 0 and (len(head) < length + 7 or _adts_frame_bytes(head[length:]) > 0)


def _adts_frame_bytes(header: bytes) -> int:
    """Return how long the ADTS frame is that begins here, 0 when none does (ISO/IEC 14496-3, 1.A.2.2)."""
    if len(header) < 7 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0 or (header[2] >> 2) & 0xF > 12:
        return 0
    length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return length if length >= 7 else 0


def _is_mpeg_layer_3(head: bytes) -> bool:
    length = _mpeg_frame_bytes(head)
    return length > 0 and (len(head) < length + 4 or _mpeg_frame_bytes(head[length:]) > 0)


def _mpeg_frame_bytes(header: bytes) -> int:
    """Return how long the frame of MPEG audio layer III is that begins here, 0 when none does (ISO/IEC 11172-3, 2.4.1.3)."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return 0
    version = header[1] >> 3 & 3
    bitrate, sampling, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version == 1 or bitrate in (0, 15) or sampling == 3:
        return 0
    if version == 3:
        return 144_000 * _KBPS_MPEG1[bitrate - 1] // _HZ_MPEG1[sampling] + padding
    rate = _HZ_MPEG1[sampling] // (2 if version == 2 else 4)
    return 72_000 * _KBPS_MPEG2[bitrate - 1] // rate + padding
