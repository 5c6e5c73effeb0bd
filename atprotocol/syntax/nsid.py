"""Namespaced identifiers: reversed domain authority and a name, as in `com.example.fooBar`.

The authority is a domain name and means the same in any case; the name is case-sensitive. Parsing
keeps what was written, `normalize_nsid` lower-cases the authority. Source: https://atproto.com/specs/nsid
"""

import re
from typing import NewType

from atprotocol.errors import InvalidSyntax
from atprotocol.syntax.excerpt import excerpt

Nsid = NewType("Nsid", str)

MAX_LENGTH = 317
_NSID = re.compile(
    r"[a-zA-Z](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
    r"(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)+"
    r"\.[a-zA-Z][a-zA-Z0-9]{0,62}"
)


def parse_nsid(text: str) -> Nsid:
    """Return the NSID that a text is.

    Raises InvalidSyntax unless it has three segments or more, none over 63 characters, a name of
    letters and digits that begins with a letter, and at most 317 characters in all.
    """
    if len(text) > MAX_LENGTH:
        raise InvalidSyntax(f"an NSID is at most {MAX_LENGTH} characters long: {excerpt(text)}")
    if _NSID.fullmatch(text) is None:
        raise InvalidSyntax(f"not an NSID (reversed domain and name): {excerpt(text)}")
    return Nsid(text)


def nsid_authority(nsid: Nsid) -> str:
    """Return the domain that controls an NSID, in domain order and lower case: `example.com`."""
    return ".".join(reversed(nsid.lower().split(".")[:-1]))


def nsid_name(nsid: Nsid) -> str:
    """Return the last segment, the name: `fooBar`."""
    return nsid.rpartition(".")[2]


def normalize_nsid(nsid: Nsid) -> Nsid:
    """Return the NSID with its authority in lower case and its name as it was."""
    authority, _, name = nsid.rpartition(".")
    return Nsid(f"{authority.lower()}.{name}")
