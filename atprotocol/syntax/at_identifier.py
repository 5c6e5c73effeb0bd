"""Account identifiers: a DID or a handle, whichever the caller had at hand.

Nothing is resolved here. Source: https://atproto.com/specs/lexicon#at-identifier
"""

from typing import TypeAlias, TypeGuard

from atprotocol.syntax.did import DID, parse_did
from atprotocol.syntax.handle import Handle, parse_handle

AtIdentifier: TypeAlias = DID | Handle


def parse_at_identifier(text: str) -> AtIdentifier:
    """Return the DID or the handle that a text is.

    Raises InvalidSyntax when it is neither; a text that begins with `did:` is judged as a DID.
    """
    return parse_did(text) if text.startswith("did:") else parse_handle(text)


def is_did(identifier: AtIdentifier) -> TypeGuard[DID]:
    """Tell whether a parsed identifier is a DID: no handle contains a colon."""
    return identifier.startswith("did:")
