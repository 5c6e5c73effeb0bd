"""The signed commit object of a repository.

Decodes exactly the six fields of version 3 and keeps the bytes that were signed. Checks no signature
and no tree: that is `verification`. Source: https://atproto.com/specs/repository#commit-objects
"""

from dataclasses import dataclass
from hashlib import sha256

import libipld

from atprotocol.cid import CID_LENGTH, DAG_CBOR_PREFIX
from atprotocol.crypto import PublicKey
from atprotocol.errors import EncodingError, FieldMismatch

VERSION = 3
_FIELDS = {"did", "version", "data", "rev", "prev", "sig"}


@dataclass(frozen=True, slots=True)
class Commit:
    """A decoded commit; `cid` is its own, `data` the tree's root's (both binary), `unsigned` what the signature covers."""

    cid: bytes
    did: str
    rev: str
    data: bytes
    signature: bytes
    unsigned: bytes

    def verify_signature(self, key: PublicKey) -> None:
        """Raise BadSignature unless the key signed this commit."""
        key.verify(self.signature, self.unsigned)


def decode_commit(block: bytes) -> Commit:
    """Return the commit in a block that has been checked against its CID.

    Raises EncodingError when it is not canonical DAG-CBOR, FieldMismatch when its fields are wrong.
    """
    try:
        decoded = libipld.decode_dag_cbor(block)
    except (ValueError, RecursionError) as error:
        raise EncodingError(f"a commit is not DAG-CBOR: {error}") from None
    if not isinstance(decoded, dict):
        raise EncodingError("a commit is no map")
    if decoded.keys() != _FIELDS:
        raise FieldMismatch(f"a commit has the fields {sorted(_FIELDS)}, this one {sorted(decoded)[:10]}")
    did, rev, data, prev = decoded["did"], decoded["rev"], decoded["data"], decoded["prev"]
    signature = decoded.pop("sig")
    if type(decoded["version"]) is not int or decoded["version"] != VERSION:
        raise FieldMismatch(f"a commit of version {VERSION} is wanted, not {decoded['version']!r:.20}")
    if not isinstance(did, str) or not isinstance(rev, str) or not isinstance(signature, bytes):
        raise FieldMismatch("a commit's did, rev or sig is of the wrong type")
    if not _is_link(data) or not (prev is None or _is_link(prev)):
        raise FieldMismatch("a commit's data or prev is no CID of DAG-CBOR content")
    unsigned: bytes = libipld.encode_dag_cbor(decoded)
    if _with_signature(unsigned, did, rev, signature) != block:
        raise EncodingError("a commit is not in canonical form")
    return Commit(DAG_CBOR_PREFIX + sha256(block).digest(), did, rev, data, signature, unsigned)


def _with_signature(unsigned: bytes, did: str, rev: str, signature: bytes) -> bytes:
    """Return the block that signing these bytes with this signature makes.

    Put together by hand: libipld would take a signature that happens to begin like a CID for a link.
    """
    split = len(libipld.encode_dag_cbor({"did": did, "rev": rev}))
    head = bytes((0x58, len(signature))) if 24 <= len(signature) < 256 else bytes((0x40 | (len(signature) & 0x1F),))
    return b"\xa6" + unsigned[1:split] + b"\x63sig" + head + signature + unsigned[split:]


def _is_link(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == CID_LENGTH and value[:4] == DAG_CBOR_PREFIX
