"""Replies: bytes with the headers that every answer under /xrpc/ has.

Anybody may read them from any page (CORS without credentials). Answers to anonymous queries may be kept for seconds
and carry a weak ETag; nothing else may be kept, least of all what a viewer got. Large ones are compressed for whoever
takes gzip. What an answer depends on beside its URL stands in Vary, whoever asked.
"""

import gzip
import hashlib
from dataclasses import dataclass, field

import orjson
from starlette.requests import Request
from starlette.types import Send

from appview.xrpc.errors import XrpcError

JSON = "application/json; charset=utf-8"
_COMPRESS_FROM_BYTES = 1024
_COMPRESSION_LEVEL = 4
_NO_STORE = "no-store"
_PRIVATE = "private, no-store"
_VARY = "Authorization, Atproto-Accept-Labelers, Accept-Encoding, Accept-Language"
_EXPOSED = (
    "RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, RateLimit-Policy, Retry-After, Allow, ETag, "
    "WWW-Authenticate, atproto-repo-rev, atproto-content-labelers"
)
_EVERYWHERE = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": _EXPOSED,
    "X-Content-Type-Options": "nosniff",
}
_PREFLIGHT = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD, POST, OPTIONS",
    "Access-Control-Allow-Headers": "authorization, content-type, content-encoding, atproto-accept-labelers, atproto-proxy",
    "Access-Control-Max-Age": "86400",
}


@dataclass(slots=True)
class Reply:
    """A status, headers and a body."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    async def send(self, request: Request, send: Send) -> None:
        """Send it; to HEAD everything but the body."""
        headers = (
            self.headers | {"Content-Length": str(len(self.body))} if self.status not in (204, 304) else self.headers
        )
        raw = [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": raw})
        body = b"" if request.method == "HEAD" else self.body
        await send({"type": "http.response.body", "body": body})


def preflight() -> Reply:
    """Return the answer to OPTIONS."""
    return Reply(204, headers=dict(_PREFLIGHT))


@dataclass(slots=True)
class Page:
    """A method's output as bytes, with what tells versions of it apart; `headers` come from the method."""

    body: bytes
    headers: dict[str, str]
    etag: str | None = None
    _compressed: bytes | None = None

    def compressed(self) -> bytes:
        """Return the body, compressed once."""
        if self._compressed is None:
            self._compressed = gzip.compress(self.body, _COMPRESSION_LEVEL, mtime=0)
        return self._compressed


def page_of(content: object, headers: dict[str, str], *, is_kept: bool) -> Page:
    """Return a method's output as bytes; with `is_kept` somebody may keep it, and needs to know its version."""
    body = orjson.dumps(content)
    etag = f'W/"{hashlib.blake2b(body, digest_size=12).hexdigest()}"' if is_kept else None
    return Page(body, headers, etag)


def output_reply(page: Page, request: Request, cache_seconds: int | None, *, is_for_viewer: bool = False) -> Reply:
    """Return a method's output; `cache_seconds` None forbids keeping it, and so does a viewer."""
    body = page.body
    headers = {"Content-Type": JSON, "Cache-Control": _NO_STORE, "Vary": _VARY, **_EVERYWHERE, **page.headers}
    if is_for_viewer:
        headers["Cache-Control"] = _PRIVATE
    elif cache_seconds is not None and page.etag is not None:
        headers["Cache-Control"] = f"public, max-age={cache_seconds}, stale-while-revalidate={cache_seconds}"
        headers["ETag"] = page.etag
        if _matches(request.headers.get("if-none-match"), page.etag):
            return Reply(304, headers={name: value for name, value in headers.items() if name != "Content-Type"})
    if len(body) >= _COMPRESS_FROM_BYTES and _takes_gzip(request.headers.get("accept-encoding", "")):
        body = page.compressed()
        headers["Content-Encoding"] = "gzip"
    return Reply(200, body, headers)


def error_reply(error: XrpcError) -> Reply:
    """Return an error as its two words."""
    body = orjson.dumps({"error": error.error, "message": error.message})
    return Reply(
        error.status,
        body,
        {"Content-Type": JSON, "Cache-Control": _NO_STORE, "Vary": _VARY, **_EVERYWHERE, **error.headers},
    )


def _matches(if_none_match: str | None, etag: str) -> bool:
    if if_none_match is None:
        return False
    known = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return "*" in known or etag.removeprefix("W/") in known


def _takes_gzip(accept_encoding: str) -> bool:
    for coding in accept_encoding.lower().split(","):
        name, _, quality = coding.strip().partition(";")
        if name.strip() == "gzip":
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
