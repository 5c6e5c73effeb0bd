"""Headers of listeners and beginnings of files: what is asked for lies in the file, and what a file is follows from its beginning."""

from audio_samples import sample
from picture_samples import picture

from appview.media.file_reply import content_disposition
from appview.media.keys import parse_key
from appview.media.ranges import Part, asked_for
from appview.media.sniffing import HEAD_BYTES, sniff_audio, sniff_image

_SIZES = (0, 1, 2, 1000, 2**40)
HEADER_SEEDS = (
    b"\3bytes=2000-",
    b"\0staging/00000000-0000-0000-0000-000000000000",
    b"\3bytes=0-1\n\n\n",
    b'\2bytes=-5\n"tag"\n\n',
    b'\3bytes=5-\n\n"x", "tag"\n*',
    b'\3bytes=2000-\nW/"tag"\n"tag\n',
)
FILE_SEEDS = (
    *(
        sample(name, seconds=0.1)[:HEAD_BYTES]
        for name in ("mp3", "flac", "aac", "adts", "wav", "aiff", "opus", "opus-webm")
    ),
    *(picture(name, 20, 20) for name in ("JPEG", "PNG", "WEBP", "GIF", "AVIF")),
)


def fuzz_headers(data: bytes) -> str:
    """Ask for a file by any headers, and call a file by any name and key."""
    size = _SIZES[data[0] % len(_SIZES)] if data else 0
    texts = (data[1:].decode("latin-1").split("\n") + [""] * 4)[:4]
    names = ("range", "if-range", "if-none-match", "if-match")
    headers = {name: text for name, text in zip(names, texts, strict=True) if text}
    found = asked_for(headers, size_bytes=size, etag="tag", is_get=True)
    if isinstance(found, Part):
        assert 0 <= found.start < found.end <= size
    named = content_disposition(texts[0], "audio/mpeg")
    assert named.isascii()
    assert named.isprintable()
    assert named.count('"') == 2
    key = parse_key(data[1:].decode("latin-1"))
    assert key is None or (key.path == data[1:].decode("latin-1") and ".." not in key.path)
    return type(found).__name__ + ("" if key is None else " key")


def fuzz_file(data: bytes) -> str:
    """Say what a file is by its beginning, with and without what follows."""
    audio, image = sniff_audio(data[:HEAD_BYTES]), sniff_image(data[:HEAD_BYTES])
    assert audio is None or image is None or "mp4" in audio
    return f"{audio} {image}"
