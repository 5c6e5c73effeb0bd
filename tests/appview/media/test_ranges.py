"""Which bytes are asked for: every form of the headers, and laws that hold for any."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appview.media.ranges import (
    NotModified,
    Part,
    PreconditionFailed,
    Unsatisfiable,
    Whole,
    asked_for,
    parse_range,
)

SIZE = 1000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bytes=0-0", Part(0, 1)),
        ("bytes=0-1", Part(0, 2)),
        ("bytes=0-999", Part(0, 1000)),
        ("bytes=0-1000", Part(0, 1000)),
        ("bytes=500-", Part(500, 1000)),
        ("bytes=999-", Part(999, 1000)),
        ("bytes=-1", Part(999, 1000)),
        ("bytes=-1000", Part(0, 1000)),
        ("bytes=-5000", Part(0, 1000)),
        ("Bytes=1-2", Part(1, 3)),
        ("bytes= 1-2 ", Part(1, 3)),
        ("bytes=001-002", Part(1, 3)),
        ("bytes=1000-", Unsatisfiable()),
        ("bytes=1000-2000", Unsatisfiable()),
        ("bytes=999999999999999999-", Unsatisfiable()),
        ("bytes=-0", Unsatisfiable()),
        ("bytes=2-1", Whole()),
        ("bytes=", Whole()),
        ("bytes=-", Whole()),
        ("bytes=a-b", Whole()),
        ("bytes=1-2,4-5", Whole()),
        ("bytes=1-2, 4-5", Whole()),
        ("bytes=,1-2", Whole()),
        ("bytes=1 - 2", Whole()),
        ("bytes=+1-2", Whole()),
        ("bytes=1.0-2", Whole()),
        ("bytes=0x1-2", Whole()),
        ("bytes=١-٢", Whole()),
        ("bytes:1-2", Whole()),
        ("bytes 1-2", Whole()),
        ("items=0-1", Whole()),
        ("", Whole()),
        ("bytes=" + "1" * 19 + "-", Whole()),
        ("bytes=" + "0-1," * 5000, Whole()),
    ],
)
def test_a_range_is_read_as_the_standard_says(text: str, expected: object) -> None:
    assert parse_range(text, SIZE) == expected


@pytest.mark.parametrize("text", ["bytes=0-", "bytes=0-0", "bytes=-1", "bytes=-5"])
def test_an_empty_file_has_no_byte_to_ask_for(text: str) -> None:
    assert parse_range(text, 0) == Unsatisfiable()


@given(st.integers(1, 5000), st.integers(0, 6000), st.integers(0, 6000))
def test_a_part_is_what_slicing_gives(size: int, first: int, length: int) -> None:
    content = bytes(index % 251 for index in range(size))
    found = parse_range(f"bytes={first}-{first + length}", size)
    if first >= size:
        assert found == Unsatisfiable()
    else:
        assert isinstance(found, Part)
        assert content[found.start : found.end] == content[first : first + length + 1]
    last = parse_range(f"bytes=-{length}", size)
    if length:
        assert isinstance(last, Part)
        assert content[last.start : last.end] == content[-length:]
    else:
        assert last == Unsatisfiable()


@given(st.text(max_size=40), st.integers(0, 3000))
def test_whatever_is_sent_the_bounds_lie_in_the_file(text: str, size: int) -> None:
    for header in (text, f"bytes={text}"):
        found = parse_range(header, size)
        if isinstance(found, Part):
            assert 0 <= found.start < found.end <= size


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, Whole()),
        ({"range": "bytes=1-2"}, Part(1, 3)),
        ({"range": "bytes=1-2", "if-range": '"tag"'}, Part(1, 3)),
        ({"range": "bytes=1-2", "if-range": ' "tag" '}, Part(1, 3)),
        ({"range": "bytes=1-2", "if-range": '"other"'}, Whole()),
        ({"range": "bytes=1-2", "if-range": 'W/"tag"'}, Whole()),
        ({"range": "bytes=1-2", "if-range": "tag"}, Whole()),
        ({"range": "bytes=1-2", "if-range": "Wed, 21 Oct 2026 07:28:00 GMT"}, Whole()),
        ({"range": "bytes=1-2", "if-range": '"tag", "tag"'}, Whole()),
        ({"range": "bytes=9999-", "if-range": '"other"'}, Whole()),
        ({"range": "bytes=9999-", "if-range": '"tag"'}, Unsatisfiable()),
        ({"if-range": '"tag"'}, Whole()),
        ({"if-none-match": '"tag"'}, NotModified()),
        ({"if-none-match": 'W/"tag"'}, NotModified()),
        ({"if-none-match": "*"}, NotModified()),
        ({"if-none-match": '"other", "tag"'}, NotModified()),
        ({"if-none-match": '"other"'}, Whole()),
        ({"if-none-match": "tag"}, Whole()),
        ({"if-none-match": '"tag'}, Whole()),
        ({"if-none-match": ""}, Whole()),
        ({"if-none-match": '"tag"', "range": "bytes=1-2"}, NotModified()),
        ({"if-none-match": '"tag"', "range": "bytes=9999-"}, NotModified()),
        ({"if-none-match": '"other"', "range": "bytes=1-2"}, Part(1, 3)),
        ({"if-match": '"tag"'}, Whole()),
        ({"if-match": "*"}, Whole()),
        ({"if-match": '"other"'}, PreconditionFailed()),
        ({"if-match": 'W/"tag"'}, PreconditionFailed()),
        ({"if-match": '"other", "tag"', "range": "bytes=1-2"}, Part(1, 3)),
        ({"if-match": '"other"', "if-none-match": '"tag"'}, PreconditionFailed()),
        ({"if-match": '"tag"', "if-none-match": '"tag"'}, NotModified()),
        ({"if-modified-since": "Wed, 21 Oct 2099 07:28:00 GMT"}, Whole()),
    ],
)
def test_preconditions_come_before_ranges(headers: dict[str, str], expected: object) -> None:
    assert asked_for(headers, size_bytes=SIZE, etag="tag", is_get=True) == expected


@pytest.mark.parametrize("header", ["bytes=1-2", "bytes=9999-"])
def test_only_get_has_ranges(header: str) -> None:
    assert asked_for({"range": header}, size_bytes=SIZE, etag="tag", is_get=False) == Whole()
