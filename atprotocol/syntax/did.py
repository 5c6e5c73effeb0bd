"""Decentralized identifiers: `did:<method>:<identifier>`.

Syntax only: any method is accepted, whether or not the network resolves it, and nothing is
normalised, because DIDs are compared byte by byte. Source: https://atproto.com/specs/did
"""

import re
from typing import NewType

from atprotocol.errors import InvalidSyntax
from atprotocol.syntax.excerpt import excerpt

DID = NewType("DID", str)

MAX_LENGTH = 2048
_DID = re.compile(r"did:[a-z]+:[a-zA-Z0-9._:%-]*[a-zA-Z0-9._-]")


def parse_did(text: str) -> DID:
    """Return the DID that a text is.

    Raises InvalidSyntax unless it is one of at most 2048 characters.
    """
    if len(text) > MAX_LENGTH:
        raise InvalidSyntax(f"a DID is at most {MAX_LENGTH} characters long: {excerpt(text)}")
    if _DID.fullmatch(text) is None:
        raise InvalidSyntax(f"not a DID (did:method:identifier): {excerpt(text)}")
    return DID(text)


def did_method(did: DID) -> str:
    """Return the method of a DID: `plc`, `web`, …"""
    return did[4 : did.index(":", 4)]
