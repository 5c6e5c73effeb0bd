"""AT URIs: `at://authority[/collection[/record key]]`, in the restricted form that lexicons use.

No fragment, query or trailing slash. The authority may be a handle; nothing is resolved or normalised.
Source: https://atproto.com/specs/at-uri-scheme
"""

from dataclasses import dataclass

from atprotocol.errors import InvalidSyntax
from atprotocol.syntax.at_identifier import AtIdentifier, parse_at_identifier
from atprotocol.syntax.excerpt import excerpt
from atprotocol.syntax.nsid import Nsid, parse_nsid
from atprotocol.syntax.record_key import RecordKey, parse_record_key

MAX_LENGTH = 8192
_SCHEME = "at://"
_MAX_SEGMENTS = 3


@dataclass(frozen=True, slots=True)
class AtUri:
    """An account, a collection of it, or a record of that; a record key comes only with a collection."""

    authority: AtIdentifier
    collection: Nsid | None = None
    record_key: RecordKey | None = None

    def __str__(self) -> str:
        """Return the URI as text."""
        if self.collection is None:
            return f"at://{self.authority}"
        if self.record_key is None:
            return f"at://{self.authority}/{self.collection}"
        return f"at://{self.authority}/{self.collection}/{self.record_key}"


def parse_at_uri(text: str) -> AtUri:
    """Return the parts of an AT URI.

    Raises InvalidSyntax when the scheme, a part or the length (8192 characters) is wrong.
    """
    if len(text) > MAX_LENGTH:
        raise InvalidSyntax(f"an AT URI is at most {MAX_LENGTH} characters long: {excerpt(text)}")
    if not text.startswith(_SCHEME):
        raise InvalidSyntax(f"an AT URI begins with at://: {excerpt(text)}")
    segments = text[len(_SCHEME) :].split("/")
    if len(segments) > _MAX_SEGMENTS:
        raise InvalidSyntax(f"an AT URI is an authority, a collection and a record key at most: {excerpt(text)}")
    try:
        authority = parse_at_identifier(segments[0])
        collection = parse_nsid(segments[1]) if len(segments) > 1 else None
        record_key = parse_record_key(segments[2]) if len(segments) == _MAX_SEGMENTS else None
    except InvalidSyntax as error:
        raise InvalidSyntax(f"not an AT URI: {excerpt(text)}: {error}") from error
    return AtUri(authority, collection, record_key)
