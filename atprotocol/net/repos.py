"""Repos over HTTP: their bytes, their state, and who has records of a collection.

A repo is written to a file as it arrives, under a cap, and its bytes are not looked at. Conclusive answers
(the host says that the repo is gone, and why) are told apart from all others, which mean: try again.
Source: https://atproto.com/specs/sync
"""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from atprotocol.cid import CID, parse_cid
from atprotocol.data_model import Json
from atprotocol.errors import EncodingError, InvalidSyntax, NetworkError, RepoGone, RepoUnavailable
from atprotocol.net.http import BoundedClient
from atprotocol.syntax.did import DID, parse_did
from atprotocol.syntax.tid import TID, parse_tid

REPO_TIMEOUT_SECONDS = 600.0
MAX_ANSWER_BYTES = 1_000_000
WRITE_BYTES = 1_000_000
PAGE_LIMIT = 1000
_GONE = frozenset(("RepoNotFound", "RepoTakendown", "RepoSuspended", "RepoDeactivated"))


@dataclass(frozen=True, slots=True)
class RepoFile:
    """A repo's CAR in a file that exists within the block that fetched it; `url` is who gave it, after redirects."""

    path: Path
    size_bytes: int
    url: str


@dataclass(frozen=True, slots=True)
class LatestCommit:
    """The commit that a host says is a repo's latest."""

    cid: CID
    rev: TID


@dataclass(frozen=True, slots=True)
class RepoStatus:
    """What a host says of a repo; `status` explains an inactive one, `rev` is known of active ones."""

    did: DID
    active: bool
    status: str | None
    rev: TID | None


@dataclass(frozen=True, slots=True)
class RepoPage:
    """One page of repos; `cursor` asks for the page after it, None at the end."""

    dids: list[DID]
    cursor: str | None


@asynccontextmanager
async def get_repo(
    client: BoundedClient, pds: str, did: DID, *, max_bytes: int, spool_dir: Path | None = None
) -> AsyncIterator[RepoFile]:
    """Fetch a repo's CAR into a temporary file, removed at the end of the block.

    Raises RepoGone, ResponseTooLarge, ForbiddenAddress or RepoUnavailable.
    """
    url = xrpc_url(pds, "com.atproto.sync.getRepo", did=did)
    with tempfile.NamedTemporaryFile(prefix="repo-", suffix=".car", dir=spool_dir) as file:
        size_bytes = 0
        answered_by = url
        try:
            async with client.stream(url, max_bytes=max_bytes, timeout_seconds=REPO_TIMEOUT_SECONDS) as response:
                if response.status != 200:
                    wait = response.retry_after_seconds
                    raise failure(response.status, await response.read_excuse(), url, wait)
                answered_by = response.url
                pending = bytearray()
                async for piece in response.chunks():
                    pending += piece
                    size_bytes += len(piece)
                    if len(pending) >= WRITE_BYTES:
                        await asyncio.to_thread(file.write, bytes(pending))
                        pending.clear()
                await asyncio.to_thread(_finish, file, bytes(pending))
        except NetworkError as error:
            raise unavailable(error, url) from error
        yield RepoFile(Path(file.name), size_bytes, answered_by)


async def get_latest_commit(client: BoundedClient, pds: str, did: DID) -> LatestCommit:
    """Return the latest commit as the host tells it. Raises RepoGone or RepoUnavailable."""
    url = xrpc_url(pds, "com.atproto.sync.getLatestCommit", did=did)
    answer = await _ask(client, url)
    try:
        return LatestCommit(parse_cid(_text(answer, "cid")), parse_tid(_text(answer, "rev")))
    except (EncodingError, InvalidSyntax) as error:
        raise RepoUnavailable(f"{url}: {error}") from error


async def get_repo_status(client: BoundedClient, host: str, did: DID) -> RepoStatus:
    """Return whether the host serves the repo. Raises RepoGone or RepoUnavailable."""
    url = xrpc_url(host, "com.atproto.sync.getRepoStatus", did=did)
    answer = await _ask(client, url)
    active, status, rev = answer.get("active"), answer.get("status"), answer.get("rev")
    if not isinstance(active, bool):
        raise RepoUnavailable(f"{url}: no `active` in the answer")
    try:
        parsed = parse_tid(rev) if isinstance(rev, str) else None
    except InvalidSyntax as error:
        raise RepoUnavailable(f"{url}: {error}") from error
    return RepoStatus(did, active, status if isinstance(status, str) else None, parsed)


async def list_repos_by_collection(
    client: BoundedClient, relay: str, collection: str, cursor: str | None = None, *, limit: int = PAGE_LIMIT
) -> AsyncIterator[RepoPage]:
    """Yield the repos that have records of a collection, page by page, from `cursor` on.

    What is no DID is left out. Raises RepoUnavailable, also when the relay's cursor stands still.
    """
    while True:
        asked = {"collection": collection, "limit": str(limit)} | ({} if cursor is None else {"cursor": cursor})
        url = xrpc_url(relay, "com.atproto.sync.listReposByCollection", **asked)
        answer = await _ask(client, url)
        entries, following = answer.get("repos"), answer.get("cursor")
        if not isinstance(entries, list):
            raise RepoUnavailable(f"{url}: no `repos` in the answer")
        if following is not None and (not isinstance(following, str) or following == cursor):
            raise RepoUnavailable(f"{url}: the cursor does not move")
        yield RepoPage(_dids(entries), following or None)
        if not following:
            return
        cursor = following


def _dids(entries: list[Json]) -> list[DID]:
    dids = []
    for entry in entries:
        did = entry.get("did") if isinstance(entry, dict) else None
        if isinstance(did, str):
            try:
                dids.append(parse_did(did))
            except InvalidSyntax:
                continue
    return dids


async def _ask(client: BoundedClient, url: str) -> dict[str, Json]:
    try:
        response = await client.get(url, max_bytes=MAX_ANSWER_BYTES)
        if response.status != 200:
            raise failure(response.status, response.body, url, response.retry_after_seconds)
        answer = response.json()
    except NetworkError as error:
        raise unavailable(error, url) from error
    if not isinstance(answer, dict):
        raise RepoUnavailable(f"{url}: no object in the answer")
    return answer


def failure(status: int, body: bytes, url: str, retry_after_seconds: float | None) -> RepoGone | RepoUnavailable:
    """Return what an answer other than 200 means for the repo, whatever was asked of it."""
    name, message = error_of(body)
    if status < 500 and name in _GONE:
        return RepoGone(name, message)
    return RepoUnavailable(f"{url}: status {status}", retry_after_seconds=retry_after_seconds)


def error_of(body: bytes) -> tuple[str, str]:
    """Return the name and the message of an XRPC error, both empty where the body is none."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return "", ""
    name = answer.get("error") if isinstance(answer, dict) else None
    return (_readable(name), _readable(str(answer.get("message", "")))) if isinstance(name, str) else ("", "")


def _readable(text: str) -> str:
    """Return what a host says as a log and a row take it: the beginning, without control characters and half ones."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text[:200])


def _text(answer: Mapping[str, Json], name: str) -> str:
    value = answer.get(name)
    if not isinstance(value, str):
        raise InvalidSyntax(f"no `{name}` in the answer")
    return value


def xrpc_url(origin: str, method: str, **parameters: str | Sequence[str]) -> str:
    """Return the URL of a query; a parameter of several values is repeated."""
    return f"{origin.rstrip('/')}/xrpc/{method}?{urlencode(parameters, doseq=True, safe=':')}"


def unavailable(error: NetworkError, url: str) -> NetworkError:
    """Return the error itself where its kind says more than that the repo is unavailable."""
    if type(error) is not NetworkError:
        return error
    return RepoUnavailable(f"{url}: {error}", retry_after_seconds=error.retry_after_seconds)


def _finish(file: "tempfile._TemporaryFileWrapper[bytes]", pending: bytes) -> None:
    file.write(pending)
    file.flush()
