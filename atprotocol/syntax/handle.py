"""Handles: domain names that name accounts.

Syntax only: whether a handle resolves to the account that claims it is a matter of the network.
Handles are compared in lower case; parsing keeps the case that was written.
Source: https://atproto.com/specs/handle
"""

import re
from typing import NewType

from atprotocol.errors import InvalidSyntax
from atprotocol.syntax.excerpt import excerpt

Handle = NewType("Handle", str)

MAX_LENGTH = 253
INVALID_HANDLE = Handle("handle.invalid")
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_HANDLE = re.compile(rf"(?:{_LABEL}\.)+[a-zA-Z](?:[a-zA-Z0-9-]{{0,61}}[a-zA-Z0-9])?")
_RESERVED_TOP_LEVELS = frozenset(("alt", "arpa", "example", "internal", "invalid", "local", "localhost", "onion"))


def parse_handle(text: str) -> Handle:
    """Return the handle that a text is, in the case in which it was written.

    Raises InvalidSyntax unless it is a domain name of two labels or more, at most 253 characters
    long, whose last label begins with a letter.
    """
    if len(text) > MAX_LENGTH:
        raise InvalidSyntax(f"a handle is at most {MAX_LENGTH} characters long: {excerpt(text)}")
    if _HANDLE.fullmatch(text) is None:
        raise InvalidSyntax(f"not a handle (a domain name): {excerpt(text)}")
    return Handle(text)


def normalize_handle(handle: Handle) -> Handle:
    """Return the lower-case form, the one in which handles are compared and stored."""
    return Handle(handle.lower())


def is_reserved_handle(handle: Handle, *, allow_test: bool = False) -> bool:
    """Tell whether a handle lies under a top-level domain that no account of the network can own.

    `.test` is reserved too, unless the caller says that this is a development network.
    """
    top_level = handle.rpartition(".")[2].lower()
    if top_level == "test":
        return not allow_test
    return top_level in _RESERVED_TOP_LEVELS
