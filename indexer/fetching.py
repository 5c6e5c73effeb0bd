"""Everything the repair asks of the network, behind one small interface.

Of a repository only our part is fetched where its host allows that. A whole one is fetched through the bounded client
into a file; small ones are read here, large ones in a bounded worker process, so that neither hashing nor walking ever
holds up the stream.
"""

import asyncio
import time
from collections.abc import Callable, Set
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, Protocol

from atprotocol.errors import IdentityNotFound, NetworkError, RepoGone, RepoUnavailable
from atprotocol.net.directory import Directory, Identity
from atprotocol.net.http import BoundedClient
from atprotocol.net.repos import RepoStatus, get_repo, get_repo_status
from atprotocol.syntax.did import DID
from indexer.snapshot import Snapshot, read_snapshot
from indexer.sparse import LackingHosts, NotSparse, fetch_sparse

# Read in about 10 ms: not worth another process, nor long enough to be noticed.
SMALL_REPO_BYTES = 500_000
# A host that failed when asked for parts is asked for wholes for so long.
FAILING_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Fetched:
    """A repository as its host served it: checked but for its signature.

    `size_bytes` came in `requests` requests; `why_whole` tells why not only our part was fetched, where that was tried.
    """

    snapshot: Snapshot
    size_bytes: int
    requests: int = 1
    is_sparse: bool = False
    why_whole: str | None = None


class Network(Protocol):
    """What the repair needs to know from outside."""

    async def resolve(self, did: DID) -> Identity:
        """Return who a DID is now. Raises IdentityNotFound or IdentityUnavailable."""
        ...

    async def fetch(self, pds: str, did: DID) -> Fetched:
        """Return a repository's commit and all its records of our collections.

        Raises RepoGone, ResponseTooLarge, NetworkError or ProtocolError.
        """
        ...

    async def is_deleted(self, did: DID) -> bool:
        """Tell whether the directory or the account's host confirms that it is deleted."""
        ...

    async def is_active(self, did: DID) -> bool:
        """Tell whether the account's host says that it is active."""
        ...


class RealNetwork:
    """The network as it is."""

    def __init__(
        self,
        client: BoundedClient,
        directory: Directory,
        collections: Set[str],
        *,
        max_repo_bytes: int,
        spool_dir: Path | None = None,
        processes: int = 1,
        fetch: Literal["auto", "whole"] = "auto",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Fetch at most `max_repo_bytes` of a whole repository; read large ones in `processes` processes.

        With `fetch="whole"` no repository is fetched in parts. `clock` counts seconds.
        """
        self._client = client
        self._directory = directory
        self._collections = collections
        self._max_repo_bytes = max_repo_bytes
        self._spool_dir = spool_dir
        self._processes = processes
        self._executor: ProcessPoolExecutor | None = None
        self._is_sparse = fetch == "auto"
        self._lacking = LackingHosts(clock)
        self._failing = LackingHosts(clock, seconds=FAILING_SECONDS)

    async def resolve(self, did: DID) -> Identity:
        """Return who a DID is now."""
        return await self._directory.resolve(did)

    async def fetch(self, pds: str, did: DID) -> Fetched:
        """Return a repository: our part of it if the host gives that, or else the whole.

        A host that fails, or asks to wait, is not asked for more instead.
        """
        if not self._is_sparse or pds in self._lacking or pds in self._failing:
            return await self._fetch_whole(pds, did, None)
        try:
            part = await fetch_sparse(self._client, pds, did, self._collections)
        except NotSparse as reason:
            if reason.is_lasting:
                self._lacking.add(pds)
            return await self._fetch_whole(pds, did, str(reason))
        except RepoUnavailable as error:
            if error.retry_after_seconds is None:
                # It may be the one method that fails: the next try is the other.
                self._failing.add(pds)
            raise
        return Fetched(part.snapshot, part.size_bytes, part.requests, is_sparse=True)

    async def _fetch_whole(self, pds: str, did: DID, why: str | None) -> Fetched:
        try:
            snapshot, size_bytes = await self._read_whole(pds, did)
        except OSError as error:
            raise RepoUnavailable(f"the repository could not be spooled: {error}") from error
        except BrokenExecutor as error:
            # Out of memory, most likely; whose fault it was cannot be told, so all that were being read try again.
            self._executor = None
            raise RepoUnavailable("the process that read the repository ended") from error
        return Fetched(snapshot, size_bytes, why_whole=why)

    async def _read_whole(self, pds: str, did: DID) -> tuple[Snapshot, int]:
        async with get_repo(self._client, pds, did, max_bytes=self._max_repo_bytes, spool_dir=self._spool_dir) as file:
            if file.size_bytes <= SMALL_REPO_BYTES:
                return read_snapshot(file.path, self._collections), file.size_bytes
            if self._executor is None:
                # Not forked: a copy of a process with open sockets and a running loop is asking for trouble.
                self._executor = ProcessPoolExecutor(self._processes, mp_context=get_context("spawn"))
            snapshot = await asyncio.get_running_loop().run_in_executor(
                self._executor, read_snapshot, file.path, frozenset(self._collections)
            )
            return snapshot, file.size_bytes

    async def is_deleted(self, did: DID) -> bool:
        """Tell whether the directory or the account's host confirms that it is deleted; silence confirms nothing."""
        try:
            status = await self._status(did)
        except IdentityNotFound as error:
            # A directory keeps tombstones; what is merely not found, on the web or in the wrong directory, may be again tomorrow.
            return error.is_tombstone
        except RepoGone as gone:
            return gone.reason == "RepoNotFound"
        except NetworkError:
            return False
        return status is not None and not status.active and status.status == "deleted"

    async def is_active(self, did: DID) -> bool:
        """Tell whether the account's host says that it is active."""
        try:
            status = await self._status(did)
        except (IdentityNotFound, RepoGone, NetworkError):
            return False
        return status is not None and status.active

    async def _status(self, did: DID) -> RepoStatus | None:
        identity = await self._directory.resolve(did)
        return None if identity.pds is None else await get_repo_status(self._client, identity.pds, did)

    def close(self) -> None:
        """Stop the worker processes."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
