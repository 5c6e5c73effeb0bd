"""Cursors: exact, opaque, and good for one question only."""

import base64
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appview.xrpc.cursor import (
    Key,
    MalformedCursor,
    Rest,
    binding_of,
    decode_cursor,
    decode_rest,
    encode_cursor,
    encode_rest,
    key_at,
)
from atprotocol.syntax.datetime import EARLIEST, LATEST

BINDING = binding_of("com.example.list", {"tag": "a"})
URIS = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",))).map(lambda text: f"at://{text}")


@given(st.integers(-(2**62), 2**62), URIS)
def test_a_key_comes_back_as_it_was(number: int, uri: str) -> None:
    cursor = encode_cursor(Key(number, uri), BINDING)
    assert cursor.replace("-", "").replace("_", "").isalnum()
    assert decode_cursor(cursor, BINDING) == Key(number, uri)


@given(
    st.datetimes(EARLIEST.replace(tzinfo=None), LATEST.replace(tzinfo=None)).map(
        lambda at: at.replace(tzinfo=EARLIEST.tzinfo)
    )
)
def test_an_instant_keeps_its_microsecond(instant: object) -> None:
    assert key_at(instant, "at://x").instant == instant  # type: ignore[arg-type]


@given(st.lists(st.integers(0, 2**62), max_size=200), st.booleans())
def test_the_rest_of_an_order_comes_back_as_it_was(numbers: list[int], flag: bool) -> None:
    rest = Rest(tuple(numbers), flag)
    cursor = encode_rest(rest, BINDING)
    assert decode_rest(cursor, BINDING) == rest
    with pytest.raises(MalformedCursor):
        decode_rest(cursor, binding_of("com.example.list", {"tag": "b"}))
    with pytest.raises(MalformedCursor):
        decode_rest(GOOD, BINDING)


def test_an_instant_that_no_calendar_has_is_refused() -> None:
    for number in (2**62, -(2**62), key_at(EARLIEST, "").number - 1, key_at(LATEST, "").number + 1):
        with pytest.raises(MalformedCursor):
            _ = Key(number, "at://x").instant
    assert key_at(EARLIEST + timedelta(microseconds=1), "").number - key_at(EARLIEST, "").number == 1


def test_a_cursor_is_bound_to_its_method_and_filters_and_not_to_the_size_of_the_page() -> None:
    assert binding_of("com.example.list", {"limit": 3, "tag": "a", "cursor": "x"}) == BINDING
    others = [("com.example.other", {"tag": "a"}), ("com.example.list", {"tag": "b"}), ("com.example.list", {}), ("com.example.list", {"tag": "a", "by": "x"})]  # fmt: skip
    cursor = encode_cursor(Key(1, "at://x"), BINDING)
    for nsid, parameters in others:
        with pytest.raises(MalformedCursor):
            decode_cursor(cursor, binding_of(nsid, parameters))  # type: ignore[arg-type]


GOOD = encode_cursor(Key(1_700_000_000_000_000, "at://did:plc:abc/com.example.a/b"), BINDING)


def _raw(version: int = 2, binding: bytes = BINDING, rest: bytes = b"\0" * 16 + b"at://x") -> str:
    return base64.urlsafe_b64encode(bytes((version,)) + binding + rest).decode().rstrip("=")


@pytest.mark.parametrize(
    "text",
    ["", "0", "a", "AAAA", "é", GOOD + "=", GOOD + "\n", GOOD[:-1], GOOD[1:], " " + GOOD, "A" * 20_000, GOOD.replace("_", "/") + "/", _raw(version=0), _raw(version=1), _raw(version=3), _raw(rest=b""), _raw(rest=b"\0" * 16), _raw(rest=b"\x40" + b"\0" * 6 + b"\1" + b"\0" * 8 + b"at://x"), _raw(rest=b"\0" * 16 + b"http://x"), _raw(rest=b"\0" * 16 + b"at://\0"), _raw(rest=b"\0" * 16 + b"at://\xff"), "1700000000000::bafyreic"],
)  # fmt: skip
def test_what_is_no_cursor_of_ours_is_refused(text: str) -> None:
    with pytest.raises(MalformedCursor) as refused:
        decode_cursor(text, BINDING)
    assert (refused.value.status, refused.value.error, refused.value.message) == (400, "InvalidRequest", "Malformed cursor")  # fmt: skip


def test_the_shape_by_hand_is_the_shape_by_the_encoder() -> None:
    assert decode_cursor(_raw(), BINDING) == Key(0, "at://x")
