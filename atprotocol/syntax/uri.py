"""URIs of any scheme.

A scheme, a colon and something visible, at most 8192 bytes: no more is promised. Whoever fetches one
judges scheme, host and address anew. Source: https://atproto.com/specs/lexicon#uri
"""

import re
from collections.abc import Collection
from typing import NewType

from atprotocol.errors import InvalidSyntax
from atprotocol.syntax.excerpt import excerpt

Uri = NewType("Uri", str)

MAX_BYTES = 8192
# An entry of a database index is a fraction of a page.
MAX_INDEXED_LENGTH = 2000
_URI = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]{0,80}:[^\s\x00-\x1f\x7f]+")


def parse_uri(text: str) -> Uri:
    """Return the URI that a text is.

    Raises InvalidSyntax when scheme or content is missing, or it holds white space or is too long.
    """
    if len(text) > MAX_BYTES or (not text.isascii() and len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES):
        raise InvalidSyntax(f"a URI is at most {MAX_BYTES} bytes long: {excerpt(text)}")
    if _URI.fullmatch(text) is None:
        raise InvalidSyntax(f"not a URI (scheme:something, without white space): {excerpt(text)}")
    return Uri(text)


def is_at_origin(url: str | None, origins: Collection[str]) -> bool:
    """Tell whether a URL begins with one of these origins (`https://audio.example.com`) and goes on as a URL does.

    Compared as it is written, without parsing: what two parsers read differently is at no origin. A URL that an index
    could not hold, or that has a sign outside printable ASCII, is at none either.
    """
    if url is None or len(url) > MAX_INDEXED_LENGTH or not url.isascii() or not url.isprintable() or " " in url:
        return False
    return any(url == origin or (url.startswith(origin) and url[len(origin)] in "/?#") for origin in origins)
