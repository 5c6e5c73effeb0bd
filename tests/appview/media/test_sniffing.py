"""What a file is by its first bytes, and what none of ours is."""

import picture_samples
import pytest
from audio_samples import FORMATS, MEDIA_TYPES, PLAYLISTS, sample, with_cover
from hypothesis import given, settings
from hypothesis import strategies as st

from appview.media.sniffing import HEAD_BYTES, id3_bytes, sniff_audio, sniff_image


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("length", [64, HEAD_BYTES])
def test_every_audio_format_is_known_by_its_head(name: str, length: int) -> None:
    head = sample(name, 0.5)[:length]
    assert sniff_audio(head) == MEDIA_TYPES[name]
    assert sniff_image(head) is None


@pytest.mark.parametrize("name", picture_samples.FORMATS)
def test_every_picture_format_is_known_by_its_head(name: str) -> None:
    head = picture_samples.picture(name)[:64]
    assert sniff_image(head) == picture_samples.MEDIA_TYPES[name]
    assert sniff_audio(head) is None


@pytest.mark.parametrize("content", [*PLAYLISTS.values(), b"", b"f", b"II*\0" + bytes(60), b"%PDF-1.7", bytes(64)])
def test_nothing_else_is_audio_or_a_picture(content: bytes) -> None:
    assert sniff_audio(content) is None
    assert sniff_image(content) is None


def test_a_tag_in_front_is_looked_behind() -> None:
    behind = {name: sniff_audio(with_cover(sample(name, 0.1), b"")) for name in ("mp3", "flac", "adts")}
    assert behind == {"mp3": "audio/mpeg", "flac": "audio/flac", "adts": "audio/aac"}
    assert sniff_audio(with_cover(b"", bytes(10_000))[:HEAD_BYTES]) == "audio/mpeg"


def test_the_length_of_a_tag_counts_its_header_and_footer() -> None:
    assert id3_bytes(b"ID3\4\0\0\0\0\1\x01") == 10 + 129
    assert id3_bytes(b"ID3\4\0\x10\0\0\1\x01") == 20 + 129
    assert id3_bytes(b"ID3\4\0\0\x80\0\0\0") == 0
    assert id3_bytes(b"ID3") == 0


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (b"\xff\xfb\x90\x00" + bytes(413) + b"\xff\xfb\x90\x00", "audio/mpeg"),
        (b"\xff\xfb\x90\x00" + bytes(413) + b"\xff\xfa\x00\x00", None),  # the next frame is none
        (b"\xff\xfb\xf0\x00" + bytes(500), None),  # no such bit rate
        (b"\xff\xfd\x90\x00" + bytes(500), None),  # layer II
        (b"RIFF\0\0\0\0AVI " + bytes(52), None),
        (b"RIFF\0\0\0\0WEBP" + bytes(52), None),
        (b"\0\0\0\x18ftypM4A \0\0\0\0isommp42" + bytes(40), "audio/mp4"),
        (b"\0\0\0\x18ftypM4P \0\0\0\0isommp42" + bytes(40), None),  # encrypted
        (b"\0\0\0\x18ftypisom\0\0\0\0avifmp42" + bytes(40), None),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40), None),
        (b"\x1a\x45\xdf\xa3\x93\x42\x82\x88matroska" + bytes(48), None),
    ],
)
def test_what_looks_similar_is_told_apart(head: bytes, media_type: str | None) -> None:
    assert sniff_audio(head) == media_type


@given(
    st.binary(max_size=80),
    st.sampled_from((b"", b"ID3", b"\xff\xf1", b"\xff\xfb", b"\0\0\0\x18ftyp", b"RIFF", b"\x1a\x45\xdf\xa3")),
)
@settings(deadline=None)
def test_no_bytes_make_it_fail(content: bytes, start: bytes) -> None:
    assert sniff_audio(start + content) in {None, *MEDIA_TYPES.values()}
    assert sniff_image(start + content) in {None, *picture_samples.MEDIA_TYPES.values()}
