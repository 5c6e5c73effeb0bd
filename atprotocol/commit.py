"""The signed commit object of a repository.

Decodes exactly the six fields of version 3 and keeps the bytes that were signed. Checks no signature
and no tree: that is `verification`. Source: https://atproto.com/specs/repository#commit-objects
"""

from dataclasses import dataclass

import libipld

from atprotocol.cid import CID_LENGTH, DAG_CBOR_PREFIX
from atprotocol.crypto import PublicKey
from atprotocol.errors import EncodingError, FieldMismatch

VERSION = 3
_FIELDS = {"did", "version", "data", "rev", "prev", "sig"}


@dataclass(frozen=True, slots=True)
class Commit:
    """A decoded commit; `data` is the binary CID of the tree's root, `unsigned` what the signature covers."""

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
    if not isinstance(decoded, dict) or libipld.encode_dag_cbor(decoded) != block:
        raise EncodingError("a commit is not in canonical form")
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
    return Commit(did, rev, data, signature, libipld.encode_dag_cbor(decoded))


def _is_link(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == CID_LENGTH and value[:4] == DAG_CBOR_PREFIX
