"""From DIDs to identities, against a PLC directory of the test's own."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from raw_server import RawServer, http_answer, raw_server

from atprotocol.crypto import private_key_from_bytes
from atprotocol.errors import IdentityNotFound, IdentityUnavailable
from atprotocol.net.addresses import Policy
from atprotocol.net.directory import Directory
from atprotocol.net.http import BoundedClient
from atprotocol.syntax.did import DID

ALICE = DID("did:plc:ewvi7nxzyoun6zhxrhs64oiz")
KEY = private_key_from_bytes("K-256", bytes(range(1, 33))).public_key


def _document(did: str, pds: str = "https://pds.example.com") -> bytes:
    key = {"id": "#atproto", "type": "Multikey", "controller": did, "publicKeyMultibase": KEY.multikey}
    service = {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": pds}
    names = ["at://alice.example.com"]
    return json.dumps({"id": did, "alsoKnownAs": names, "verificationMethod": [key], "service": [service]}).encode()


@pytest.fixture
async def plc() -> AsyncIterator[RawServer]:
    async with raw_server() as server:
        yield server


@pytest.fixture
async def client(plc: RawServer) -> AsyncIterator[BoundedClient]:
    allowed = frozenset((("127.0.0.1", plc.port), ("localhost", plc.port)))
    async with BoundedClient(Policy(allowed=allowed)) as opened:
        yield opened


async def test_a_plc_did_gives_key_host_and_claim(plc: RawServer, client: BoundedClient) -> None:
    plc.answers[f"/{ALICE}"] = http_answer(200, _document(ALICE))
    identity = await Directory(client, plc.url + "/").resolve(ALICE)
    assert identity.did == ALICE
    assert identity.handle_claim == "alice.example.com"
    assert identity.signing_key == KEY.did_key
    assert identity.pds == "https://pds.example.com"


@pytest.mark.parametrize("status", [404, 410])
async def test_an_unknown_or_tombstoned_did_is_not_found(plc: RawServer, client: BoundedClient, status: int) -> None:
    plc.answers[f"/{ALICE}"] = http_answer(status, b'{"message": "DID not available"}' * 5000)
    with pytest.raises(IdentityNotFound) as caught:
        await Directory(client, plc.url).resolve(ALICE)
    assert caught.value.is_tombstone is (status == 410)


@pytest.mark.parametrize(
    "answer",
    [
        http_answer(500),
        http_answer(403),
        http_answer(200, b"<html>"),
        http_answer(200, b"[]"),
        http_answer(200, _document("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")),
        http_answer(200, b" " * 100_000),
        http_answer(302, Location="http://169.254.169.254/"),
        b"",
    ],
)
async def test_any_other_answer_is_inconclusive(plc: RawServer, client: BoundedClient, answer: bytes) -> None:
    plc.answers[f"/{ALICE}"] = answer
    with pytest.raises(IdentityUnavailable):
        await Directory(client, plc.url).resolve(ALICE)


async def test_the_wait_that_the_directory_asks_for_is_passed_on(plc: RawServer, client: BoundedClient) -> None:
    plc.answers[f"/{ALICE}"] = http_answer(429, Retry_After="30")
    with pytest.raises(IdentityUnavailable) as caught:
        await Directory(client, plc.url).resolve(ALICE)
    assert caught.value.retry_after_seconds == 30


@pytest.mark.parametrize(
    "did",
    [
        *(
            "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme",
            "did:plc:short",
            "did:plc:EWVI7NXZYOUN6ZHXRHS64OIZ",
        ),
        *("did:web:example.com:user:alice", "did:web:example.com%3A8443", "did:web:127.0.0.1", "did:web:singlelabel"),
        *(
            "did:web:host.local",
            "did:web:host.internal",
            "did:web:host.test",
            "did:web:localhost",
            "did:web:localhost%3A2583",
        ),
        *("did:web:example.com%2F..", "did:web:Example.com", "did:web:-a.com"),
    ],
)
async def test_a_did_that_the_network_does_not_resolve_is_not_asked_for(
    plc: RawServer, client: BoundedClient, did: str
) -> None:
    with pytest.raises(IdentityNotFound):
        await Directory(client, plc.url).resolve(DID(did))
    assert plc.requests == []


async def test_did_web_localhost_is_resolved_on_a_development_network(plc: RawServer, client: BoundedClient) -> None:
    did = DID(f"did:web:localhost%3A{plc.port}")
    plc.answers["/.well-known/did.json"] = http_answer(200, _document(did, "http://localhost:2583"))
    identity = await Directory(client, "http://127.0.0.1:1", allow_http=True).resolve(did)
    assert identity.pds == "http://localhost:2583"


async def test_concurrent_lookups_of_one_did_are_one_request_and_nothing_is_kept(
    plc: RawServer, client: BoundedClient
) -> None:
    asked, release = asyncio.Event(), asyncio.Event()

    async def wait(writer: asyncio.StreamWriter) -> None:
        asked.set()
        await release.wait()
        writer.write(http_answer(200, _document(ALICE)))

    plc.answers[f"/{ALICE}"] = wait
    directory = Directory(client, plc.url)
    tasks = [asyncio.create_task(directory.resolve(ALICE)) for _ in range(5)]
    await asked.wait()
    tasks[0].cancel()
    release.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert len({result for result in results[1:] if not isinstance(result, BaseException)}) == 1
    assert len(plc.requests) == 1
    assert not directory.under_way
    await directory.resolve(ALICE)
    assert len(plc.requests) == 2


async def test_a_failed_lookup_fails_for_all_who_share_it_and_is_tried_again(
    plc: RawServer, client: BoundedClient
) -> None:
    plc.answers[f"/{ALICE}"] = http_answer(503)
    directory = Directory(client, plc.url)
    results = await asyncio.gather(*(directory.resolve(ALICE) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [IdentityUnavailable] * 3
    assert len(plc.requests) == 1
    plc.answers[f"/{ALICE}"] = http_answer(200, _document(ALICE))
    assert (await directory.resolve(ALICE)).did == ALICE
