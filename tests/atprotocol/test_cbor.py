import base64
import json
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from interop import interop_path

from atprotocol.cbor import decode, encode
from atprotocol.cid import CID, cid_of
from atprotocol.data_model import Value, from_json, to_json
from atprotocol.errors import EncodingError

cids = st.binary(max_size=8).map(cid_of)
values: st.SearchStrategy[Value] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary()
    | cids,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), inner, max_size=4)
    ),
    max_leaves=20,
)


def with_tags(value: Value) -> Any:
    match value:
        case CID():
            return cbor2.CBORTag(42, b"\0" + value.raw)
        case list():
            return [with_tags(item) for item in value]
        case dict():
            return {key: with_tags(item) for key, item in value.items()}
    return value


@settings(deadline=None)
@given(values)
def test_decoding_undoes_encoding(value: Value) -> None:
    again = decode(encode(value))

    assert again == value
    assert encode(again) == encode(value)


@settings(deadline=None)
@given(values)
def test_an_independent_encoder_writes_the_same_bytes(value: Value) -> None:
    assert encode(value) == cbor2.dumps(with_tags(value), canonical=True)


@settings(deadline=None, max_examples=500)
@given(st.binary(max_size=60))
def test_whatever_decodes_is_the_only_encoding_of_its_value(content: bytes) -> None:
    try:
        value = decode(content)
    except EncodingError:
        return
    assert encode(value) == content


@settings(deadline=None, max_examples=300)
@given(values, st.data())
def test_changed_bytes_are_refused_or_canonical(value: Value, data: st.DataObject) -> None:
    content = bytearray(encode(value))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    try:
        other = decode(bytes(content))
    except EncodingError:
        return
    assert encode(other) == bytes(content)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("nothing", b""),
        ("trailing bytes", b"\x01\x01"),
        ("an integer in two bytes that fits one", b"\x18\x17"),
        ("an integer in three bytes that fits two", b"\x19\x00\xff"),
        ("an integer in five bytes that fits three", b"\x1a\x00\x00\xff\xff"),
        ("an integer in nine bytes that fits five", b"\x1b\x00\x00\x00\x00\xff\xff\xff\xff"),
        ("an unsigned integer beyond 63 bits", b"\x1b\x80\x00\x00\x00\x00\x00\x00\x00"),
        ("a negative integer beyond 63 bits", b"\x3b\x80\x00\x00\x00\x00\x00\x00\x00"),
        ("a string length not in its shortest form", b"\x78\x01a"),
        ("an indefinite list", b"\x9f\x01\xff"),
        ("an indefinite map", b"\xbf\x61a\x01\xff"),
        ("an indefinite string", b"\x7f\x61a\xff"),
        ("a reserved length", b"\x1c"),
        ("a float of two bytes", b"\xf9\x3c\x00"),
        ("a float of four bytes", b"\xfa\x3f\x80\x00\x00"),
        ("a float of eight bytes", b"\xfb\x3f\xf0\x00\x00\x00\x00\x00\x00"),
        ("undefined", b"\xf7"),
        ("a simple value", b"\xe0"),
        ("a break without a start", b"\xff"),
        ("keys out of order", b"\xa2\x61b\x01\x61a\x02"),
        ("a longer key before a shorter", b"\xa2\x62aa\x01\x61b\x02"),
        ("a key twice", b"\xa2\x61a\x01\x61a\x02"),
        ("a key that is a number", b"\xa1\x01\x01"),
        ("a key that is bytes", b"\xa1\x41a\x01"),
        ("another tag", b"\xc1\x01"),
        ("tag 42 not in its shortest form", b"\xd9\x00\x2a\x58\x25\x00" + cid_of(b"").raw),
        ("a link of text", b"\xd8\x2a\x61a"),
        ("a link without its leading zero", b"\xd8\x2a\x58\x24" + cid_of(b"").raw),
        ("a link with a byte too many", b"\xd8\x2a\x58\x26\x00" + cid_of(b"").raw + b"\x00"),
        ("a link to CIDv0", b"\xd8\x2a\x58\x23\x00\x12\x20" + bytes(32)),
        ("text that is not UTF-8", b"\x61\xff"),
        ("text with an encoded surrogate", b"\x63\xed\xa0\x80"),
        ("a list that claims 2^62 items", b"\x9b\x40\x00\x00\x00\x00\x00\x00\x00"),
        ("a map that claims 2^62 items", b"\xbb\x40\x00\x00\x00\x00\x00\x00\x00"),
        ("a string that claims 2^62 bytes", b"\x7b\x40\x00\x00\x00\x00\x00\x00\x00"),
        ("a map cut off after a key", b"\xa1\x61a"),
        ("33 levels", b"\x81" * 33 + b"\x01"),
        ("a million levels", b"\x81" * 1_000_000),
    ],
)
def test_forbidden_bytes_are_refused(name: str, content: bytes) -> None:
    with pytest.raises(EncodingError):
        decode(content, size_limit=2_000_000)


def test_32_levels_are_allowed() -> None:
    assert decode(b"\x81" * 32 + b"\x01") is not None


def test_the_size_limit_is_exact() -> None:
    content = encode(b"x" * 95)

    assert decode(content, size_limit=97) == b"x" * 95
    with pytest.raises(EncodingError, match="larger than 96 bytes"):
        decode(content, size_limit=96)


def test_keys_and_items_are_capped() -> None:
    with pytest.raises(EncodingError, match="map key longer"):
        decode(encode({"k" * 8193: 1}))
    with pytest.raises(EncodingError, match="more than 131072 items"):
        decode(encode([0] * 131_072))


@pytest.mark.parametrize("value", [1.5, {1: 2}, 2**63, -(2**63) - 1, "\ud800", {"\ud800": 1}, (1,)])
def test_what_the_model_cannot_say_is_not_encoded(value: Any) -> None:
    with pytest.raises(EncodingError):
        encode(value)


def test_interop_fixtures_agree_in_json_bytes_and_cid() -> None:
    for fixture in json.loads(interop_path("data-model/data-model-fixtures.json").read_text()):
        content = base64.b64decode(fixture["cbor_base64"] + "==")
        value = from_json(fixture["json"])

        assert encode(value) == content
        assert decode(content) == value
        assert to_json(value) == fixture["json"]
        assert str(cid_of(content)) == fixture["cid"]
