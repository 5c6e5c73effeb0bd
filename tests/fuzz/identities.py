"""DID documents, and what DNS and hosts say of handles, against what can be found out about them in another way."""

import json
from collections.abc import Awaitable
from typing import Any

import world
from fuzz.choices import Choices
from fuzz.words import said

from atprotocol.crypto import parse_did_key
from atprotocol.did_document import parse_did_document, parse_endpoint
from atprotocol.errors import InvalidDocument, InvalidSyntax, NetworkError
from atprotocol.net.handles import HandleStatus, HandleVerifier
from atprotocol.net.http import BoundedClient
from atprotocol.syntax.did import DID, parse_did
from atprotocol.syntax.handle import Handle, is_reserved_handle, normalize_handle, parse_handle

DID_ASKED = DID("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")


def fuzz_document(data: bytes) -> str:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return "no JSON"
    try:
        parsed = parse_did_document(document, DID_ASKED)
    except InvalidDocument as error:
        return said(error)[:30]
    assert document["id"] == parsed.did == DID_ASKED
    if parsed.signing_key is not None:
        assert parse_did_key(parsed.signing_key).did_key == parsed.signing_key
    if parsed.pds is not None:
        assert parsed.pds.startswith("https://")
        assert parse_endpoint(parsed.pds) == parsed.pds
    if parsed.handle_claim is not None:
        assert normalize_handle(parse_handle(parsed.handle_claim)) == parsed.handle_claim
    return f"{parsed.signing_key is not None} {parsed.pds is not None} {parsed.handle_claim is not None}"


def document_seeds() -> tuple[bytes, ...]:
    network = world.World(2)
    documents = []
    for curve in ("K-256", "P-256"):
        account = network.account(did=str(DID_ASKED), curve=curve)
        document = account.document()
        documents.append(document)
        method = document["verificationMethod"][0]
        legacy = {"K-256": "EcdsaSecp256k1VerificationKey2019", "P-256": "EcdsaSecp256r1VerificationKey2019"}[curve]
        documents.append(document | {"verificationMethod": [method | {"type": legacy, "id": "#atproto"}]})
    documents.append({"id": str(DID_ASKED)})
    return tuple(json.dumps(document).encode() for document in documents)


class _Answer:
    """What a handle's own host says."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.body = body


class _Host(BoundedClient):
    """A client to which one answer comes, or none."""

    def __init__(self, answer: _Answer | None) -> None:
        self._answer = answer

    async def get(self, url: str, **_: Any) -> Any:
        if self._answer is None:
            raise NetworkError("silence")
        return self._answer


def fuzz_handle(data: bytes) -> str:
    """Hold the verdict about a handle against one that is found in another way."""
    choices = Choices(data)
    handle = choices.one_of(("ann.example.com", "ANN.example.com", "ann.test", "ann.invalid", "a.onion", "x.co"))
    values = None if choices.below(8) == 0 else [_txt_value(choices) for _ in range(choices.below(4))]
    answer = None if choices.below(4) == 0 else _Answer(choices.one_of((200, 200, 404, 429, 500)), _body(choices))

    async def look_up(name: str) -> list[str]:
        assert name == f"_atproto.{handle.lower()}"
        if values is None:
            raise NetworkError("silence")
        return values

    verdict = _completed(HandleVerifier(_Host(answer), look_up).verify_handle(Handle(handle), DID_ASKED))
    assert verdict.status is _expected(handle, values, answer)
    return f"{verdict.status} {(verdict.reason or '')[:20]}"


def _expected(handle: str, values: list[str] | None, answer: _Answer | None) -> HandleStatus:
    if handle.lower().rpartition(".")[2] in ("invalid", "onion", "test") and is_reserved_handle(Handle(handle.lower())):
        return HandleStatus.BROKEN
    named = {value[4:].strip() for value in values or () if value[:4] == "did=" and _is_did(value[4:].strip())}
    if named:
        return HandleStatus.VERIFIED if named == {DID_ASKED} else HandleStatus.BROKEN
    if answer is None or answer.status in (429, 500):
        return HandleStatus.UNAVAILABLE
    if answer.status == 200 and answer.body.decode("utf-8", "replace").strip() == DID_ASKED:
        return HandleStatus.VERIFIED
    return HandleStatus.BROKEN if values is not None else HandleStatus.UNAVAILABLE


def _txt_value(choices: Choices) -> str:
    did = choices.one_of((str(DID_ASKED), str(DID_ASKED), "did:web:example.com", "did:plc:", "nonsense"))
    text = (
        choices.one_of(("did=", "did=", "did= ", "DID=", "v=spf1 ")) + did + choices.one_of(("", "", " ", "\n", "\0"))
    )
    return choices.edited(text.encode()).decode("utf-8", "replace") if choices.below(3) == 0 else text


def _body(choices: Choices) -> bytes:
    body = choices.one_of((b"", b" ", b"\n")) + str(DID_ASKED).encode() + choices.one_of((b"", b"\n", b"\r\n\r\n"))
    return choices.edited(body) if choices.below(3) == 0 else body


def _is_did(text: str) -> bool:
    try:
        parse_did(text)
    except InvalidSyntax:
        return False
    return True


def _completed(awaitable: Awaitable[Any]) -> Any:
    """Run a coroutine that waits for nothing."""
    running = awaitable.__await__()
    try:
        next(running)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waited")
