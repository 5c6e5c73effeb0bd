import pytest
import world

from atprotocol.cid import RAW, cid_from_bytes, cid_of, parse_cid
from atprotocol.errors import EncodingError


def test_text_and_bytes_are_two_forms_of_one_cid() -> None:
    cid = cid_of(b"content")

    assert parse_cid(str(cid)) == cid == cid_from_bytes(world.cid_of(b"content"))
    assert str(cid) == world.cid_text(cid.raw)


def test_a_blob_cid_has_the_raw_codec() -> None:
    assert cid_of(b"content", RAW).codec == RAW
    assert str(cid_of(b"content", RAW)).startswith("bafkrei")


def test_a_cid_is_not_bytes() -> None:
    assert not isinstance(cid_of(b""), bytes)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x12\x20" + bytes(32),  # CIDv0
        bytes((1, 0x71, 0x12, 0x20)) + bytes(31),
        bytes((1, 0x71, 0x12, 0x20)) + bytes(33),
        bytes((1, 0x70, 0x12, 0x20)) + bytes(32),  # dag-pb
        bytes((1, 0x71, 0x13, 0x20)) + bytes(32),  # another hash
        bytes((2, 0x71, 0x12, 0x20)) + bytes(32),
    ],
)
def test_other_forms_of_cid_are_refused(raw: bytes) -> None:
    with pytest.raises(EncodingError):
        cid_from_bytes(raw)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "b",
        "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n",
        str(cid_of(b"x")).upper(),
        str(cid_of(b"x"))[:-1],
        str(cid_of(b"x")) + "a",
        "b" + "1" * 58,
    ],
)
def test_text_that_is_not_canonical_base32_is_refused(text: str) -> None:
    with pytest.raises(EncodingError):
        parse_cid(text)


def test_unused_bits_at_the_end_of_base32_must_be_zero() -> None:
    text = str(cid_of(b"x"))
    following = {"a": "b", "q": "r", "y": "z", "i": "j", "e": "f", "u": "v", "m": "n", "c": "d"}
    bent = text[:-1] + following.get(text[-1], "b")

    with pytest.raises(EncodingError):
        parse_cid(bent)
