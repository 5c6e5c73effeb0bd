"""Timestamp identifiers: 13 sortable characters that hold microseconds and a clock number.

Text order is time order, for keys as for revisions. The time inside is a claim of whoever made it.
No clock is read here: the caller brings the time. Source: https://atproto.com/specs/tid
"""

import re
from typing import NewType

from atprotocol.errors import InvalidSyntax
from atprotocol.syntax.excerpt import excerpt

TID = NewType("TID", str)

_ALPHABET = "234567abcdefghijklmnopqrstuvwxyz"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_TID = re.compile(r"[2-7a-j][2-7a-z]{12}")
_LENGTH = 13
_CLOCK_BITS = 10
_TIMESTAMP_LIMIT = 1 << 53


def parse_tid(text: str) -> TID:
    """Return the TID that a text is.

    Raises InvalidSyntax unless it is 13 characters of the sortable base32 alphabet, the first in its
    lower half.
    """
    if _TID.fullmatch(text) is None:
        raise InvalidSyntax(f"not a TID (13 characters of sortable base32): {excerpt(text)}")
    return TID(text)


def tid_timestamp_us(tid: TID) -> int:
    """Return the microseconds since 1970 that a TID claims."""
    return _number(tid) >> _CLOCK_BITS


def tid_clock_id(tid: TID) -> int:
    """Return the clock number of a TID, 0 to 1023."""
    return _number(tid) & ((1 << _CLOCK_BITS) - 1)


def tid_from_timestamp_us(timestamp_us: int, clock_id: int) -> TID:
    """Return the TID of a time in microseconds since 1970 and a clock number of 0 to 1023.

    Raises ValueError when either is out of its range, which is the caller's fault.
    """
    if not 0 <= timestamp_us < _TIMESTAMP_LIMIT:
        raise ValueError(f"a TID holds 53 bits of microseconds: {timestamp_us}")
    if not 0 <= clock_id < 1 << _CLOCK_BITS:
        raise ValueError(f"a TID holds {_CLOCK_BITS} bits of clock number: {clock_id}")
    number = timestamp_us << _CLOCK_BITS | clock_id
    return TID("".join(_ALPHABET[number >> 5 * place & 31] for place in reversed(range(_LENGTH))))


def _number(tid: TID) -> int:
    number = 0
    for character in tid:
        number = number << 5 | _VALUES[character]
    return number
