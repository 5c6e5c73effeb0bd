"""Which record keys a collection allows.

`tid`, `nsid`, `any`, or one literal such as `literal:self`. Source: https://atproto.com/specs/record-key
"""

from collections.abc import Callable

from atprotocol.errors import InvalidSyntax
from atprotocol.lexicon.problems import Problem
from atprotocol.syntax.excerpt import excerpt
from atprotocol.syntax.nsid import parse_nsid
from atprotocol.syntax.record_key import parse_record_key
from atprotocol.syntax.tid import parse_tid

_PARSERS: dict[str, Callable[[str], object]] = {"tid": parse_tid, "nsid": parse_nsid, "any": parse_record_key}


def check_record_key_of_type(key_type: str, record_key: str) -> Problem | None:
    """Return what is wrong with a record key of a collection whose lexicon says `key_type`, or None."""
    if key_type.startswith("literal:"):
        literal = key_type.removeprefix("literal:")
        if record_key == literal:
            return None
        return Problem("", "recordKey", f"the record key must be {literal!r}, is {excerpt(record_key)}")
    try:
        parse_record_key(record_key)
        _PARSERS[key_type](record_key)
    except InvalidSyntax as error:
        return Problem("", "recordKey", f"the record key must be of type {key_type}: {error}")
    return None
