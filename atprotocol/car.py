"""CAR v1: a root and the blocks under it, every block checked against its CID.

Our own splitter, as the fast decoder at hand checks no hash and stops silently at a truncation. Refuses
truncation, wild varints, CIDs of other forms, blocks that do not hash to their name and a missing root;
tolerates more roots, repeated and unlinked blocks in any order, as the specification says.
Source: https://atproto.com/specs/repository#car-file-serialization
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import libipld

from atprotocol.cid import CID_LENGTH, DAG_CBOR_PREFIX, RAW_PREFIX
from atprotocol.errors import EncodingError

HEADER_BYTES_LIMIT = 4096
BLOCK_BYTES_LIMIT = 2_000_000
_sha256 = hashlib.sha256


@dataclass(frozen=True, slots=True)
class Car:
    """The first root of a CAR and all its blocks by binary CID."""

    root: bytes
    blocks: dict[bytes, bytes]


def read_car(content: bytes) -> Car:
    """Split a whole CAR in memory and check every block's hash.

    Raises EncodingError for any violation, a root without its block included.
    """
    length, position = _varint(content, 0)
    end = position + length
    root = _header_root(content[position:end], length)
    blocks = _blocks_from(content, end)
    if root not in blocks:
        raise EncodingError("the CAR lacks the block of its root")
    return Car(root, blocks)


def read_blocks(content: bytes) -> dict[bytes, bytes]:
    """Return the blocks by CID of a CAR that is only their wrapping: what roots it names, if any, means nothing.

    Raises EncodingError for any other violation.
    """
    length, position = _varint(content, 0)
    end = position + length
    _header_roots(content[position:end], length)
    return _blocks_from(content, end)


def _blocks_from(content: bytes, position: int) -> dict[bytes, bytes]:
    size = len(content)
    blocks: dict[bytes, bytes] = {}
    while position < size:
        length = content[position]
        if length < 0x80:
            position += 1
        else:
            length, position = _varint(content, position)
        end = position + length
        if end > size:
            raise EncodingError("the CAR ends in the middle of a block")
        cid_end = position + CID_LENGTH
        cid = content[position:cid_end]
        block = content[cid_end:end]
        _check_block(cid, block, length)
        blocks[cid] = block
        position = end
    return blocks


def read_root(file: BinaryIO) -> bytes:
    """Read the header at the start of a file and return the first root, the file left at the first block.

    Raises EncodingError.
    """
    length = _stream_varint(file)
    if length is None:
        raise EncodingError("an empty CAR")
    if length > HEADER_BYTES_LIMIT:
        raise EncodingError(f"a CAR header of {length} bytes")
    return _header_root(file.read(length), length)


def iterate_blocks(file: BinaryIO) -> Iterator[tuple[bytes, int, bytes]]:
    """Yield (cid, offset of the content, content) of every block after the header, hashes checked.

    For whole repos, which are never held in memory. Raises EncodingError.
    """
    while (length := _stream_varint(file)) is not None:
        if not CID_LENGTH <= length <= BLOCK_BYTES_LIMIT:
            raise EncodingError(f"a CAR section of {length} bytes")
        section = file.read(length)
        if len(section) != length:
            raise EncodingError("the CAR ends in the middle of a block")
        cid, block = section[:CID_LENGTH], section[CID_LENGTH:]
        _check_block(cid, block, length)
        yield cid, file.tell() - len(block), block


def _check_block(cid: bytes, block: bytes, length: int) -> None:
    if length < CID_LENGTH or length > BLOCK_BYTES_LIMIT:
        raise EncodingError(f"a CAR section of {length} bytes")
    prefix = cid[:4]
    if prefix not in (DAG_CBOR_PREFIX, RAW_PREFIX):
        raise EncodingError(f"a block under a CID that the data model does not allow: {prefix.hex()}")
    if _sha256(block).digest() != cid[4:]:
        raise EncodingError("a block does not hash to its CID")


def _header_root(header: bytes, length: int) -> bytes:
    roots = _header_roots(header, length)
    if not roots:
        raise EncodingError("the CAR header names no root")
    root = roots[0]
    if not isinstance(root, bytes) or len(root) != CID_LENGTH or root[:4] != DAG_CBOR_PREFIX:
        raise EncodingError("the CAR's root is no CID of DAG-CBOR content")
    return root


def _header_roots(header: bytes, length: int) -> list[Any]:
    if len(header) != length or length > HEADER_BYTES_LIMIT:
        raise EncodingError("the CAR ends in its header, or the header is too long")
    try:
        decoded = libipld.decode_dag_cbor(header)
    except (ValueError, RecursionError) as error:
        raise EncodingError(f"the CAR header is not DAG-CBOR: {error}") from None
    if not isinstance(decoded, dict) or decoded.get("version") != 1 or decoded.get("version") is True:
        raise EncodingError("the CAR header is not of version 1")
    roots = decoded.get("roots")
    if not isinstance(roots, list):
        raise EncodingError("the CAR header names no root")
    return roots


def _varint(content: bytes, position: int) -> tuple[int, int]:
    """Return an unsigned varint of at most four bytes (256 MiB) and the position after it."""
    result = shift = 0
    for byte in content[position : position + 4]:
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0 and shift:
                raise EncodingError("a varint that is not in its shortest form")
            return result, position
        shift += 7
    raise EncodingError("a varint that is cut off or wildly long")


def _stream_varint(file: BinaryIO) -> int | None:
    """Return the next varint, or None at the clean end of the file."""
    content = b""
    while byte := file.read(1):
        content += byte
        if byte[0] < 0x80 or len(content) == 4:
            return _varint(content, 0)[0]
    if content:
        raise EncodingError("the CAR ends in the middle of a length")
    return None
