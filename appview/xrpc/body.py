"""Request bodies: read within a limit, inflated within the same limit, parsed as JSON of the data model.

gzip, deflate and brotli are inflated, alone or stacked a few high, each within the limit; any other coding is
refused. Where a method takes no input, a body or its content type is an error.
"""

import zlib
from collections.abc import Mapping

import brotli
import orjson
from starlette.requests import Request

from appview.xrpc.errors import PAYLOAD_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, InvalidRequest, XrpcError
from appview.xrpc.routes import Route
from atprotocol.data_model import Value, object_from_json
from atprotocol.errors import EncodingError

_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_MAX_CODINGS = 3


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
    names = [name for name in names if name != "identity"]
    if len(names) > _MAX_CODINGS or not {*names} <= {*_WINDOW_BITS, "br"}:
        message = f"The content encoding is not supported: gzip, deflate and br are, up to {_MAX_CODINGS} of them"
        raise XrpcError(415, UNSUPPORTED_MEDIA_TYPE, message)
    for name in reversed(names):
        try:
            content, is_whole = _unbrotli(content, limit_bytes) if name == "br" else _unzip(content, name, limit_bytes)
        except (zlib.error, brotli.error) as error:
            raise InvalidRequest("The request body cannot be decompressed") from error
        if len(content) > limit_bytes:
            raise _too_large(limit_bytes)
        if not is_whole:
            raise InvalidRequest("The request body cannot be decompressed")
    return content


def _unzip(content: bytes, name: str, limit_bytes: int) -> tuple[bytes, bool]:
    inflater = zlib.decompressobj(_WINDOW_BITS[name])
    inflated = inflater.decompress(content, limit_bytes + 1)
    return inflated, inflater.eof and not inflater.unused_data


def _unbrotli(content: bytes, limit_bytes: int) -> tuple[bytes, bool]:
    # The output may pass the limit by the size of one of the decoder's buffers; what follows the stream is an error.
    inflater = brotli.Decompressor()
    inflated: bytes = inflater.process(content, output_buffer_limit=limit_bytes + 1)
    return inflated, inflater.is_finished()


def _too_large(limit_bytes: int) -> XrpcError:
    return XrpcError(413, PAYLOAD_TOO_LARGE, f"The request body is larger than {limit_bytes} bytes")
