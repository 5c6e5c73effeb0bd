"""The methods as an OpenAPI 3.1 document, made from the lexicons and from nothing else.

Every query and procedure of the served namespace, its parameters, bodies and errors; the definitions that they are
made of; health and DID document. Nothing here is written for one method.
Sources: https://spec.openapis.org/oas/v3.1.1, https://atproto.com/specs/xrpc
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from appview.settings import AppviewSettings
from appview.well_known import SERVICE_ID
from appview.xrpc.errors import GENERIC_ERRORS_OF
from appview.xrpc.labelers import ACCEPT_LABELERS, CONTENT_LABELERS
from atprotocol.lexicon.catalog import Catalog
from atprotocol.lexicon.json_schema import json_schema, parts_of
from atprotocol.lexicon.methods import Method
from atprotocol.lexicon.schema import (
    BodySchema,
    LexiconError,
    MethodKind,
    MethodSchema,
    RecordSchema,
    TokenSchema,
)

Part: TypeAlias = dict[str, Any]

STATUSES: Final[Mapping[int, str]] = {
    200: "The answer.",
    304: "Nothing has changed since the answer with the ETag that was sent.",
    400: "The request breaks a rule, or what it asks for is not here.",
    401: "Whoever asks has not proved who it is.",
    403: "The account that asks was taken down here.",
    405: "The method is called by another verb: `Allow` says which.",
    413: "The body is too large.",
    415: "The body is compressed in a way that is not understood.",
    429: "Asked too often: `Retry-After` says how many seconds to wait.",
    500: "Something is broken here.",
    501: "There is no such method here. If it was meant for somebody else, `atproto-proxy` was forgotten.",
    502: "Somebody whom we had to ask did not answer.",
    503: "We cannot answer now: try again later.",
}
# What any method may answer, whatever it is asked.
ANY_METHOD: Final = (401, 403, 429, 500, 502, 503)
WITH_A_BODY: Final = (413, 415)
_SECURITY: Final = "serviceToken"
_JSON: Final = "application/json"
_HEADERS: Final[Mapping[str, tuple[str, Part]]] = {
    "RateLimit-Limit": ("How many points the tightest window has.", {"type": "integer"}),
    "RateLimit-Remaining": ("How many points are left in it.", {"type": "integer"}),
    "RateLimit-Reset": ("When it begins anew, in seconds since 1970.", {"type": "integer"}),
    "RateLimit-Policy": ("The window: points, and `w` seconds.", {"type": "string"}),
    "Retry-After": ("How many seconds to wait.", {"type": "integer"}),
    "Cache-Control": ("Who may keep the answer, and how long.", {"type": "string"}),
    "ETag": ("The version of the answer, for `If-None-Match`; not in answers to a viewer.", {"type": "string"}),
    "Vary": ("The headers of the request that the answer depends on.", {"type": "string"}),
    "WWW-Authenticate": ("What is wrong with the token.", {"type": "string"}),
    "atproto-repo-rev": (
        "For viewers that are indexed: the rev of their own repository that the answer is at least as new as.",
        {"type": "string", "format": "tid"},
    ),
    CONTENT_LABELERS: ("The labelers whose labels were applied.", {"type": "string"}),
}
_ALWAYS: Final = (
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "RateLimit-Policy",
    "Cache-Control",
    "Vary",
)
_OF_ANSWERS: Final = (*_ALWAYS, "ETag", "atproto-repo-rev", CONTENT_LABELERS)


def component_name(reference: str) -> str:
    """Return the name of a definition among the components: `nsid`, or `nsid_name`."""
    return reference.replace("#", "_")


def openapi_document(catalog: Catalog, settings: AppviewSettings, viewers_only: Iterable[str]) -> Part:
    """Return the document; `viewers_only` are the methods that answer nobody else, by their names in the namespace."""
    named = [nsid for nsid in catalog.method_nsids if nsid.startswith(f"{settings.namespace}.")]
    methods = [catalog.method(nsid) for nsid in named]
    served = [method for method in methods if method.kind is not MethodKind.SUBSCRIPTION]
    needing = {settings.nsid(name) for name in viewers_only}
    paths: Part = {f"/xrpc/{method.nsid}": _path(method, settings, method.nsid in needing) for method in served}
    origin = urlsplit(settings.public_url)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "plyr AppView",
            "version": settings.version,
            "description": _introduction(settings),
        },
        "servers": [{"url": f"{origin.scheme}://{origin.netloc}"}],
        "security": [{}, {_SECURITY: []}],
        "tags": [{"name": group} for group in sorted({_group(method, settings) for method in served})],
        "paths": {**paths, **_other_paths()},
        "components": {
            "schemas": _definitions(catalog, settings, served) | _own_schemas(),
            "parameters": _common_parameters(),
            "headers": {
                name: {"description": text, "schema": schema} for name, (text, schema) in _HEADERS.items()
            },
            "responses": {
                f"Status{status}": _error(STATUSES[status], names, _of_status(status))
                for status, names in GENERIC_ERRORS_OF.items()
                if status != 400
            },
            "securitySchemes": {
                _SECURITY: {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": (
                        "An inter-service token, which the account's host writes: ask the host, with the header "
                        f"`atproto-proxy: {settings.did}{SERVICE_ID}`. It names the method (`lxm`) and this service "
                        "(`aud`), and is good for a minute."
                    ),
                }
            },
        },
    }  # fmt: skip


def _introduction(settings: AppviewSettings) -> str:
    return (
        "Music on the AT Protocol. The answers are JSON, open to everybody, without a key. Parameters that a method "
        "does not know are ignored, those that it knows are checked and never bent; one that is empty counts as "
        "absent. HEAD answers whatever GET does. A field that has no value is absent, never null. Fields that are not "
        "named here may come. A list has a next page exactly while its answer has a `cursor`. Every error has two "
        "fields: `error`, its name for programs, and `message`, for people; whatever is not a method is 501, whatever "
        f"is called by the wrong verb 405. A page to read: {settings.public_url.rstrip('/')}/docs"
    )


def _group(method: Method, settings: AppviewSettings) -> str:
    return method.nsid.removeprefix(f"{settings.namespace}.").rpartition(".")[0]


def _path(method: Method, settings: AppviewSettings, needs_viewer: bool) -> Part:
    is_query = method.kind is MethodKind.QUERY
    operation: Part = {
        "operationId": method.nsid,
        "tags": [_group(method, settings)],
        "summary": method.description.partition(". ")[0].rstrip("."),
        "description": method.description,
        "parameters": [*_parameters(method.schema), {"$ref": f"#/components/parameters/{ACCEPT_LABELERS}"}],
        "responses": _responses(method),
    }
    if is_query:
        operation["parameters"].append({"$ref": "#/components/parameters/If-None-Match"})
    if needs_viewer:
        operation["security"] = [{_SECURITY: []}]
    if method.schema.input is not None:
        operation["requestBody"] = {"required": True, **_body(method.schema.input)}
    return {"get" if is_query else "post": operation}


def _parameters(method: MethodSchema) -> list[Part]:
    parameters: list[Part] = []
    for name, schema in method.parameters.properties.items():
        described = json_schema(schema, _point)
        text = described.pop("description", "")
        parameter = {"name": name, "in": "query", "description": text, "schema": described}
        # An empty value counts as absent, whatever the schema says of values.
        parameter |= {"required": True} if name in method.parameters.required else {"allowEmptyValue": True}
        parameters.append(parameter)
    return parameters


def _body(body: BodySchema) -> Part:
    content: Part = {body.encoding: {} if body.schema is None else {"schema": json_schema(body.schema, _point)}}
    return {"description": body.description, "content": content} if body.description else {"content": content}


def _responses(method: Method) -> Part:
    is_query = method.kind is MethodKind.QUERY
    output = method.schema.output
    answer: Part = {"description": STATUSES[200], "headers": _headers(_OF_ANSWERS if is_query else _ALWAYS)}
    if output is not None:
        answer |= _body(output) | {"description": output.description or STATUSES[200]}
    responses: Part = {"200": answer}
    if is_query:
        responses["304"] = {"description": STATUSES[304], "headers": _headers(_OF_ANSWERS)}
    declared = [f"`{error.name}`: {error.description}" for error in method.errors]
    names = (*(error.name for error in method.errors), *GENERIC_ERRORS_OF[400])
    responses["400"] = _error("\n\n".join([STATUSES[400], *declared]), names, _ALWAYS)
    statuses = ANY_METHOD if method.schema.input is None else (*ANY_METHOD, *WITH_A_BODY)
    return responses | {str(status): {"$ref": f"#/components/responses/Status{status}"} for status in sorted(statuses)}


def _error(description: str, names: Iterable[str], headers: Iterable[str]) -> Part:
    named = {"properties": {"error": {"enum": list(names)}}}
    schema = {"allOf": [{"$ref": "#/components/schemas/Error"}, named]}
    return {"description": description, "headers": _headers(headers), "content": {_JSON: {"schema": schema}}}


def _of_status(status: int) -> tuple[str, ...]:
    more = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 502: ("Retry-After",), 503: ("Retry-After",)}
    return (*_ALWAYS, *more.get(status, ()))


def _headers(names: Iterable[str]) -> Part:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _common_parameters() -> Part:
    return {
        ACCEPT_LABELERS: {
            "name": ACCEPT_LABELERS,
            "in": "header",
            "description": (
                "Labelers whose labels are wanted: DIDs with commas between them, each perhaps with `;redact`. "
                "Without the header the usual ones, with an empty one none."
            ),
            "schema": {"type": "string"},
        },
        "If-None-Match": {
            "name": "If-None-Match",
            "in": "header",
            "description": "ETags of answers that are still at hand.",
            "schema": {"type": "string"},
        },
    }


def _point(reference: str) -> str:
    return f"#/components/schemas/{component_name(reference)}"


def _definitions(catalog: Catalog, settings: AppviewSettings, methods: Iterable[Method]) -> Part:
    """Return everything that bodies refer to, and the records, by name."""
    wanted = [nsid for nsid in catalog.record_nsids if nsid.startswith(f"{settings.namespace}.")]
    bodies = [body for method in methods for body in (method.schema.input, method.schema.output)]
    found: dict[str, Part] = {}
    waiting: list[str] = [*wanted]
    waiting += [ref for body in bodies if body is not None and body.schema is not None for ref in parts_of(body.schema)]
    while waiting:
        reference = waiting.pop()
        if reference in found:
            continue
        definition = catalog.definition(reference)
        if isinstance(definition, MethodSchema):
            raise LexiconError(f"{reference} is a method, which no value can be")
        found[reference] = json_schema(definition, _point)
        if isinstance(definition, RecordSchema):
            waiting += parts_of(definition.record)
        elif not isinstance(definition, TokenSchema):
            waiting += parts_of(definition)
    return {component_name(reference): found[reference] for reference in sorted(found)}


def _own_schemas() -> Part:
    return {
        "Error": {
            "type": "object",
            "required": ["error", "message"],
            "properties": {
                "error": {"type": "string", "description": "The name of the error, for programs."},
                "message": {"type": "string", "description": "What happened, for people."},
            },
        }
    }


def _other_paths() -> Part:
    health = {
        "type": "object",
        "required": ["status", "version"],
        "properties": {
            "status": {"type": "string", "const": "ok"},
            "version": {"type": "string", "description": "The version of the software."},
            "lagSeconds": {
                "type": "integer",
                "minimum": 0,
                "description": "How old the newest event of the network is that was heard; absent before the first.",
            },
        },
    }
    document = {
        "type": "object",
        "required": ["@context", "id", "service"],
        "properties": {
            "@context": {"type": "array", "items": {"type": "string"}},
            "id": {"type": "string", "format": "did"},
            "service": {"type": "array", "items": {"type": "object", "required": ["id", "type", "serviceEndpoint"]}},
        },
    }
    unwell = {str(status): {"$ref": f"#/components/responses/Status{status}"} for status in (500, 503)}
    return {
        "/xrpc/_health": {
            "get": _plain("Whether the service is well, and how far behind the network.", health, unwell)
        },
        "/.well-known/did.json": {"get": _plain("The service's DID document.", document, {})},
    }


def _plain(description: str, schema: Part, more: Part) -> Part:
    answer = {"description": STATUSES[200], "content": {_JSON: {"schema": schema}}}
    return {"summary": description.rstrip("."), "security": [{}], "responses": {"200": answer, **more}}
