"""Cursors: where a page ended, opaque to clients.

A cursor is bound to its method and filters: used with any other it is refused, like one that is malformed or of
another version, always with the same words. It holds the sort key of the last item, so pages neither lose nor
repeat what was there throughout. It is no secret and proves nothing: a forged one only chooses where to begin.
"""

import base64
import binascii
import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson

from appview.xrpc.errors import InvalidRequest
from atprotocol.data_model import Value

_VERSION = 1
_HEAD = struct.Struct(">B8sq")
_SCHEME = "at://"
_MAX_LENGTH = 12_000
# Far beyond every real key, and far enough from the ends of bigint for SQL to reckon with it.
_MAX_NUMBER = 1 << 62
_PAGING = frozenset(("limit", "cursor"))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Key:
    """A place in an order: a number (microseconds since 1970, milliseconds, a position) and, for ties, a URI."""

    number: int
    uri: str

    @property
    def instant(self) -> datetime:
        """Return the number as the instant that it stands for.

        Raises MalformedCursor when no calendar has it.
        """
        try:
            return _EPOCH + timedelta(microseconds=self.number)
        except OverflowError as error:
            raise MalformedCursor from error


class MalformedCursor(InvalidRequest):
    """The cursor is none of ours, or belongs to another question."""

    def __init__(self) -> None:
        """Say no more than that."""
        super().__init__("Malformed cursor")


def key_at(instant: datetime, uri: str) -> Key:
    """Return the key of an instant, exact to the microsecond.

    The database driver gives the ends of the calendar without a zone; they are in UTC like all others.
    """
    return Key((instant.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND, uri)


def binding_of(nsid: str, parameters: Mapping[str, Value]) -> bytes:
    """Return 8 bytes that stand for a method and its filters: every parameter that is not about paging."""
    filters = {name: value for name, value in parameters.items() if name not in _PAGING}
    question = orjson.dumps([nsid, filters], option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(question, digest_size=8).digest()


def encode_cursor(key: Key, binding: bytes) -> str:
    """Return the cursor that goes on after a key."""
    content = _HEAD.pack(_VERSION, binding, key.number) + key.uri.encode()
    return base64.urlsafe_b64encode(content).decode("ascii").rstrip("=")


def decode_cursor(text: str, binding: bytes) -> Key:
    """Return the key that a cursor goes on after.

    Raises MalformedCursor.
    """
    if len(text) > _MAX_LENGTH or not text.isascii():
        raise MalformedCursor
    try:
        content = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        _, _, number = _HEAD.unpack_from(content)
        uri = content[_HEAD.size :].decode()
    except (binascii.Error, struct.error, UnicodeDecodeError) as error:
        raise MalformedCursor from error
    # Postgres refuses U+0000 in text, and no URI has it.
    if not uri.startswith(_SCHEME) or "\0" in uri or abs(number) > _MAX_NUMBER:
        raise MalformedCursor
    key = Key(number, uri)
    # Version, binding and spelling at once: there is one cursor for a key and a question.
    if encode_cursor(key, binding) != text:
        raise MalformedCursor
    return key
