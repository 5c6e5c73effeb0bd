"""Content identifiers, in the one form that the network's data model allows.

CIDv1 with codec dag-cbor (links) or raw (blobs) and a 32-byte SHA-256 hash; text form base32.
A CID is a type of its own, so it can never be taken for a byte string. Other CID versions, codecs
and hashes are refused. Source: https://atproto.com/specs/data-model#link-and-cid-formats
"""

import base64
import hashlib
from dataclasses import dataclass

import libipld

from atprotocol.errors import EncodingError

DAG_CBOR = 0x71
RAW = 0x55
_PREFIXES = {bytes((1, DAG_CBOR, 0x12, 0x20)): DAG_CBOR, bytes((1, RAW, 0x12, 0x20)): RAW}
DAG_CBOR_PREFIX = bytes((1, DAG_CBOR, 0x12, 0x20))
RAW_PREFIX = bytes((1, RAW, 0x12, 0x20))
CID_LENGTH = 36
_TEXT_LENGTH = 59


@dataclass(frozen=True, slots=True, order=True)
class CID:
    """A content identifier; `raw` is its 36 binary bytes. Make one with a function of this module."""

    raw: bytes

    @property
    def codec(self) -> int:
        """Return the multicodec of the content: DAG_CBOR or RAW."""
        return self.raw[1]

    def __str__(self) -> str:
        """Return the base32 text form, as in `bafyrei…`."""
        return libipld.encode_multibase("b", self.raw)


def cid_from_bytes(raw: bytes) -> CID:
    """Return the CID of 36 binary bytes.

    Raises EncodingError for any other version, codec, hash or length.
    """
    if len(raw) != CID_LENGTH or raw[:4] not in _PREFIXES:
        raise EncodingError(
            f"not a CIDv1 with codec dag-cbor or raw and a SHA-256 hash: {raw[:8].hex()}… ({len(raw)} bytes)"
        )
    return CID(raw)


def parse_cid(text: str) -> CID:
    """Return the CID written as base32 text.

    Raises EncodingError unless the text is the canonical form of a CID that the data model allows.
    """
    if len(text) != _TEXT_LENGTH or text[0] != "b":
        raise EncodingError(f"not a base32 CIDv1: {text[:80]!r}")
    try:
        raw = base64.b32decode(text[1:].upper() + "======")
    except ValueError as error:
        raise EncodingError(f"not base32: {text[:80]!r}") from error
    cid = cid_from_bytes(raw)
    if str(cid) != text:
        raise EncodingError(f"not the canonical text of a CID: {text[:80]!r}")
    return cid


def cid_of(content: bytes, codec: int = DAG_CBOR) -> CID:
    """Return the CID that names this content: hash it with SHA-256 under the given codec."""
    return CID(bytes((1, codec, 0x12, 0x20)) + hashlib.sha256(content).digest())
