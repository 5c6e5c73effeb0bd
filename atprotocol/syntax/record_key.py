"""Record keys: the last part of a record's path.

Any key that the network allows; which kind of key a collection wants is said by its lexicon.
Source: https://atproto.com/specs/record-key
"""

import re
from typing import NewType

from atprotocol.errors import InvalidSyntax
from atprotocol.syntax.excerpt import excerpt

RecordKey = NewType("RecordKey", str)

_RECORD_KEY = re.compile(r"[a-zA-Z0-9_~.:-]{1,512}")


def parse_record_key(text: str) -> RecordKey:
    """Return the record key that a text is.

    Raises InvalidSyntax unless it is 1 to 512 of the allowed characters, and neither `.` nor `..`.
    """
    if _RECORD_KEY.fullmatch(text) is None or text in (".", ".."):
        raise InvalidSyntax(f"not a record key (1 to 512 of A-Z a-z 0-9 _ ~ . : -): {excerpt(text)}")
    return RecordKey(text)
