"""Strict DAG-CBOR for records: bytes to data-model values and back.

Accepts only the one canonical form: minimal integers, definite lengths, sorted unique text keys, tag 42
for links, no floats, nothing left over. A link decodes to a CID, never to bytes. Pure Python and slow
(10 µs a record), which is right for the few records that are ours; frames, commits and tree nodes go
through libipld elsewhere. Source: https://atproto.com/specs/data-model, limits from
https://atproto.com/guides/data-validation
"""

from atprotocol.cid import CID, CID_LENGTH, cid_from_bytes
from atprotocol.data_model import INTEGER_LIMIT, Value
from atprotocol.errors import EncodingError

RECORD_BYTES_LIMIT = 1_000_000
DEPTH_LIMIT = 32
KEY_BYTES_LIMIT = 8192
ITEM_LIMIT = 131_072
_LINK_TAG = 42


def decode(content: bytes, *, size_limit: int = RECORD_BYTES_LIMIT) -> Value:
    """Return the value that these DAG-CBOR bytes encode.

    Raises EncodingError for any byte sequence that is not the canonical encoding of a data-model
    value within the limits: total bytes, 32 levels, 131,072 items, 8 KiB keys.
    """
    if len(content) > size_limit:
        raise EncodingError(f"larger than {size_limit} bytes: {len(content)}")
    decoder = _Decoder(content)
    value = decoder.item(0)
    if decoder.position != len(content):
        raise EncodingError(f"{len(content) - decoder.position} bytes after the end of the value")
    return value


def decode_two(content: bytes, *, size_limit: int) -> tuple[Value, Value]:
    """Return the two values that these bytes encode one after the other, as the frames of event streams do.

    Raises EncodingError as `decode` does, and for less or more than two.
    """
    if len(content) > size_limit:
        raise EncodingError(f"larger than {size_limit} bytes: {len(content)}")
    decoder = _Decoder(content)
    values = decoder.item(0), decoder.item(0)
    if decoder.position != len(content):
        raise EncodingError(f"{len(content) - decoder.position} bytes after the end of the second value")
    return values


def encode(value: Value) -> bytes:
    """Return the canonical DAG-CBOR bytes of a data-model value.

    Raises EncodingError for what the model cannot say: floats, integers beyond 64 bits, lone surrogates.
    """
    pieces: list[bytes] = []
    _encode_into(value, pieces, 0)
    return b"".join(pieces)


class _Decoder:
    """A cursor over the bytes; each method consumes one item or raises."""

    __slots__ = ("content", "items", "position")

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.position = 0
        self.items = 0

    def item(self, depth: int) -> Value:
        if depth > DEPTH_LIMIT:
            raise EncodingError(f"nested deeper than {DEPTH_LIMIT}")
        self.items += 1
        if self.items > ITEM_LIMIT:
            raise EncodingError(f"more than {ITEM_LIMIT} items")
        initial = self._take(1)[0]
        major = initial >> 5
        if major == 7:
            return self._simple(initial)
        argument = self._argument(initial & 31)
        match major:
            case 0:
                return self._checked_integer(argument)
            case 1:
                return -1 - self._checked_integer(argument)
            case 2:
                return self._take(argument)
            case 3:
                return self._text(argument)
            case 4:
                if argument > len(self.content) - self.position:
                    raise EncodingError("a list longer than the bytes that are left")
                return [self.item(depth + 1) for _ in range(argument)]
            case 5:
                return self._map(argument, depth)
            case _:
                return self._link(argument, depth)

    def _take(self, count: int) -> bytes:
        end = self.position + count
        if end > len(self.content):
            raise EncodingError("the bytes end in the middle of a value")
        taken = self.content[self.position : end]
        self.position = end
        return taken

    def _simple(self, initial: int) -> Value:
        match initial:
            case 0xF4:
                return False
            case 0xF5:
                return True
            case 0xF6:
                return None
        raise EncodingError(f"a float or simple value that the data model does not have: 0x{initial:02x}")

    def _argument(self, information: int) -> int:
        if information < 24:
            return information
        if information > 27:
            raise EncodingError("an indefinite or reserved length")
        width = 1 << (information - 24)
        argument = int.from_bytes(self._take(width), "big")
        if argument < (24 if width == 1 else 1 << (4 * width)):
            raise EncodingError("an integer or length that is not in its shortest form")
        return argument

    @staticmethod
    def _checked_integer(argument: int) -> int:
        if argument >= INTEGER_LIMIT:
            raise EncodingError("an integer beyond 64 bits")
        return argument

    def _text(self, length: int) -> str:
        try:
            return self._take(length).decode("utf-8")
        except UnicodeDecodeError as error:
            raise EncodingError("text that is not UTF-8") from error

    def _map(self, count: int, depth: int) -> dict[str, Value]:
        if count > len(self.content) - self.position:
            raise EncodingError("a map longer than the bytes that are left")
        result: dict[str, Value] = {}
        previous: tuple[int, bytes] = (-1, b"")
        for _ in range(count):
            start = self.position
            key = self.item(depth + 1)
            if not isinstance(key, str):
                raise EncodingError("a map key that is not text")
            encoded = self.content[start : self.position]
            if len(encoded) > KEY_BYTES_LIMIT:
                raise EncodingError(f"a map key longer than {KEY_BYTES_LIMIT} bytes")
            if (len(encoded), encoded) <= previous:
                raise EncodingError(f"map keys out of order, or twice: {key[:60]!r}")
            previous = (len(encoded), encoded)
            result[key] = self.item(depth + 1)
        return result

    def _link(self, tag: int, depth: int) -> CID:
        if tag != _LINK_TAG:
            raise EncodingError(f"tag {tag}: the data model has only links (42)")
        content = self.item(depth + 1)
        if not isinstance(content, bytes) or len(content) != CID_LENGTH + 1 or content[0] != 0:
            raise EncodingError("a link that holds no binary CID")
        return cid_from_bytes(content[1:])


def _encode_into(value: Value, pieces: list[bytes], depth: int) -> None:
    if depth > DEPTH_LIMIT:
        raise EncodingError(f"nested deeper than {DEPTH_LIMIT}")
    match value:
        case None:
            pieces.append(b"\xf6")
        case bool():
            pieces.append(b"\xf5" if value else b"\xf4")
        case int():
            if not -INTEGER_LIMIT <= value < INTEGER_LIMIT:
                raise EncodingError(f"an integer beyond 64 bits: {value}")
            pieces.append(_head(0, value) if value >= 0 else _head(1, -1 - value))
        case str():
            content = _utf8(value)
            pieces += (_head(3, len(content)), content)
        case bytes():
            pieces += (_head(2, len(value)), value)
        case CID():
            pieces += (b"\xd8\x2a", _head(2, CID_LENGTH + 1), b"\0", value.raw)
        case list():
            pieces.append(_head(4, len(value)))
            for item in value:
                _encode_into(item, pieces, depth + 1)
        case dict():
            pieces.append(_head(5, len(value)))
            for key, item in sorted(
                ((_utf8(key), item) for key, item in value.items()), key=lambda p: (len(p[0]), p[0])
            ):
                pieces += (_head(3, len(key)), key)
                _encode_into(item, pieces, depth + 1)
        case _:
            raise EncodingError(f"not of the data model: {type(value).__name__}")


def _utf8(text: str) -> bytes:
    if not isinstance(text, str):
        raise EncodingError("a map key that is not text")
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise EncodingError("text with a lone surrogate") from error


def _head(major: int, argument: int) -> bytes:
    if argument < 24:
        return bytes(((major << 5) | argument,))
    for information, width in ((24, 1), (25, 2), (26, 4)):
        if argument < 1 << (8 * width):
            return bytes(((major << 5) | information,)) + argument.to_bytes(width, "big")
    return bytes(((major << 5) | 27,)) + argument.to_bytes(8, "big")
