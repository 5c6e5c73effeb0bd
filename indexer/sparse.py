"""Fetch only our part of a repository, and prove that it is all of it: its commit and the records of our collections.

The proof of one key brings the commit and a path through the tree; the nodes that may hold keys of our collections are
then asked for level by level, with the records. Nothing is believed: every block hashes to its CID, every node is
where the tree's rules put it; the signature is the caller's to check. Whatever keeps this from working although the
host is well is NotSparse, upon which the caller fetches the whole. Source: https://atproto.com/specs/repository
"""

import asyncio
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass

from atprotocol.commit import Commit, decode_commit
from atprotocol.errors import EncodingError, FieldMismatch, RepoUnavailable, ResponseTooLarge
from atprotocol.net.http import BoundedClient
from atprotocol.net.repo_blocks import CIDS_PER_REQUEST, MethodRefused, get_blocks, get_record_proof
from atprotocol.range_walk import RangeWalk
from atprotocol.syntax.did import DID
from indexer.snapshot import Snapshot

# Any key will do, whether it exists or not; for a collection of one record it brings that record along.
_RECORD_KEY = "self"
LACKING_SECONDS = 3600.0
LACKING_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class SparseLimits:
    """Beyond these a repository is better fetched whole: it is mostly ours, or written to all the time."""

    # Tree nodes and records together, at 80 to a request.
    blocks: int = 3000
    # Held in memory, unlike a whole repository.
    size_bytes: int = 8_000_000
    # As long as a whole one may take; a host could draw out every one of many answers.
    seconds: float = 600.0
    restarts: int = 3


@dataclass(frozen=True, slots=True)
class SparseFetch:
    """Our part of a repository, and what it cost."""

    snapshot: Snapshot
    size_bytes: int
    requests: int


class NotSparse(Exception):
    """The repository is to be fetched whole; `is_lasting` when that holds for every repository of the host."""

    def __init__(self, reason: str, *, is_lasting: bool = False) -> None:
        """Say why."""
        super().__init__(reason)
        self.is_lasting = is_lasting


class LackingHosts:
    """Hosts that said not long ago that they do not offer what is needed; the longest known are forgotten first."""

    def __init__(
        self, clock: Callable[[], float], *, seconds: float = LACKING_SECONDS, limit: int = LACKING_LIMIT
    ) -> None:
        """Remember at most `limit` hosts, each for so many of the clock's seconds."""
        self._clock = clock
        self._seconds = seconds
        self._limit = limit
        self._until: dict[str, float] = {}

    def add(self, host: str) -> None:
        """Remember a host from now on."""
        self._until.pop(host, None)
        while len(self._until) >= self._limit:
            del self._until[next(iter(self._until))]
        self._until[host] = self._clock() + self._seconds

    def __contains__(self, host: str) -> bool:
        """Tell whether the host is remembered still."""
        until = self._until.get(host)
        if until is not None and until <= self._clock():
            del self._until[host]
            return False
        return until is not None


async def fetch_sparse(
    client: BoundedClient, pds: str, did: DID, collections: Set[str], limits: SparseLimits | None = None
) -> SparseFetch:
    """Return a repository's commit and all its records of these collections, their completeness proved.

    Raises NotSparse, RepoGone, EncodingError when the tree itself is malformed, or NetworkError.
    """
    if not collections:
        raise NotSparse("no collections are asked for")
    limits = limits or SparseLimits()
    try:
        async with asyncio.timeout(limits.seconds):
            return await _Fetching(client, pds, did, sorted(collections), limits).run()
    except TimeoutError as error:
        raise RepoUnavailable(f"{pds}: parts of the repository took longer than {limits.seconds} s") from error
    except MethodRefused as refused:
        raise NotSparse(str(refused), is_lasting=refused.is_lasting) from refused
    except ResponseTooLarge as error:
        raise NotSparse(str(error)) from error


class _Fetching:
    """One fetch. Blocks are kept by CID, so what an earlier head shares with a later one is not asked for again."""

    def __init__(
        self, client: BoundedClient, pds: str, did: DID, collections: Sequence[str], limits: SparseLimits
    ) -> None:
        self._client = client
        self._pds = pds
        self._did = did
        self._collections = collections
        self._limits = limits
        # In a key '/' follows the collection, and '0' is the character after '/'.
        self._ranges = [(f"{each}/".encode(), f"{each}0".encode()) for each in collections]
        self._blocks: dict[bytes, bytes] = {}
        self._size_bytes = 0
        self._requests = 0

    async def run(self) -> SparseFetch:
        previous = None
        for _ in range(1 + self._limits.restarts):
            head = await self._prove(self._collections[0])
            if head == previous:
                raise NotSparse("the host lacks blocks of the commit that it serves")
            snapshot = await self._complete(head)
            if snapshot is not None:
                return SparseFetch(snapshot, self._size_bytes, self._requests)
            previous = head
        raise NotSparse("the repository changed again and again while it was read")

    async def _complete(self, head: bytes) -> Snapshot | None:
        """Return our part at this commit; None when the host has not all of it any more."""
        commit = self._commit(head)
        walk = RangeWalk(commit.data, self._ranges, self._limits.blocks)
        await asyncio.to_thread(walk.take, self._blocks)
        if walk.wanted and len(self._collections) > 1:
            # The path to the other end of our collections at once, rather than one node a round.
            await self._prove(self._collections[-1])
            await asyncio.to_thread(walk.take, self._blocks)
        while cids := self._next(walk):
            if not await self._get(cids):
                return None
            await asyncio.to_thread(walk.take, self._blocks)
        return Snapshot(commit, {key.decode("ascii"): (cid, self._blocks[cid]) for key, cid in walk.entries()})

    def _next(self, walk: RangeWalk) -> list[bytes]:
        """Return what to ask for: the wanted nodes, with records where the last request has room; at last the records."""
        nodes = walk.wanted
        records = list({cid: None for cid in walk.found.values() if cid not in self._blocks})
        return nodes + records[: -len(nodes) % CIDS_PER_REQUEST] if nodes else records

    def _commit(self, head: bytes) -> Commit:
        try:
            return decode_commit(self._blocks[head])
        except (EncodingError, FieldMismatch) as error:
            raise NotSparse(f"the proof of a record begins with no commit: {error}") from error

    async def _prove(self, collection: str) -> bytes:
        """Fetch the path to a collection; return the CID of the commit that it was proved with."""
        self._requests += 1
        try:
            proof = await get_record_proof(
                self._client, self._pds, self._did, collection, _RECORD_KEY, max_bytes=self._room
            )
        except EncodingError as error:
            raise NotSparse(f"the proof of a record cannot be read: {error}") from error
        self._size_bytes += proof.size_bytes
        self._blocks |= proof.car.blocks
        return proof.car.root

    async def _get(self, cids: list[bytes]) -> bool:
        """Fetch blocks; return whether the host had all of them."""
        try:
            found = await get_blocks(self._client, self._pds, self._did, cids, max_bytes=self._room)
        except EncodingError as error:
            raise NotSparse(f"the blocks cannot be read: {error}") from error
        self._size_bytes += found.size_bytes
        self._requests += found.requests
        self._blocks |= found.blocks
        return all(cid in self._blocks for cid in cids)

    @property
    def _room(self) -> int:
        return self._limits.size_bytes - self._size_bytes
