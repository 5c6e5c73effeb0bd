"""Handles verified through DNS, HTTPS, and the resolver of a development network."""

from collections.abc import AsyncIterator

import pytest
from raw_server import RawServer, http_answer, raw_server

from atprotocol.errors import ForbiddenAddress, HostNotFound, NetworkError
from atprotocol.net.addresses import Policy
from atprotocol.net.dns_txt import TxtLookup
from atprotocol.net.handles import HandleStatus, HandleVerdict, HandleVerifier
from atprotocol.net.http import BoundedClient, Response
from atprotocol.syntax.did import DID
from atprotocol.syntax.handle import Handle

ALICE = DID("did:plc:ewvi7nxzyoun6zhxrhs64oiz")
BOB = DID("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")
HANDLE = Handle("alice.example.com")


class WellKnown(BoundedClient):
    """A client whose one answer is set by the test: HTTPS on loopback would need a certificate authority."""

    def __init__(self, answer: Response | NetworkError) -> None:
        super().__init__(Policy())
        self.answer = answer
        self.urls: list[str] = []

    async def get(self, url: str, **_: object) -> Response:  # type: ignore[override]
        self.urls.append(url)
        if isinstance(self.answer, NetworkError):
            raise self.answer
        return self.answer


def _txt(*values: str) -> TxtLookup:
    async def look_up(name: str) -> list[str]:
        assert name == f"_atproto.{HANDLE}"
        return list(values)

    return look_up


async def _no_dns(name: str) -> list[str]:
    raise NetworkError("the resolvers are silent")


def _well_known(status: int = 404, body: bytes = b"") -> WellKnown:
    return WellKnown(Response("https://x", status, {}, body))


async def _status(client: BoundedClient, look_up: TxtLookup, handle: Handle = HANDLE) -> HandleStatus:
    return (await HandleVerifier(client, look_up).verify_handle(handle, ALICE)).status


async def test_dns_verifies_without_asking_the_host() -> None:
    client = _well_known(200, BOB.encode())
    assert await _status(client, _txt("v=spf1 -all", f"did={ALICE}")) == HandleStatus.VERIFIED
    assert client.urls == []


async def test_the_case_of_a_handle_does_not_matter() -> None:
    assert await _status(_well_known(), _txt(f"did={ALICE}"), Handle("Alice.Example.COM")) == HandleStatus.VERIFIED


async def test_dns_wins_a_conflict_with_the_host() -> None:
    assert await _status(_well_known(200, ALICE.encode()), _txt(f"did={BOB}")) == HandleStatus.BROKEN


async def test_several_different_dids_in_dns_are_a_failure_and_one_repeated_is_none() -> None:
    verifier = HandleVerifier(_well_known(200, ALICE.encode()), _txt(f"did={ALICE}", f"did={BOB}"))
    assert await verifier.verify_handle(HANDLE, ALICE) == HandleVerdict(HandleStatus.BROKEN, "several DIDs in DNS")
    assert await _status(_well_known(), _txt(f"did={ALICE}", f"did={ALICE}", "did=nonsense")) == HandleStatus.VERIFIED


async def test_without_a_record_the_host_is_asked() -> None:
    client = _well_known(200, b" " + ALICE.encode() + b"\r\n")
    assert await _status(client, _txt("unrelated", "did=nonsense")) == HandleStatus.VERIFIED
    assert client.urls == [f"https://{HANDLE}/.well-known/atproto-did"]


@pytest.mark.parametrize(
    ("status", "body"), [(404, b""), (200, b"<html>"), (200, b"\xff"), (200, b""), (200, BOB.encode()), (403, b"")]
)
async def test_a_host_that_says_no_or_something_else_breaks_the_handle(status: int, body: bytes) -> None:
    assert await _status(_well_known(status, body), _txt()) == HandleStatus.BROKEN


@pytest.mark.parametrize("error", [ForbiddenAddress("private"), HostNotFound("nowhere")])
async def test_a_host_that_cannot_exist_breaks_the_handle(error: NetworkError) -> None:
    assert await _status(WellKnown(error), _txt()) == HandleStatus.BROKEN


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_host_in_trouble_is_inconclusive(status: int) -> None:
    assert await _status(_well_known(status), _txt()) == HandleStatus.UNAVAILABLE
    assert await _status(WellKnown(NetworkError("refused")), _txt()) == HandleStatus.UNAVAILABLE


async def test_without_dns_the_host_can_confirm_but_not_refuse() -> None:
    assert await _status(_well_known(200, ALICE.encode()), _no_dns) == HandleStatus.VERIFIED
    for answer in (_well_known(200, BOB.encode()), _well_known(404)):
        assert await _status(answer, _no_dns) == HandleStatus.UNAVAILABLE


async def test_a_name_too_long_for_dns_is_asked_of_the_host_alone() -> None:
    async def never(name: str) -> list[str]:
        raise AssertionError(name)

    long = Handle(".".join(["a" * 60] * 4) + ".com")
    assert await _status(_well_known(200, ALICE.encode()), never, long) == HandleStatus.VERIFIED


@pytest.mark.parametrize(
    "top_level", ["test", "local", "localhost", "invalid", "onion", "internal", "example", "alt", "arpa"]
)
async def test_a_reserved_name_never_resolves(top_level: str) -> None:
    async def never(name: str) -> list[str]:
        raise AssertionError(name)

    client = _well_known(200, ALICE.encode())
    assert await _status(client, never, Handle(f"alice.{top_level}")) == HandleStatus.BROKEN
    assert client.urls == []


@pytest.fixture
async def resolver() -> AsyncIterator[RawServer]:
    async with raw_server() as server:
        yield server


async def test_a_development_network_asks_its_resolver_instead(resolver: RawServer) -> None:
    path = "/xrpc/com.atproto.identity.resolveHandle?handle=alice.pds1.test"
    async with BoundedClient(Policy(allowed=frozenset((("127.0.0.1", resolver.port),)))) as client:
        verifier = HandleVerifier(client, _no_dns, resolver_url=resolver.url + "/")
        for answer, expected in (
            (http_answer(200, f'{{"did": "{ALICE}"}}'.encode()), HandleStatus.VERIFIED),
            (http_answer(200, f'{{"did": "{BOB}"}}'.encode()), HandleStatus.BROKEN),
            (http_answer(400, b'{"error": "HandleNotFound"}'), HandleStatus.BROKEN),
            (http_answer(200, b"[]"), HandleStatus.UNAVAILABLE),
            (http_answer(200, b"<"), HandleStatus.UNAVAILABLE),
            (http_answer(502), HandleStatus.UNAVAILABLE),
        ):
            resolver.answers[path] = answer
            assert (await verifier.verify_handle(Handle("alice.pds1.test"), ALICE)).status == expected
