"""What the network needs from a DID document: keys, hosts, and the handle that is claimed.

A document of another DID is refused. Everything else that is malformed counts as absent, entry by entry,
because documents hold much that is not ours. The handle is a claim until it is verified both ways, and
keys come out in one form (did:key), whatever generation of the document named them.
Source: https://atproto.com/specs/did#did-documents
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from atprotocol.crypto import PublicKey, parse_legacy_key, parse_multikey
from atprotocol.data_model import Json
from atprotocol.errors import InvalidDocument, InvalidKey, InvalidSyntax
from atprotocol.syntax.did import DID
from atprotocol.syntax.handle import Handle, normalize_handle, parse_handle

PDS_TYPE = "AtprotoPersonalDataServer"
LABELER_TYPE = "AtprotoLabeler"
_ENDPOINT = re.compile(r"(https?)://([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?/?", re.IGNORECASE)
_DEFAULT_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class DidDocument:
    """A parsed document; None means that it names none, or none that is valid.

    `handle_claim` is in lower case and unverified, keys are did:key texts, `pds` and `labeler` origins without a
    trailing slash. Labels are signed with `label_key` and no other.
    """

    did: DID
    handle_claim: Handle | None
    signing_key: str | None
    pds: str | None
    label_key: str | None = None
    labeler: str | None = None


def parse_did_document(document: Json, did: DID, *, allow_http: bool = False) -> DidDocument:
    """Return what the document says of the DID that was asked for.

    `allow_http` admits hosts without TLS, for development networks.
    Raises InvalidDocument when it is no object, or the document of another DID.
    """
    if not isinstance(document, dict):
        raise InvalidDocument(f"the document of {did} is no object")
    if document.get("id") != did:
        raise InvalidDocument(f"the document of {did} says that it is of {str(document.get('id'))[:80]!r}")
    return DidDocument(
        did,
        _handle_claim(document),
        _key(document, did, "#atproto"),
        _endpoint(document, did, "#atproto_pds", PDS_TYPE, allow_http),
        _key(document, did, "#atproto_label"),
        _endpoint(document, did, "#atproto_labeler", LABELER_TYPE, allow_http),
    )


def parse_endpoint(text: str, *, allow_http: bool = False) -> str | None:
    """Return the origin that a service endpoint names, or None when it is more or less than an origin."""
    match = _ENDPOINT.fullmatch(text)
    if match is None:
        return None
    scheme, host, port_text = match[1].lower(), match[2].lower(), match[3]
    if scheme == "http" and not allow_http:
        return None
    port = int(port_text) if port_text else _DEFAULT_PORTS[scheme]
    if not 0 < port < 65536:
        return None
    return f"{scheme}://{host}" if port == _DEFAULT_PORTS[scheme] else f"{scheme}://{host}:{port}"


def _handle_claim(document: dict[str, Json]) -> Handle | None:
    names = document.get("alsoKnownAs")
    for name in names if isinstance(names, list) else ():
        if isinstance(name, str) and name.startswith("at://"):
            try:
                return normalize_handle(parse_handle(name.removeprefix("at://")))
            except InvalidSyntax:
                continue
    return None


def _key(document: dict[str, Json], did: DID, fragment: str) -> str | None:
    for method in _entries(document, "verificationMethod", did, fragment):
        kind, multibase = method.get("type"), method.get("publicKeyMultibase")
        if method.get("controller", did) != did or not isinstance(kind, str) or not isinstance(multibase, str):
            continue
        try:
            return _parse_key(kind, multibase).did_key
        except InvalidKey:
            continue
    return None


def _parse_key(kind: str, multibase: str) -> PublicKey:
    return parse_multikey(multibase) if kind == "Multikey" else parse_legacy_key(kind, multibase)


def _endpoint(document: dict[str, Json], did: DID, fragment: str, kind: str, allow_http: bool) -> str | None:
    # The first entry of this id and type is the host, valid or not: a second is no fallback.
    for service in _entries(document, "service", did, fragment):
        if service.get("type") == kind:
            endpoint = service.get("serviceEndpoint")
            return parse_endpoint(endpoint, allow_http=allow_http) if isinstance(endpoint, str) else None
    return None


def _entries(document: dict[str, Json], name: str, did: DID, fragment: str) -> Iterator[dict[str, Json]]:
    """Yield the objects of a list whose id is the fragment, alone or after the DID."""
    entries = document.get(name)
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and entry.get("id") in (fragment, did + fragment):
            yield entry
