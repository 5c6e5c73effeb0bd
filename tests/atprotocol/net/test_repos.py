"""Repos fetched into files, and what hosts say of them."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from raw_server import RawServer, http_answer, raw_server

from atprotocol.cid import cid_of
from atprotocol.errors import ForbiddenAddress, NetworkError, RepoGone, RepoUnavailable, ResponseTooLarge
from atprotocol.net.addresses import Policy
from atprotocol.net.http import BoundedClient
from atprotocol.net.repos import get_latest_commit, get_repo, get_repo_status, list_repos_by_collection
from atprotocol.syntax.did import DID

ALICE = DID("did:plc:ewvi7nxzyoun6zhxrhs64oiz")
BOB = DID("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")
REPO = "/xrpc/com.atproto.sync.getRepo?did=did:plc:ewvi7nxzyoun6zhxrhs64oiz"
LATEST = REPO.replace("getRepo", "getLatestCommit")
STATUS = REPO.replace("getRepo", "getRepoStatus")
LIST = "/xrpc/com.atproto.sync.listReposByCollection?collection=com.example.song&limit=2"


@pytest.fixture
async def pds() -> AsyncIterator[RawServer]:
    async with raw_server() as server:
        yield server


@pytest.fixture
async def client(pds: RawServer) -> AsyncIterator[BoundedClient]:
    async with BoundedClient(Policy(allowed=frozenset((("127.0.0.1", pds.port),)))) as opened:
        yield opened


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def _json(value: object, status: int = 200) -> bytes:
    return http_answer(status, json.dumps(value).encode())


async def test_a_repo_is_in_a_file_within_the_block_and_gone_after_it(
    pds: RawServer, client: BoundedClient, tmp_path: Path
) -> None:
    body = bytes(range(256)) * 10_000
    pds.answers[REPO] = http_answer(200, body)
    async with get_repo(client, pds.url, ALICE, max_bytes=len(body), spool_dir=tmp_path) as repo:
        assert repo.path.parent == tmp_path
        assert repo.path.read_bytes() == body
        assert repo.size_bytes == len(body)
    assert _files(tmp_path) == []


async def test_a_repo_beyond_the_cap_leaves_no_file(pds: RawServer, client: BoundedClient, tmp_path: Path) -> None:
    pds.answers[REPO] = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * 200_000
    with pytest.raises(ResponseTooLarge):
        async with get_repo(client, pds.url, ALICE, max_bytes=100_000, spool_dir=tmp_path):
            pass
    assert _files(tmp_path) == []


async def test_what_fails_within_the_block_is_not_taken_for_the_network(
    pds: RawServer, client: BoundedClient, tmp_path: Path
) -> None:
    pds.answers[REPO] = http_answer(200, b"x")
    with pytest.raises(OSError, match="disk"):
        async with get_repo(client, pds.url, ALICE, max_bytes=100, spool_dir=tmp_path):
            raise OSError("disk")
    assert _files(tmp_path) == []


async def test_a_repo_is_fetched_where_a_relay_sends_us(pds: RawServer, client: BoundedClient, tmp_path: Path) -> None:
    pds.answers[REPO] = http_answer(302, Location="/elsewhere")
    pds.answers["/elsewhere"] = http_answer(200, b"car")
    async with get_repo(client, pds.url, ALICE, max_bytes=100, spool_dir=tmp_path) as repo:
        assert repo.url == f"{pds.url}/elsewhere"
    pds.answers[REPO] = http_answer(302, Location="http://169.254.169.254/")
    with pytest.raises(ForbiddenAddress):
        async with get_repo(client, pds.url, ALICE, max_bytes=100, spool_dir=tmp_path):
            pass


async def test_an_escape_within_a_did_reaches_the_host_as_it_is(pds: RawServer, client: BoundedClient) -> None:
    pds.answers[STATUS.replace(ALICE, "did:web:localhost%253A2583")] = _json({"active": True, "rev": "3jzfcijpj2z2a"})
    assert (await get_repo_status(client, pds.url, DID("did:web:localhost%3A2583"))).active


@pytest.mark.parametrize("reason", ["RepoNotFound", "RepoTakendown", "RepoSuspended", "RepoDeactivated"])
async def test_a_host_that_names_the_reason_is_conclusive(pds: RawServer, client: BoundedClient, reason: str) -> None:
    for path in (REPO, LATEST, STATUS):
        pds.answers[path] = _json({"error": reason, "message": "no more"}, 400)
    with pytest.raises(RepoGone) as caught:
        async with get_repo(client, pds.url, ALICE, max_bytes=100):
            pass
    assert caught.value.reason == reason
    with pytest.raises(RepoGone):
        await get_latest_commit(client, pds.url, ALICE)
    with pytest.raises(RepoGone):
        await get_repo_status(client, pds.url, ALICE)


@pytest.mark.parametrize(
    "answer",
    [
        *(_json({"error": "InvalidRequest"}, 400), http_answer(404, b"<html>"), http_answer(502, b""), b""),
        *(_json({"error": ["RepoNotFound"]}, 400), _json({"error": "RepoNotFound"}, 500), _json([], 400)),
    ],
)
async def test_any_other_failure_may_be_tried_again(pds: RawServer, client: BoundedClient, answer: bytes) -> None:
    pds.answers |= {REPO: answer, LATEST: answer}
    with pytest.raises(RepoUnavailable):
        async with get_repo(client, pds.url, ALICE, max_bytes=100):
            pass
    with pytest.raises(RepoUnavailable):
        await get_latest_commit(client, pds.url, ALICE)


async def test_the_wait_that_a_host_asks_for_is_passed_on(pds: RawServer, client: BoundedClient) -> None:
    pds.answers |= {REPO: http_answer(429, Retry_After="9"), LATEST: http_answer(503, Retry_After="8")}
    with pytest.raises(NetworkError) as repo:
        async with get_repo(client, pds.url, ALICE, max_bytes=100):
            pass
    with pytest.raises(NetworkError) as latest:
        await get_latest_commit(client, pds.url, ALICE)
    assert (repo.value.retry_after_seconds, latest.value.retry_after_seconds) == (9, 8)


async def test_the_latest_commit_and_the_status_are_parsed(pds: RawServer, client: BoundedClient) -> None:
    cid = cid_of(b"commit")
    pds.answers[LATEST] = _json({"cid": str(cid), "rev": "3jzfcijpj2z2a"})
    pds.answers[STATUS] = _json({"did": ALICE, "active": False, "status": "takendown"})
    latest = await get_latest_commit(client, pds.url, ALICE)
    assert (latest.cid, latest.rev) == (cid, "3jzfcijpj2z2a")
    status = await get_repo_status(client, pds.url, ALICE)
    assert (status.active, status.status, status.rev) == (False, "takendown", None)


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        {"cid": "x", "rev": "3jzfcijpj2z2a"},
        {"cid": str(cid_of(b"")), "rev": "x"},
        {"active": 1},
        {"active": True, "rev": "x"},
    ],
)
async def test_a_malformed_answer_is_no_answer(pds: RawServer, client: BoundedClient, value: object) -> None:
    pds.answers |= {LATEST: _json(value), STATUS: _json(value)}
    with pytest.raises(RepoUnavailable):
        await get_latest_commit(client, pds.url, ALICE)
    with pytest.raises(RepoUnavailable):
        await get_repo_status(client, pds.url, ALICE)


async def test_a_listing_is_followed_to_its_last_page(pds: RawServer, client: BoundedClient) -> None:
    pds.answers[LIST] = _json({"repos": [{"did": ALICE}, {"did": "nonsense"}, 3, {}], "cursor": "a&b"})
    pds.answers[LIST + "&cursor=a%26b"] = _json({"repos": [{"did": BOB}]})
    pages = [page async for page in list_repos_by_collection(client, pds.url, "com.example.song", limit=2)]
    assert [(page.dids, page.cursor) for page in pages] == [([ALICE], "a&b"), ([BOB], None)]


async def test_a_listing_that_stands_still_ends_with_an_error(pds: RawServer, client: BoundedClient) -> None:
    pds.answers[LIST] = pds.answers[LIST + "&cursor=x"] = _json({"repos": [], "cursor": "x"})
    with pytest.raises(RepoUnavailable):
        [page async for page in list_repos_by_collection(client, pds.url, "com.example.song", limit=2)]
