"""Which labels of a configured labeler are kept, and which of two about one thing holds.

Pure. Labelers of the whole network say most about what we never show. Of two labels the later holds, in whatever order
they come: the order is total, so that any replay ends with the same rows.
"""

from collections.abc import Set
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from atprotocol.labels import Label

# What an index of Postgres takes, less what the rest of the row's key needs.
KEY_BYTES_LIMIT: Final = 2000
_NEVER: Final = datetime.max.replace(tzinfo=UTC)

Key = tuple[str, str, bytes]  # (uri, val, cid), of one source
Precedence = tuple[datetime, bool, datetime, bool, str]


class Refusal(StrEnum):
    """Why a label, or a message with labels, was not taken."""

    UNREADABLE = "unreadable-message"
    MALFORMED = "malformed"
    OTHER_SOURCE = "other-source"
    OUT_OF_SCOPE = "out-of-scope"
    BAD_SIGNATURE = "bad-signature"


def is_kept(label: Label, collections: Set[str]) -> bool:
    """Tell whether a label is about an account, or about a record of one of these collections."""
    if len(label.uri) + len(label.src) > KEY_BYTES_LIMIT:
        return False
    if label.uri.startswith("did:"):
        return True
    authority, _, path = label.uri.removeprefix("at://").partition("/")
    collection, _, record_key = path.partition("/")
    return authority.startswith("did:") and collection in collections and record_key != ""


def key_of(label: Label) -> Key:
    """Return what a label is about; of one source there is one statement about each."""
    return label.uri, label.val, b"" if label.cid is None else label.cid.raw


def precedence(label: Label) -> Precedence:
    """Return what the labels of one key are compared by: the highest holds. `indexer.label_rows` says the same in SQL.

    What was made at one instant was first said and then taken back; what is left after that is an order and no reason.
    """
    expires_at = label.expires_at
    return label.instant, label.negated, expires_at or _NEVER, expires_at is None, label.created_at
