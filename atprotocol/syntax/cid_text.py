"""Content identifiers as lexicon strings (`"format": "cid"`).

Looser than `atprotocol.cid`: any multibase, version 1 or later, and neither codec nor hash is looked
at, because such a string may come from anywhere. It is no link. What we compute or fetch by goes
through `atprotocol.cid.parse_cid`. Source: https://atproto.com/specs/lexicon#cid
"""

import re
from typing import NewType

from atprotocol.errors import InvalidSyntax
from atprotocol.syntax.excerpt import excerpt

CidText = NewType("CidText", str)

_CID = re.compile(r"(?!Qm)[a-zA-Z0-9+=]{8,256}")


def parse_cid_text(text: str) -> CidText:
    """Return the text of a CID.

    Raises InvalidSyntax when it cannot be one, or is of version 0 (`Qm…`).
    """
    if _CID.fullmatch(text) is None:
        raise InvalidSyntax(f"not a CID (8 to 256 characters of a multibase, version 1): {excerpt(text)}")
    return CidText(text)
