"""Prove that a commit is its account's, and that its operations are all that changed since the stored root.

Pure: the caller gives the frame, the key in force, the root that it has stored, and the time. The
signature is checked before anything else is believed; the operations, unsigned claims, are folded into net
changes, found in the signed tree, and then inverted: what is left must be the stored tree, to the bit.
Status, replay, identity refresh and `since` are the caller's. Source: https://atproto.com/specs/sync#commit-validation
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from atprotocol import mst
from atprotocol.car import Car, read_car
from atprotocol.cid import DAG_CBOR_PREFIX
from atprotocol.commit import Commit, decode_commit
from atprotocol.crypto import PublicKey
from atprotocol.errors import BrokenChain, FieldMismatch, PartialTree, TreeMismatch
from atprotocol.frames import CommitFrame, Operation, SyncFrame
from atprotocol.syntax.tid import TID, parse_tid, tid_timestamp_us

BLOCKS_BYTES_LIMIT = 2_000_000
SYNC_BLOCKS_BYTES_LIMIT = 10_000
RECORD_BYTES_LIMIT = 1_000_000
OPERATION_LIMIT = 200
FUTURE_TOLERANCE = timedelta(minutes=5)
_PATH = re.compile(r"[a-zA-Z0-9.-]{1,317}/[a-zA-Z0-9._~:-]{1,512}")


@dataclass(frozen=True, slots=True)
class Change:
    """The net change of one path: binary CIDs before and after (None: absent), and the new record's bytes."""

    path: str
    before: bytes | None
    after: bytes | None
    record: bytes | None


@dataclass(frozen=True, slots=True)
class VerifiedCommit:
    """What a frame proved: this account's tree went from the stored root to `data` by exactly these changes."""

    did: str
    rev: str
    commit_cid: bytes
    data: bytes
    changes: tuple[Change, ...]


def verify_commit(frame: CommitFrame, key: PublicKey, stored_root: bytes, now: datetime) -> VerifiedCommit:
    """Verify a #commit against the account's key and the tree root that is stored for it.

    Raises FieldMismatch (sizes, shapes, fields, future rev), EncodingError (blocks), BadSignature,
    BrokenChain (prevData names another root), PartialTree (proof blocks missing) or TreeMismatch.
    """
    if len(frame.blocks) > BLOCKS_BYTES_LIMIT:
        raise FieldMismatch(f"blocks of {len(frame.blocks)} bytes; at most {BLOCKS_BYTES_LIMIT} are allowed")
    if len(frame.operations) > OPERATION_LIMIT:
        raise FieldMismatch(f"{len(frame.operations)} operations; at most {OPERATION_LIMIT} are allowed")
    verify_rev(frame.rev, now)
    changes = fold_operations(frame.operations)
    car = read_car(frame.blocks)
    commit = _frames_commit(frame, car, key)
    if frame.prev_data is not None and frame.prev_data != stored_root:
        raise BrokenChain("prevData is not the root that is stored")
    net = [_with_record(change, commit.data, car.blocks) for change in changes]
    if verify_inversion(commit.data, net, car.blocks) != stored_root:
        raise TreeMismatch("without its operations the commit's tree is not the stored one")
    return VerifiedCommit(frame.did, commit.rev, commit.cid, commit.data, tuple(net))


def verify_authorship(frame: CommitFrame, key: PublicKey) -> Commit:
    """Return the commit of a #commit frame, its account, rev and signature verified; nothing is said of its tree.

    Raises FieldMismatch, EncodingError or BadSignature.
    """
    if len(frame.blocks) > BLOCKS_BYTES_LIMIT:
        raise FieldMismatch(f"blocks of {len(frame.blocks)} bytes; at most {BLOCKS_BYTES_LIMIT} are allowed")
    return _frames_commit(frame, read_car(frame.blocks), key)


def verify_sync(frame: SyncFrame, key: PublicKey) -> Commit:
    """Return the commit that a #sync frame carries, its size, account and signature verified.

    The frame's own rev proves nothing and may differ from the commit's: after a migration it does.
    Raises FieldMismatch, EncodingError or BadSignature.
    """
    if len(frame.blocks) > SYNC_BLOCKS_BYTES_LIMIT:
        raise FieldMismatch(f"#sync blocks of {len(frame.blocks)} bytes; at most {SYNC_BLOCKS_BYTES_LIMIT} are allowed")
    car = read_car(frame.blocks)
    return _signed_commit(car.blocks[car.root], frame.did, key)


def verify_rev(rev: str, now: datetime) -> TID:
    """Return a rev as the TID that it must be; it may lie at most five minutes ahead of `now`.

    Raises InvalidSyntax or FieldMismatch.
    """
    tid = parse_tid(rev)
    if tid_timestamp_us(tid) > int((now + FUTURE_TOLERANCE).timestamp() * 1_000_000):
        raise FieldMismatch(f"rev {rev} lies in the future")
    return tid


def _frames_commit(frame: CommitFrame, car: Car, key: PublicKey) -> Commit:
    if car.root != frame.commit:
        raise FieldMismatch("the root of the blocks is not the commit that the frame names")
    commit = _signed_commit(car.blocks[car.root], frame.did, key)
    if commit.rev != frame.rev:
        raise FieldMismatch("the commit's rev is not the frame's")
    return commit


def _signed_commit(block: bytes, did: str, key: PublicKey) -> Commit:
    commit = decode_commit(block)
    if commit.did != did:
        raise FieldMismatch("the commit is another account's")
    commit.verify_signature(key)
    return commit


def fold_operations(operations: Iterable[Operation]) -> list[Change]:
    """Fold operations, per path and in list order, into net changes; records are not looked up yet.

    One commit may name a path twice (delete, then create): before is the first operation's `prev`, after
    the last one's `cid`. Raises FieldMismatch for impossible shapes.
    """
    before: dict[str, bytes | None] = {}
    after: dict[str, bytes | None] = {}
    for operation in operations:
        path = operation.path
        if path in before:
            # What `prev` says here differs between producers, and the proof does not need it.
            current = after[path]
        else:
            if _PATH.fullmatch(path) is None:
                raise FieldMismatch(f"not a record path: {path[:100]!r}")
            current = before[path] = operation.prev
        _check_shape(operation, current)
        after[path] = operation.cid
    return [Change(path, before[path], value, None) for path, value in after.items() if before[path] != value]


def _check_shape(operation: Operation, current: bytes | None) -> None:
    match operation.action:
        case "create":
            possible = current is None and operation.cid is not None
        case "update":
            possible = current is not None and operation.cid is not None
        case "delete":
            possible = current is not None and operation.cid is None
        case _:
            raise FieldMismatch(f"an operation that cannot be proven: {operation.action[:40]!r}")
    if not possible:
        raise FieldMismatch(f"a {operation.action} of {operation.path!r} with an impossible cid or prev")
    for cid in (operation.cid, operation.prev):
        if cid is not None and cid[:4] != DAG_CBOR_PREFIX:
            raise FieldMismatch("an operation names a CID that is no record's")


def _with_record(change: Change, root: bytes, blocks: Mapping[bytes, bytes]) -> Change:
    """Return the change with its record, after finding it, or its absence, in the signed tree."""
    if mst.get(root, change.path.encode(), blocks) != change.after:
        raise TreeMismatch(f"the tree does not hold at {change.path!r} what the operations say")
    if change.after is None:
        return change
    record = blocks.get(change.after)
    if record is None:
        raise PartialTree(f"the blocks lack the record at {change.path!r}")
    if len(record) > RECORD_BYTES_LIMIT:
        raise FieldMismatch(f"a record of {len(record)} bytes; at most {RECORD_BYTES_LIMIT} are allowed")
    return Change(change.path, change.before, change.after, record)


def verify_inversion(root: bytes, changes: Sequence[Change], blocks: Mapping[bytes, bytes]) -> bytes:
    """Return the root of the tree as it was before these net changes.

    The result is the same in any order, yet proofs are minimal for one only: deletions first, then
    list order reversed. Raises PartialTree when the blocks suffice for neither, TreeMismatch on contradiction.
    """
    reverse = changes[::-1]
    try:
        return invert(root, sorted(reverse, key=lambda change: change.after is not None), blocks)
    except PartialTree:
        return invert(root, reverse, blocks)


def invert(root: bytes, changes: Iterable[Change], blocks: Mapping[bytes, bytes]) -> bytes:
    """Undo changes one by one in the given order and return the root that is left.

    Raises PartialTree when a node that must change is not in the blocks, TreeMismatch when the tree
    does not hold what a change says that it made.
    """
    tree: mst.Link = root
    for change in changes:
        key = change.path.encode()
        if change.before is None:
            tree, removed = mst.delete(tree, key, blocks)
            if removed != change.after:
                raise TreeMismatch(f"the tree holds another record at {change.path!r}")
        else:
            tree = mst.put(tree, key, change.before, blocks)
    return mst.cid_of_tree(tree)
