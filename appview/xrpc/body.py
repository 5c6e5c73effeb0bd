"""Request bodies: read within a limit, inflated within the same limit, parsed as JSON of the data model.

gzip and deflate are inflated, alone or stacked; any other coding is refused, brotli among them. Where a method
takes no input, a body or its content type is an error.
"""

import zlib
from collections.abc import Mapping

import orjson
from starlette.requests import Request

from appview.xrpc.errors import PAYLOAD_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, InvalidRequest, XrpcError
from appview.xrpc.routes import Route
from atprotocol.data_model import Value, object_from_json
from atprotocol.errors import EncodingError

_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


async def read_input(request: Request, route: Route, limit_bytes: int) -> Mapping[str, Value]:
    """Return a method's input, checked by its lexicon; empty where it has none.

    Raises XrpcError: 413 beyond the limit, 415 for a coding that we do not inflate, 400 for everything else.
    """
    encoding = route.method.input_encoding
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if encoding is None:
        if content_type or await _read(request, limit_bytes):
            raise InvalidRequest("A request body was provided when none was expected")
        return {}
    raw = await _read(request, limit_bytes)
    if not raw and not content_type:
        raise InvalidRequest("A request body is expected but none was provided")
    if content_type != encoding:
        raise InvalidRequest(f"Wrong request encoding (Content-Type): {encoding} is expected")
    content = _inflate(raw, request.headers.get("content-encoding", ""), limit_bytes)
    try:
        body = object_from_json(orjson.loads(content))
    except (ValueError, EncodingError) as error:
        raise InvalidRequest("The request body is not a JSON object of the data model") from error
    if problems := route.validate_input(body):
        raise InvalidRequest(f"Input{problems[0].path}: {problems[0].message}")
    return body


async def _read(request: Request, limit_bytes: int) -> bytes:
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > limit_bytes:
        raise _too_large(limit_bytes)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit_bytes:
            raise _too_large(limit_bytes)
        chunks.append(chunk)
    return b"".join(chunks)


def _inflate(content: bytes, encodings: str, limit_bytes: int) -> bytes:
    """Undo the codings, the last applied first."""
    names = [name.strip().lower() for name in encodings.split(",") if name.strip()]
    for name in reversed(names):
        if name == "identity":
            continue
        window_bits = _WINDOW_BITS.get(name)
        if window_bits is None:
            raise XrpcError(415, UNSUPPORTED_MEDIA_TYPE, "The content encoding is not supported: gzip and deflate are")
        inflater = zlib.decompressobj(window_bits)
        try:
            content = inflater.decompress(content, limit_bytes + 1)
        except zlib.error as error:
            raise InvalidRequest("The request body cannot be decompressed") from error
        if len(content) > limit_bytes:
            raise _too_large(limit_bytes)
        if not inflater.eof or inflater.unused_data:
            raise InvalidRequest("The request body cannot be decompressed")
    return content


def _too_large(limit_bytes: int) -> XrpcError:
    return XrpcError(413, PAYLOAD_TOO_LARGE, f"The request body is larger than {limit_bytes} bytes")
