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

_VERSION = 2
_HEAD = struct.Struct(">B8sqq")
_REST_VERSION = 3
_REST_HEAD = struct.Struct(">B8sB")
_NUMBER = struct.Struct(">Q")
_SCHEME = "at://"
_MAX_LENGTH = 12_000
# Far beyond every real key, and far enough from the ends of bigint for SQL to reckon with it.
_MAX_NUMBER = 1 << 62
_PAGING = frozenset(("limit", "cursor"))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Key:
    """A place in an order: a number (microseconds since 1970, milliseconds, a position) and, for ties, a URI.

    `as_of` are the microseconds since 1970 of an order that is kept as it was then; 0 for any other.
    """

    number: int
    uri: str
    as_of: int = 0

    @property
    def instant(self) -> datetime:
        """Return the number as the instant that it stands for.

        Raises MalformedCursor when no calendar has it.
        """
        return _instant(self.number)

    @property
    def as_of_instant(self) -> datetime:
        """Return when the order was made. Raises MalformedCursor when no calendar has it."""
        return _instant(self.as_of)

    def at(self, as_of: datetime) -> "Key":
        """Return the same place in an order that was made at an instant."""
        return Key(self.number, self.uri, (as_of - _EPOCH) // _MICROSECOND)


@dataclass(frozen=True, slots=True)
class Rest:
    """What is left of an order that was made for one asker: the numbers of its items, and one bit about it."""

    uri_ids: tuple[int, ...]
    flag: bool


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


def _instant(microseconds: int) -> datetime:
    try:
        return _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError as error:
        raise MalformedCursor from error


def binding_of(nsid: str, parameters: Mapping[str, Value]) -> bytes:
    """Return 8 bytes that stand for a method and its filters: every parameter that is not about paging."""
    filters = {name: value for name, value in parameters.items() if name not in _PAGING}
    question = orjson.dumps([nsid, filters], option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(question, digest_size=8).digest()


def encode_cursor(key: Key, binding: bytes) -> str:
    """Return the cursor that goes on after a key."""
    return _text(_HEAD.pack(_VERSION, binding, key.number, key.as_of) + key.uri.encode())


def decode_cursor(text: str, binding: bytes) -> Key:
    """Return the key that a cursor goes on after.

    Raises MalformedCursor.
    """
    content = _content(text)
    try:
        _, _, number, as_of = _HEAD.unpack_from(content)
        uri = content[_HEAD.size :].decode()
    except (struct.error, UnicodeDecodeError) as error:
        raise MalformedCursor from error
    # Postgres refuses U+0000 in text, and no URI has it.
    if not uri.startswith(_SCHEME) or "\0" in uri or abs(number) > _MAX_NUMBER:
        raise MalformedCursor
    key = Key(number, uri, as_of)
    # Version, binding and spelling at once: there is one cursor for a key and a question.
    if encode_cursor(key, binding) != text:
        raise MalformedCursor
    return key


def encode_rest(rest: Rest, binding: bytes) -> str:
    """Return the cursor that goes on with the rest of an order."""
    numbers = b"".join(_NUMBER.pack(uri_id) for uri_id in rest.uri_ids)
    return _text(_REST_HEAD.pack(_REST_VERSION, binding, rest.flag) + numbers)


def decode_rest(text: str, binding: bytes) -> Rest:
    """Return the rest that a cursor goes on with.

    Raises MalformedCursor.
    """
    content = _content(text)
    try:
        _, _, flag = _REST_HEAD.unpack_from(content)
        numbers = tuple(number for (number,) in _NUMBER.iter_unpack(content[_REST_HEAD.size :]))
    except struct.error as error:
        raise MalformedCursor from error
    rest = Rest(numbers, bool(flag))
    if any(number > _MAX_NUMBER for number in numbers) or encode_rest(rest, binding) != text:
        raise MalformedCursor
    return rest


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode("ascii").rstrip("=")


def _content(text: str) -> bytes:
    if len(text) > _MAX_LENGTH or not text.isascii():
        raise MalformedCursor
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise MalformedCursor from error
