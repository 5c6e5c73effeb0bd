"""Lexicon datetimes: what RFC 3339 and ISO 8601 have in common, with a time zone always.

The text is kept, because records are signed over it; beside it stands the instant that it means, in
UTC, cut to microseconds and held within the years 1 to 9999. Year 0 and leap seconds are legal; a time
before year 0, `-00:00` and a local time without zone are not.
Source: https://atproto.com/specs/lexicon#datetime
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from atprotocol.errors import InvalidSyntax
from atprotocol.syntax.excerpt import excerpt

MAX_LENGTH = 64
EARLIEST = datetime.min.replace(tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)
_DATETIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:Z|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))"
)
_CYCLE = 400  # The Gregorian calendar repeats after so many years, leap days included.
_LEAP_SECOND = 60


@dataclass(frozen=True, slots=True)
class Datetime:
    """A datetime as it was written, and the UTC instant to sort it by."""

    text: str
    instant: datetime

    def __str__(self) -> str:
        """Return the text as it was written."""
        return self.text


def parse_datetime(text: str) -> Datetime:
    """Return the datetime that a text is.

    Raises InvalidSyntax for any other form, for a day or time that does not exist, and for a time
    before year 0.
    """
    match = _DATETIME.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if match is None:
        raise InvalidSyntax(f"not a datetime (like 1985-04-12T23:20:50.123Z): {excerpt(text)}")
    if text.endswith("-00:00"):
        raise InvalidSyntax(f"a datetime whose zone is unknown (-00:00): {excerpt(text)}")
    year = int(match[1])
    # At the ends of the calendar the sum is made one cycle inwards, where Python's type can hold it.
    shift = _CYCLE if year <= 1 else -_CYCLE if year == LATEST.year else 0
    second = int(match[6])
    fraction = match[7]
    try:
        local = datetime(
            year + shift,
            int(match[2]),
            int(match[3]),
            int(match[4]),
            int(match[5]),
            second - 1 if second == _LEAP_SECOND else second,
            int(fraction[:6].ljust(6, "0")) if fraction else 0,
            tzinfo=UTC,
        )
    except ValueError as error:
        raise InvalidSyntax(f"a datetime that does not exist, {error}: {excerpt(text)}") from error
    if second == _LEAP_SECOND:
        local += timedelta(seconds=1)
    if match[8]:
        offset = timedelta(hours=int(match[9]), minutes=int(match[10]))
        local += -offset if match[8] == "+" else offset
    year_in_utc = local.year - shift
    if year_in_utc < 0:
        raise InvalidSyntax(f"a datetime before year 0: {excerpt(text)}")
    if year_in_utc < EARLIEST.year:
        return Datetime(text, EARLIEST)
    if year_in_utc > LATEST.year:
        return Datetime(text, LATEST)
    return Datetime(text, local.replace(year=year_in_utc) if shift else local)
