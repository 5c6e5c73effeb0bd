"""The network's data model in Python, and its JSON form.

Values are None, bool, int, str, bytes, CID, lists and dictionaries with text keys; there are no
floats. In JSON a CID is {"$link": text} and bytes are {"$bytes": base64}. What cannot be said in the
model is refused, never repaired. Source: https://atproto.com/specs/data-model
"""

import base64
import binascii
import re
from typing import TypeAlias

from atprotocol.cid import CID, parse_cid
from atprotocol.errors import EncodingError

Value: TypeAlias = "bool | int | str | bytes | CID | list[Value] | dict[str, Value] | None"
Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

INTEGER_LIMIT = 1 << 63
DEPTH_LIMIT = 128
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")


def to_json(value: Value) -> Json:
    """Return the JSON form of a data-model value: links as `$link`, bytes as unpadded `$bytes`."""
    match value:
        case dict():
            return {key: to_json(item) for key, item in value.items()}
        case list():
            return [to_json(item) for item in value]
        case CID():
            return {"$link": str(value)}
        case bytes():
            return {"$bytes": base64.b64encode(value).decode("ascii").rstrip("=")}
        case _:
            return value


def from_json(value: Json, depth: int = 0) -> Value:
    """Return the data-model value that a JSON value stands for.

    Raises EncodingError for floats, integers beyond 64 bits, text that has no UTF-8, malformed `$link`,
    `$bytes` or blob objects, an empty or non-string `$type`, and nesting deeper than 128.
    """
    if depth > DEPTH_LIMIT:
        raise EncodingError(f"nested deeper than {DEPTH_LIMIT}")
    match value:
        case float():
            if value.is_integer() and abs(value) < INTEGER_LIMIT:
                return int(value)
            raise EncodingError(f"the data model has no floats: {value!r}")
        case bool() | None:
            return value
        case str():
            return _checked_text(value)
        case int():
            if not -INTEGER_LIMIT <= value < INTEGER_LIMIT:
                raise EncodingError(f"an integer beyond 64 bits: {value}")
            return value
        case list():
            return [from_json(item, depth + 1) for item in value]
        case {"$link": link}:
            if len(value) != 1 or not isinstance(link, str):
                raise EncodingError("a $link object holds one string and nothing else")
            return parse_cid(link)
        case {"$bytes": encoded}:
            if len(value) != 1 or not isinstance(encoded, str):
                raise EncodingError("a $bytes object holds one string and nothing else")
            return _decode_base64(encoded)
        case dict():
            result: dict[str, Value] = {_checked_text(key): from_json(item, depth + 1) for key, item in value.items()}
            check_typed_object(result)
            return result
    raise EncodingError(f"not JSON: {type(value).__name__}")


def object_from_json(value: Json) -> dict[str, Value]:
    """Return the data-model object that a JSON value stands for: a record, or the body of a method.

    Raises EncodingError as `from_json` does, and for anything that is no object.
    """
    result = from_json(value)
    if not isinstance(result, dict):
        raise EncodingError("an object is expected")
    return result


def check_typed_object(value: dict[str, Value]) -> None:
    """Refuse an object whose `$type` is no non-empty string, or that calls itself a blob and is none.

    Raises EncodingError.
    """
    if "$type" not in value:
        return
    type_name = value["$type"]
    if not isinstance(type_name, str) or not type_name:
        raise EncodingError("$type must be a non-empty string")
    if type_name != "blob":
        return
    reference, mime_type, size = value.get("ref"), value.get("mimeType"), value.get("size")
    # The network's fixtures hold blobs whose link is not of the raw codec: whoever fetches one looks at that.
    if not isinstance(reference, CID):
        raise EncodingError("a blob's ref must be a link")
    if not isinstance(mime_type, str) or not mime_type:
        raise EncodingError("a blob's mimeType must be a non-empty string")
    if type(size) is not int or size < 0:
        raise EncodingError("a blob's size must be an integer, zero or more")


def _checked_text(text: str) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise EncodingError("text with a lone surrogate, which has no UTF-8") from error
    return text


def _decode_base64(text: str) -> bytes:
    if not _BASE64.fullmatch(text):
        raise EncodingError("$bytes is not base64")
    unpadded = text.rstrip("=")
    if len(unpadded) % 4 == 1:
        raise EncodingError("$bytes is not base64: a length that no bytes give")
    try:
        return base64.b64decode(unpadded + "=" * (-len(unpadded) % 4), validate=True)
    except binascii.Error as error:
        raise EncodingError("$bytes is not base64") from error
