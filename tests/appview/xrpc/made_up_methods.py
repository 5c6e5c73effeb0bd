"""Methods made up to try the XRPC server with, and a client of a server of them."""

from datetime import UTC, datetime
from typing import Any

from made_up_accounts import MadeUpAccount, MadeUpDirectory, key_of, unknown
from running_appview import within
from starlette.applications import Starlette
from starlette.routing import Route
from xrpc_client import XrpcClient

from appview.xrpc.auth import Authenticator
from appview.xrpc.call import Call, Output
from appview.xrpc.errors import Unavailable, XrpcError
from appview.xrpc.rate_limit import RateLimits, Window
from appview.xrpc.routes import bind_routes
from appview.xrpc.server import XrpcServer
from appview.xrpc.signing_keys import SigningKeys
from atprotocol.lexicon.catalog import Catalog
from atprotocol.syntax.did import DID

NOW = datetime(2026, 11, 22, 10, 0, 30, tzinfo=UTC)
LIMIT = 1000
SERVICE = "did:web:service.example.com"
AUDIENCES = frozenset((SERVICE, f"{SERVICE}#thing"))
ALICE = MadeUpAccount(DID("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"), key_of(1), f"{SERVICE}#thing")
BOB = MadeUpAccount(DID("did:web:bob.example.com"), key_of(2, "P-256"), SERVICE)


def _object(**properties: Any) -> dict[str, Any]:
    return {"encoding": "application/json", "schema": {"type": "object", "properties": properties}}


def _echo_parameters() -> dict[str, Any]:
    return {
        "type": "params",
        "properties": {
            "text": {"type": "string", "maxLength": 20},
            "limit": {"type": "integer", "minimum": 1, "maximum": 100, "default": 50},
            "flag": {"type": "boolean"},
            "words": {"type": "array", "items": {"type": "string"}, "maxLength": 30},
            "did": {"type": "string", "format": "did"},
        },
    }


DOCUMENTS: dict[str, dict[str, Any]] = {
    "echo": {"type": "query", "parameters": _echo_parameters(), "output": _object(got={"type": "unknown"})},
    "fail": {
        "type": "query",
        "parameters": {"type": "params", "required": ["how"], "properties": {"how": {"type": "string"}}},
        "output": _object(),
        "errors": [{"name": "ThingNotFound"}],
    },
    "long": {"type": "query", "output": _object(text={"type": "string"})},
    "save": {
        "type": "procedure",
        "input": {
            "encoding": "application/json",
            "schema": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
        },
        "output": _object(got={"type": "unknown"}),
    },
    "poke": {"type": "procedure", "output": _object()},
    "who": {"type": "query", "output": _object(did={"type": "string"}, labelers={"type": "unknown"})},
}
CATALOG = Catalog(
    {"lexicon": 1, "id": f"com.example.{name}", "defs": {"main": main}} for name, main in DOCUMENTS.items()
)


async def echo(call: Call) -> Output:
    return {"got": dict(call.parameters)}


async def fail(call: Call) -> Output:
    match call.text("how"):
        case "declared":
            raise XrpcError(400, "ThingNotFound", "No such thing")
        case "undeclared":
            raise XrpcError(400, "SomethingElse", "secret words")
        case "generic":
            raise Unavailable("Too busy")
        case "unserialisable":
            return {"got": object()}
        case _:
            raise RuntimeError("secret words")


async def long(_: Call) -> Output:
    return {"text": "la " * 2000}


async def save(call: Call) -> Output:
    return {"got": dict(call.body)}


async def who(call: Call) -> Output:
    call.reply_headers["atproto-repo-rev"] = "3mabcdefghijk"
    accepted = call.accepted_labelers
    labelers = {} if accepted is None else {"labelers": {each.did: each.redact for each in accepted.labelers}}
    return labelers if call.viewer_did is None else {"did": call.viewer_did, **labelers}


async def poke(_: Call) -> Output:
    return {}


async def health() -> Output:
    return {"status": "ok", "version": "1"}


async def sick() -> Output:
    raise Unavailable("The database does not answer")


def authenticator(directory: MadeUpDirectory | None = None) -> Authenticator:
    """Return one that has used no token yet and knows no key."""
    return Authenticator(AUDIENCES, SigningKeys(unknown, directory or MadeUpDirectory.of([ALICE, BOB])))


HANDLERS = {"echo": echo, "fail": fail, "long": long, "save": save, "poke": poke, "who": who}
SERVER = XrpcServer(
    routes=bind_routes(CATALOG, "com.example", HANDLERS),
    health=health,
    limiter=RateLimits([Window(10_000, 60)]),
    authenticator=authenticator(),
    clock=lambda: NOW,
    body_limit_bytes=LIMIT,
)


def client_of(server: XrpcServer = SERVER, address: str = "192.0.2.1") -> XrpcClient:
    app = Starlette(routes=[Route("/xrpc/{path:path}", server), Route("/xrpc", server)])
    return XrpcClient(within(app, address), CATALOG, "com.example")


CLIENT = client_of()
