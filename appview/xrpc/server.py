"""The XRPC server: one ASGI application for everything below /xrpc/.

It knows HTTP and the lexicons, and nothing of what the methods do. Everything is answered as JSON, our own
failures included. The order of work is parameters, who asks, body, rate limit, handler.
Source: https://atproto.com/specs/xrpc
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from appview.xrpc.auth import Authenticator
from appview.xrpc.body import read_input
from appview.xrpc.call import Call, Output
from appview.xrpc.errors import (
    GENERIC_ERRORS,
    INTERNAL_SERVER_ERROR,
    INVALID_REQUEST,
    METHOD_NOT_IMPLEMENTED,
    RATE_LIMIT_EXCEEDED,
    InvalidRequest,
    Unauthorized,
    XrpcError,
)
from appview.xrpc.labelers import ACCEPT_LABELERS, parse_accepted_labelers
from appview.xrpc.pages import Pages
from appview.xrpc.rate_limit import Allowance, client_address
from appview.xrpc.reply import Page, Reply, error_reply, output_reply, page_of, preflight
from appview.xrpc.routes import Route
from atprotocol.data_model import Value
from atprotocol.errors import InvalidSyntax
from atprotocol.lexicon.parameters import InvalidParameter, parse_parameters
from atprotocol.lexicon.schema import MethodKind
from atprotocol.syntax.did import DID
from atprotocol.syntax.nsid import Nsid, normalize_nsid, parse_nsid

_HEALTH = "_health"
_MAX_PARAMETERS = 1000

logger = logging.getLogger(__name__)


class Limiter(Protocol):
    """Whatever counts requests."""

    def take(self, nsid: str | None, asker: str | None, now: float, *, is_account: bool = False) -> Allowance | None:
        """Count a request of an address or an account and return what is left; None when nothing limits it."""
        ...


@dataclass(frozen=True, slots=True)
class XrpcServer:
    """An ASGI application; the route that leads here must name the rest of the path `path`."""

    routes: Mapping[Nsid, Route]
    health: Callable[[], Awaitable[Output]]
    limiter: Limiter
    authenticator: Authenticator
    clock: Callable[[], datetime]
    trusted_proxy_hops: int = 0
    body_limit_bytes: int = 100_000
    cache_seconds: int = 5
    pages: Pages = field(default_factory=lambda: Pages(0))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        try:
            reply = await self._answer(request)
        except ClientDisconnect:
            return
        except XrpcError as error:
            reply = error_reply(error)
        except Exception:
            logger.exception("unhandled error in %s", request.url.path)
            reply = error_reply(XrpcError(500, INTERNAL_SERVER_ERROR, "Internal Server Error"))
        await reply.send(request, send)

    async def _answer(self, request: Request) -> Reply:
        if request.method == "OPTIONS":
            return preflight()
        name = str(request.path_params.get("path", "")).removesuffix("/")
        if name == _HEALTH:
            return await self._health(request)
        try:
            nsid = normalize_nsid(parse_nsid(name))
        except InvalidSyntax as error:
            headers = self.limit(request, None)
            raise InvalidRequest("The path is not the NSID of a method", headers) from error
        route = self.routes.get(nsid)
        if route is None:
            headers = self.limit(request, None)
            raise XrpcError(501, METHOD_NOT_IMPLEMENTED, "Method Not Implemented", headers)
        if request.method not in route.verbs:
            raise _wrong_verb(route.verbs)
        is_query = route.method.kind is MethodKind.QUERY
        parameters = _parse_query(request, route)
        labelers = parse_accepted_labelers(request.headers.getlist(ACCEPT_LABELERS))
        viewer_did = await self.viewer_of(request, nsid, is_procedure=not is_query)
        body = await read_input(request, route, self.body_limit_bytes)
        limit_headers = self.limit(request, nsid, viewer_did)
        call = Call(nsid, parameters, body, self.clock(), viewer_did, labelers, self.address_of(request))
        is_kept = is_query and viewer_did is None

        async def make() -> Page:
            output = await route.handler(call)
            return page_of(output, call.reply_headers, is_kept=is_kept)

        try:
            if is_kept:
                key = nsid, request.scope["query_string"], tuple(request.headers.getlist(ACCEPT_LABELERS))
                page = await self.pages.get(key, lambda: self.clock().timestamp(), make)
            else:
                page = await make()
        except XrpcError as error:
            if error.error not in GENERIC_ERRORS and error.error not in route.method.error_names:
                raise RuntimeError(f"{nsid} answers {error.error}, which its lexicon does not declare") from error
            error.headers = {**limit_headers, **call.reply_headers, **error.headers}
            raise
        cache_seconds = self.cache_seconds if is_query else None
        reply = output_reply(page, request, cache_seconds, is_for_viewer=viewer_did is not None)
        reply.headers |= limit_headers
        return reply

    async def viewer_of(self, request: Request, nsid: Nsid, *, is_procedure: bool = False) -> DID | None:
        """Return who proves itself with a token for this method; None when nobody tries to.

        Raises XrpcError.
        """
        now = self.clock().timestamp()
        authorization = request.headers.getlist("authorization")
        try:
            return await self.authenticator.viewer(
                authorization, nsid, is_procedure=is_procedure, address=self.address_of(request), now=now
            )
        except Unauthorized as error:
            # Whoever guesses counts by its address, as nobody else is there to count.
            error.headers = {**self.limit(request, nsid), **error.headers}
            raise

    def limit(self, request: Request, nsid: str | None, viewer_did: DID | None = None) -> dict[str, str]:
        """Count a request, of a method or of something else, and return the headers that tell what is left.

        Counted by the account that proved itself, or else by the client's address.
        Raises XrpcError (429) when there is nothing left.
        """
        now = self.clock().timestamp()
        asker = self.address_of(request) if viewer_did is None else viewer_did
        try:
            allowance = self.limiter.take(nsid, asker, now, is_account=viewer_did is not None)
        except Exception:
            # Whatever breaks in counting must not close the service.
            logger.exception("the rate limiter failed")
            return {}
        if allowance is None:
            return {}
        headers = allowance.headers(now)
        if not allowance.is_allowed:
            raise XrpcError(429, RATE_LIMIT_EXCEEDED, "Rate Limit Exceeded", headers)
        return headers

    def address_of(self, request: Request) -> str | None:
        """Return the client's address, as far as it can be believed."""
        peer = request.client.host if request.client else None
        return client_address(peer, request.headers.getlist("x-forwarded-for"), self.trusted_proxy_hops)

    async def _health(self, request: Request) -> Reply:
        if request.method not in ("GET", "HEAD"):
            raise _wrong_verb(("GET", "HEAD"))
        if "atproto-proxy" in request.headers:
            raise InvalidRequest("The health of a service is not proxied: ask it without atproto-proxy")
        return output_reply(page_of(await self.health(), {}, is_kept=False), request, None)


def _wrong_verb(verbs: tuple[str, ...]) -> XrpcError:
    return XrpcError(405, INVALID_REQUEST, "Method not allowed", {"Allow": ", ".join((*verbs, "OPTIONS"))})


def _parse_query(request: Request, route: Route) -> Mapping[str, Value]:
    query: bytes = request.scope["query_string"]
    try:
        pairs = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS
        )
    except ValueError as error:
        raise InvalidRequest("The query string cannot be read") from error
    try:
        return parse_parameters(route.method.parameters, pairs)
    except InvalidParameter as error:
        raise InvalidRequest(f"Parameter {error}") from error
