"""Datetime syntax, against the protocol's fixtures and our own edges."""

from datetime import UTC, datetime

import pytest
from interop import interop_lines

from atprotocol.errors import InvalidSyntax
from atprotocol.syntax.datetime import EARLIEST, LATEST, parse_datetime


@pytest.mark.parametrize("text", interop_lines("syntax/datetime_syntax_valid.txt"))
def test_a_valid_datetime_is_parsed(text: str) -> None:
    assert str(parse_datetime(text)) == text


@pytest.mark.parametrize("text", interop_lines("syntax/datetime_syntax_invalid.txt"))
def test_an_invalid_datetime_is_refused(text: str) -> None:
    with pytest.raises(InvalidSyntax):
        parse_datetime(text)


@pytest.mark.parametrize("text", interop_lines("syntax/datetime_parse_invalid.txt"))
def test_a_well_formed_datetime_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(InvalidSyntax):
        parse_datetime(text)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("1985-04-12T23:20:50.123Z", datetime(1985, 4, 12, 23, 20, 50, 123000, tzinfo=UTC)),
        ("1985-04-12T23:20:50.1235678912345Z", datetime(1985, 4, 12, 23, 20, 50, 123567, tzinfo=UTC)),
        ("1985-04-12T23:20:50+01:45", datetime(1985, 4, 12, 21, 35, 50, tzinfo=UTC)),
        ("1985-04-12T23:20:50-07:00", datetime(1985, 4, 13, 6, 20, 50, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("0000-01-01T00:00:00.000Z", EARLIEST),
        ("0000-02-29T12:00:00Z", EARLIEST),
        ("0000-12-31T23:30:00-01:00", datetime(1, 1, 1, 0, 30, tzinfo=UTC)),
        ("0001-01-01T00:00:00+05:00", EARLIEST),
        ("0001-01-02T00:00:00Z", datetime(1, 1, 2, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("9999-12-31T23:59:60Z", LATEST),
        ("9999-12-31T23:59:59-01:00", LATEST),
    ],
)
def test_the_text_is_kept_beside_the_instant_in_utc(text: str, instant: datetime) -> None:
    parsed = parse_datetime(text)
    assert (parsed.text, parsed.instant) == (text, instant)


@pytest.mark.parametrize(
    "text",
    [
        "2023-02-29T00:00:00Z",
        "2023-01-01T24:00:00Z",
        "2023-01-01T00:00:00+24:00",
        "2023-01-01T00:00:00Z\n",
        "٢٠٢٣-01-01T00:00:00Z",
    ],
)
def test_days_hours_and_digits_that_do_not_exist_are_refused(text: str) -> None:
    with pytest.raises(InvalidSyntax):
        parse_datetime(text)
