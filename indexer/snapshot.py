"""Read a whole repository from a file: its commit, and all its records of our collections.

Every block is checked against its CID and the whole tree is walked, so nothing of a repository can be hidden from
us by its host. Only places in the file are held in memory, never the file. Pure but for reading that file; the
caller runs it in a worker process when the file is large.
"""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from atprotocol import mst
from atprotocol.car import iterate_blocks, read_root
from atprotocol.commit import Commit, decode_commit
from atprotocol.errors import EncodingError, PartialTree, ResponseTooLarge

# Where a block lies takes about 300 bytes of memory, whatever its size.
BLOCK_LIMIT = 4_000_000
RECORDS_BYTES_LIMIT = 128_000_000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A repository at one commit, whose signature the caller must still check; records are (cid, raw) by path."""

    commit: Commit
    records: dict[str, tuple[bytes, bytes]]


class _BlocksOnDisk(Mapping[bytes, bytes]):
    """The blocks of a CAR file by CID, read when asked for."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._places: dict[bytes, tuple[int, int]] = {}

    def index(self, limit: int) -> None:
        for cid, offset, block in iterate_blocks(self._file):
            self._places[cid] = (offset, len(block))
            if len(self._places) > limit:
                raise ResponseTooLarge(f"the repository has more than {limit} blocks")

    def __getitem__(self, cid: bytes) -> bytes:
        offset, length = self._places[cid]
        self._file.seek(offset)
        return self._file.read(length)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def read_snapshot(
    path: Path,
    collections: Set[str],
    *,
    block_limit: int = BLOCK_LIMIT,
    records_bytes_limit: int = RECORDS_BYTES_LIMIT,
) -> Snapshot:
    """Return the repository in a CAR file.

    Raises EncodingError, FieldMismatch, PartialTree when a node or one of our records is missing, or
    ResponseTooLarge when there are more blocks, or more bytes of our records, than are held in memory.
    """
    with path.open("rb") as file:
        root = read_root(file)
        blocks = _BlocksOnDisk(file)
        blocks.index(block_limit)
        block = blocks.get(root)
        if block is None:
            raise EncodingError("the CAR lacks the block of its root")
        commit = decode_commit(block)
        records: dict[str, tuple[bytes, bytes]] = {}
        records_bytes = 0
        # The whole tree, not only our part of it: its order and shape are what proves that our part is complete.
        for key, cid in mst.walk(commit.data, blocks):
            path_text = key.decode("ascii")
            if path_text.partition("/")[0] in collections:
                raw = blocks.get(cid)
                if raw is None:
                    raise PartialTree(f"the repository lacks the record at {path_text!r}")
                records[path_text] = (cid, raw)
                records_bytes += len(path_text) + len(cid) + len(raw)
                if records_bytes > records_bytes_limit:
                    raise ResponseTooLarge(f"the repository has more than {records_bytes_limit} bytes of our records")
        return Snapshot(commit, records)
