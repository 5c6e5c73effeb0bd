"""TID syntax, against the protocol's fixtures and our own edges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from interop import interop_lines

from atprotocol.errors import InvalidSyntax
from atprotocol.syntax.tid import parse_tid, tid_clock_id, tid_from_timestamp_us, tid_timestamp_us


@pytest.mark.parametrize("text", interop_lines("syntax/tid_syntax_valid.txt"))
def test_a_valid_tid_is_parsed(text: str) -> None:
    assert str(parse_tid(text)) == text


@pytest.mark.parametrize("text", interop_lines("syntax/tid_syntax_invalid.txt"))
def test_an_invalid_tid_is_refused(text: str) -> None:
    with pytest.raises(InvalidSyntax):
        parse_tid(text)


def test_a_tid_holds_its_microseconds_and_clock_number() -> None:
    tid = parse_tid("3jzfcijpj2z2a")
    assert tid_from_timestamp_us(tid_timestamp_us(tid), tid_clock_id(tid)) == tid


@given(st.integers(0, 2**53 - 1), st.integers(0, 1023))
def test_every_time_and_clock_number_survive_the_round_trip(timestamp_us: int, clock_id: int) -> None:
    tid = parse_tid(tid_from_timestamp_us(timestamp_us, clock_id))
    assert (tid_timestamp_us(tid), tid_clock_id(tid)) == (timestamp_us, clock_id)


@given(st.integers(0, 2**53 - 2))
def test_text_order_is_time_order(timestamp_us: int) -> None:
    assert tid_from_timestamp_us(timestamp_us, 1023) < tid_from_timestamp_us(timestamp_us + 1, 0)


@pytest.mark.parametrize(("timestamp_us", "clock_id"), [(-1, 0), (2**53, 0), (0, -1), (0, 1024)])
def test_times_and_clock_numbers_out_of_range_are_the_callers_fault(timestamp_us: int, clock_id: int) -> None:
    with pytest.raises(ValueError):
        tid_from_timestamp_us(timestamp_us, clock_id)
