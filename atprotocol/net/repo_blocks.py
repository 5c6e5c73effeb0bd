"""Parts of a repo over HTTP: the proof of one record, and blocks by their CIDs.

Every block is checked against its CID; what the blocks say is not looked at. Hosts need not offer these methods, so
that one is not offered is told apart from a repo that is gone, and from a host that fails and may be asked again.
Source: https://atproto.com/specs/sync
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from atprotocol.car import Car, read_blocks, read_car
from atprotocol.cid import cid_from_bytes
from atprotocol.errors import NetworkError, ProtocolError
from atprotocol.net.http import BoundedClient
from atprotocol.net.repos import error_of, failure, unavailable, xrpc_url
from atprotocol.syntax.did import DID

# A CID takes 65 characters of the URL, and many servers refuse URLs of 8 kB.
CIDS_PER_REQUEST = 80
# The request was refused for now, not the method.
_TRANSIENT = frozenset((408, 425, 429))
_NO_SUCH_METHOD = frozenset((404, 405, 501))


class MethodRefused(ProtocolError):
    """The host answers, but not what was asked; `is_lasting` when it does not offer the method at all."""

    def __init__(self, message: str, name: str, explanation: str, *, is_lasting: bool) -> None:
        """Say what was asked, and the name and the words of the error that came."""
        super().__init__(message)
        self.name = name
        self.explanation = explanation
        self.is_lasting = is_lasting


@dataclass(frozen=True, slots=True)
class RecordProof:
    """A signed commit, the CAR's root, with the tree nodes on the way to a key, and its record where it exists."""

    car: Car
    size_bytes: int


@dataclass(slots=True)
class FoundBlocks:
    """Those of the blocks that were asked for that a host has, and what it took to learn that."""

    blocks: dict[bytes, bytes] = field(default_factory=dict)
    size_bytes: int = 0
    requests: int = 0


async def get_record_proof(
    client: BoundedClient, pds: str, did: DID, collection: str, record_key: str, *, max_bytes: int
) -> RecordProof:
    """Fetch the proof of what a repo holds at a key, or that it holds nothing there.

    Raises RepoGone, MethodRefused, EncodingError, ResponseTooLarge or another NetworkError.
    """
    body = await _fetch(
        client,
        xrpc_url(pds, "com.atproto.sync.getRecord", did=did, collection=collection, rkey=record_key),
        max_bytes,
    )
    # Off the loop: a host may send as much as is allowed.
    return RecordProof(await asyncio.to_thread(read_car, body), len(body))


async def get_blocks(
    client: BoundedClient, pds: str, did: DID, cids: Sequence[bytes], *, max_bytes: int
) -> FoundBlocks:
    """Fetch blocks of a repo, many at a time, up to the first answer that lacks some; others than asked are left out.

    `max_bytes` bounds all answers together. Raises RepoGone, MethodRefused, EncodingError, ResponseTooLarge or another
    NetworkError.
    """
    found = FoundBlocks()
    for start in range(0, len(cids), CIDS_PER_REQUEST):
        asked = cids[start : start + CIDS_PER_REQUEST]
        names = [str(cid_from_bytes(cid)) for cid in asked]
        found.requests += 1
        try:
            body = await _fetch(
                client,
                xrpc_url(pds, "com.atproto.sync.getBlocks", did=did, cids=names),
                max_bytes - found.size_bytes,
            )
        except MethodRefused as refused:
            if _is_missing(refused):
                break
            raise
        found.size_bytes += len(body)
        blocks = await asyncio.to_thread(read_blocks, body)
        had = {cid: blocks[cid] for cid in asked if cid in blocks}
        found.blocks |= had
        if len(had) < len(asked):
            break
    return found


def _is_missing(refused: MethodRefused) -> bool:
    """Tell whether the host offers the method but lacks a block; the reference implementation has no name for that."""
    return refused.name == "BlockNotFound" or (
        refused.name == "InvalidRequest" and refused.explanation.startswith("Could not find cids")
    )


async def _fetch(client: BoundedClient, url: str, max_bytes: int) -> bytes:
    method = url.partition("?")[0]
    try:
        response = await client.get(url, max_bytes=max_bytes)
    except NetworkError as error:
        raise unavailable(error, method) from error
    if response.status == 200:
        return response.body
    status, (name, explanation) = response.status, error_of(response.body)
    told = failure(status, response.body, method, response.retry_after_seconds)
    if isinstance(told, NetworkError) and (status == 501 or (400 <= status < 500 and status not in _TRANSIENT)):
        is_lasting = name == "MethodNotImplemented" or (status in _NO_SUCH_METHOD and name != "RecordNotFound")
        raise MethodRefused(f"{method}: status {status} {name}", name, explanation, is_lasting=is_lasting)
    raise told
