"""Parts of a repo: what hosts answer, and what is left of it once every block is held against its CID."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import world
from raw_server import RawServer, http_answer, raw_server

from atprotocol.errors import EncodingError, NetworkError, ProtocolError, RepoGone, RepoUnavailable, ResponseTooLarge
from atprotocol.net.addresses import Policy
from atprotocol.net.http import BoundedClient
from atprotocol.net.repo_blocks import CIDS_PER_REQUEST, MethodRefused, get_blocks, get_record_proof
from atprotocol.syntax.did import DID

ALICE = DID("did:plc:ewvi7nxzyoun6zhxrhs64oiz")
RECORD = f"/xrpc/com.atproto.sync.getRecord?did={ALICE}&collection=com.example.song&rkey=self"
BLOCKS = [world.encode({"number": number}) for number in range(200)]
CIDS = [world.cid_of(block) for block in BLOCKS]
STORE = dict(zip(CIDS, BLOCKS, strict=True))

Ask = Callable[[], Awaitable[object]]


def path_of(cids: list[bytes]) -> str:
    return f"/xrpc/com.atproto.sync.getBlocks?did={ALICE}" + "".join(f"&cids={world.cid_text(cid)}" for cid in cids)


def car_of(cids: list[bytes], root: bytes | None = None) -> bytes:
    return world.car(root, {cid: STORE[cid] for cid in cids})


def error(status: int, name: str, message: str = "", **headers: str) -> bytes:
    return http_answer(status, json.dumps({"error": name, "message": message}).encode(), **headers)


@pytest.fixture
async def pds() -> AsyncIterator[RawServer]:
    async with raw_server() as server:
        yield server


@pytest.fixture
async def client(pds: RawServer) -> AsyncIterator[BoundedClient]:
    async with BoundedClient(Policy(allowed=frozenset((("127.0.0.1", pds.port),)))) as opened:
        yield opened


@pytest.fixture(params=["getRecord", "getBlocks"])
def ask(request: pytest.FixtureRequest, pds: RawServer, client: BoundedClient) -> tuple[str, Ask]:
    """Give the path of a method and a function that asks it."""

    async def record() -> object:
        return await get_record_proof(client, pds.url, ALICE, "com.example.song", "self", max_bytes=10_000)

    async def blocks() -> object:
        return await get_blocks(client, pds.url, ALICE, CIDS[:1], max_bytes=10_000)

    return (RECORD, record) if request.param == "getRecord" else (path_of(CIDS[:1]), blocks)


async def test_a_proof_is_the_checked_car_that_came(pds: RawServer, client: BoundedClient) -> None:
    body = car_of(CIDS[:3], CIDS[1])
    pds.answers[RECORD] = http_answer(200, body)
    proof = await get_record_proof(client, pds.url, ALICE, "com.example.song", "self", max_bytes=len(body))

    assert (proof.car.root, proof.car.blocks) == (CIDS[1], {cid: STORE[cid] for cid in CIDS[:3]})
    assert proof.size_bytes == len(body)


async def test_blocks_are_asked_for_in_urls_that_servers_take(pds: RawServer, client: BoundedClient) -> None:
    chunks = [CIDS[:CIDS_PER_REQUEST], CIDS[CIDS_PER_REQUEST : 2 * CIDS_PER_REQUEST], CIDS[2 * CIDS_PER_REQUEST :]]
    bodies = [car_of(chunk) for chunk in chunks]
    pds.answers = {path_of(chunk): http_answer(200, body) for chunk, body in zip(chunks, bodies, strict=True)}
    found = await get_blocks(client, pds.url, ALICE, CIDS, max_bytes=sum(map(len, bodies)))

    assert found.blocks == STORE
    assert (found.requests, found.size_bytes) == (3, sum(map(len, bodies)))
    assert max(map(len, pds.paths)) < 6000
    with pytest.raises(ResponseTooLarge):
        await get_blocks(client, pds.url, ALICE, CIDS, max_bytes=sum(map(len, bodies)) - 1)


async def test_nothing_is_asked_for_nothing(pds: RawServer, client: BoundedClient) -> None:
    assert (await get_blocks(client, pds.url, ALICE, [], max_bytes=0)).requests == 0
    assert pds.requests == []


async def test_blocks_that_were_not_asked_for_are_left_out(pds: RawServer, client: BoundedClient) -> None:
    pds.answers[path_of(CIDS[:2])] = http_answer(200, car_of(CIDS[:5]))
    assert (await get_blocks(client, pds.url, ALICE, CIDS[:2], max_bytes=10_000)).blocks.keys() == set(CIDS[:2])


@pytest.mark.parametrize(
    "answer",
    [
        error(400, "InvalidRequest", "Could not find cids: bafy"),
        error(400, "BlockNotFound"),
        error(404, "BlockNotFound", "no such block"),
        http_answer(200, car_of(CIDS[1:CIDS_PER_REQUEST])),
    ],
)
async def test_a_missing_block_ends_the_asking_with_what_was_found(
    pds: RawServer, client: BoundedClient, answer: bytes
) -> None:
    pds.answers[path_of(CIDS[:CIDS_PER_REQUEST])] = answer
    found = await get_blocks(client, pds.url, ALICE, CIDS, max_bytes=100_000)

    assert CIDS[0] not in found.blocks
    assert found.requests == len(pds.requests) == 1


async def test_a_block_that_does_not_hash_to_its_cid_is_refused(pds: RawServer, ask: tuple[str, Ask]) -> None:
    path, call = ask
    pds.answers[path] = http_answer(200, world.car(CIDS[0], {CIDS[0]: BLOCKS[1]}))
    with pytest.raises(EncodingError, match="does not hash"):
        await call()


@pytest.mark.parametrize("reason", ["RepoNotFound", "RepoTakendown", "RepoSuspended", "RepoDeactivated"])
async def test_a_repo_that_is_gone_is_told_with_the_reason(pds: RawServer, ask: tuple[str, Ask], reason: str) -> None:
    path, call = ask
    pds.answers[path] = error(400, reason, "no more")
    with pytest.raises(RepoGone) as caught:
        await call()
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("answer", "is_lasting"),
    [
        (error(501, "MethodNotImplemented"), True),
        (error(400, "MethodNotImplemented"), True),
        (http_answer(501, b"<html>"), True),
        (http_answer(404, b"<html>"), True),
        (http_answer(405, b""), True),
        (error(404, "RecordNotFound"), False),
        (error(400, "RecordNotFound"), False),
        (error(400, "InvalidRequest", "too many"), False),
        (error(401, "AuthMissing", "Could not find cids without a token"), False),
        (http_answer(403, b"[]"), False),
    ],
)
async def test_a_host_that_refuses_the_method_is_neither_down_nor_is_the_repo_gone(
    pds: RawServer, ask: tuple[str, Ask], answer: bytes, is_lasting: bool
) -> None:
    path, call = ask
    pds.answers[path] = answer
    with pytest.raises(MethodRefused) as caught:
        await call()
    assert isinstance(caught.value, ProtocolError)
    assert caught.value.is_lasting is is_lasting


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503])
async def test_a_host_that_fails_or_asks_to_wait_is_to_be_tried_again(
    pds: RawServer, ask: tuple[str, Ask], status: int
) -> None:
    path, call = ask
    pds.answers[path] = error(status, "RepoNotFound" if status >= 500 else "RateLimitExceeded", Retry_After="9")
    with pytest.raises(NetworkError) as caught:
        await call()
    assert isinstance(caught.value, RepoUnavailable)
    assert caught.value.retry_after_seconds == 9


async def test_a_connection_that_breaks_is_to_be_tried_again(pds: RawServer, ask: tuple[str, Ask]) -> None:
    path, call = ask
    pds.answers[path] = http_answer(200, car_of(CIDS[:1], CIDS[0]))[:-5]
    with pytest.raises(RepoUnavailable):
        await call()


async def test_an_answer_beyond_the_cap_is_too_large(pds: RawServer, ask: tuple[str, Ask]) -> None:
    path, call = ask
    pds.answers[path] = http_answer(200, bytes(10_001))
    with pytest.raises(ResponseTooLarge):
        await call()
