"""Event-stream frames of com.atproto.sync.subscribeRepos: bytes to typed messages.

`split` is the one fast decode that every frame gets; `parse_message` types what is in scope. Unknown
message kinds and operation codes give None, unknown fields are ignored. `blocks` stay bytes here: what is
wrong in them is a bad commit, never a bad frame. Source: https://atproto.com/specs/event-stream
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import libipld

from atprotocol.cid import CID_LENGTH
from atprotocol.errors import FieldMismatch, FrameError

SEQ_LIMIT = 1 << 53
COMMIT, SYNC, IDENTITY, ACCOUNT, INFO, ERROR = "#commit", "#sync", "#identity", "#account", "#info", "error"
_DID_FIELD = {COMMIT: "repo", SYNC: "did", IDENTITY: "did", ACCOUNT: "did"}


@dataclass(frozen=True, slots=True)
class Operation:
    """One entry of a commit's operation list, as claimed; `prev` and `cid` are binary CIDs."""

    action: str
    path: str
    cid: bytes | None
    prev: bytes | None


@dataclass(frozen=True, slots=True)
class CommitFrame:
    """A #commit message: claims, until verified."""

    seq: int
    did: str
    rev: str
    since: str | None
    time: str
    commit: bytes
    blocks: bytes
    operations: tuple[Operation, ...]
    prev_data: bytes | None


@dataclass(frozen=True, slots=True)
class SyncFrame:
    """A #sync message: the repo's state is now this commit, whatever it was; `blocks` hold the commit alone."""

    seq: int
    did: str
    rev: str
    time: str
    blocks: bytes


@dataclass(frozen=True, slots=True)
class IdentityFrame:
    """An #identity message: something may have changed; the handle is only a hint."""

    seq: int
    did: str
    time: str
    handle: str | None


@dataclass(frozen=True, slots=True)
class AccountFrame:
    """An #account message: `active` decides, `status` explains."""

    seq: int
    did: str
    time: str
    active: bool
    status: str | None


@dataclass(frozen=True, slots=True)
class InfoFrame:
    """An #info message of the upstream, such as OutdatedCursor."""

    name: str
    message: str | None


@dataclass(frozen=True, slots=True)
class ErrorFrame:
    """The upstream's last word before it closes the connection, such as FutureCursor."""

    error: str
    message: str | None


Message: TypeAlias = CommitFrame | SyncFrame | IdentityFrame | AccountFrame | InfoFrame | ErrorFrame


def split(raw: bytes) -> tuple[str | None, dict[str, Any]]:
    """Return a frame's kind (`#commit`, …, `error`; None for what is to be ignored) and its payload.

    What routing reads is checked: `seq`, the DID, and for commits that the operations are a list of maps
    with text paths. Raises FrameError when the frame is not two DAG-CBOR maps or lacks these.
    """
    try:
        parts = libipld.decode_dag_cbor_multi(raw)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"not DAG-CBOR: {error}") from None
    if len(parts) != 2:
        raise FrameError(f"a frame has two parts, this one {len(parts)}")
    header, payload = parts
    if not isinstance(header, dict) or not isinstance(payload, dict):
        raise FrameError("header or payload is no map")
    code = header.get("op")
    if code == 1 and code is not True:
        kind = header.get("t")
        did_field = _DID_FIELD.get(kind) if isinstance(kind, str) else None
        if did_field is not None:
            seq = payload.get("seq")
            if type(seq) is not int or not 0 < seq < SEQ_LIMIT or type(payload.get(did_field)) is not str:
                raise FrameError(f"a {kind} frame without a usable seq or {did_field}")
            if kind == COMMIT:
                _check_operations(payload.get("ops"))
            return kind, payload
        if kind == INFO:
            return INFO, payload
        if not isinstance(kind, str):
            raise FrameError("a message without a kind")
        return None, payload
    if code == -1:
        return ERROR, payload
    if type(code) is not int:
        raise FrameError("a header without an operation code")
    return None, payload


def _check_operations(operations: Any) -> None:
    if type(operations) is not list:
        raise FrameError("a #commit frame without a list of operations")
    for operation in operations:
        if type(operation) is not dict or type(operation.get("path")) is not str:
            raise FrameError("an operation without a path")


def parse_message(kind: str, payload: dict[str, Any]) -> Message:
    """Return the typed message of a split frame.

    Raises FieldMismatch when a field is missing or mistyped: a bad message, not a bad connection.
    """
    match kind:
        case "#commit":
            return _parse_commit(payload)
        case "#sync":
            return SyncFrame(
                payload["seq"], payload["did"], _text(payload, "rev"), _text(payload, "time"), _bytes(payload, "blocks")
            )
        case "#identity":
            return IdentityFrame(
                payload["seq"], payload["did"], _text(payload, "time"), _optional_text(payload, "handle")
            )
        case "#account":
            active = payload.get("active")
            if not isinstance(active, bool):
                raise FieldMismatch("an #account frame without a boolean `active`")
            return AccountFrame(
                payload["seq"], payload["did"], _text(payload, "time"), active, _optional_text(payload, "status")
            )
        case "#info":
            return InfoFrame(_text(payload, "name"), _optional_text(payload, "message"))
        case "error":
            return ErrorFrame(_text(payload, "error"), _optional_text(payload, "message"))
    raise FieldMismatch(f"no message of kind {kind[:40]!r}")


def _parse_commit(payload: dict[str, Any]) -> CommitFrame:
    operations = tuple(
        Operation(
            _text(operation, "action"),
            operation["path"],
            _optional_cid(operation, "cid"),
            _optional_cid(operation, "prev"),
        )
        for operation in payload["ops"]
    )
    commit = _optional_cid(payload, "commit")
    if commit is None:
        raise FieldMismatch("a #commit frame without a commit CID")
    return CommitFrame(
        seq=payload["seq"],
        did=payload["repo"],
        rev=_text(payload, "rev"),
        since=_optional_text(payload, "since"),
        time=_text(payload, "time"),
        commit=commit,
        blocks=_bytes(payload, "blocks"),
        operations=operations,
        prev_data=_optional_cid(payload, "prevData"),
    )


def _text(payload: dict[str, Any], name: str) -> str:
    value = payload.get(name)
    if not isinstance(value, str):
        raise FieldMismatch(f"`{name}` is no text")
    return value


def _optional_text(payload: dict[str, Any], name: str) -> str | None:
    return None if payload.get(name) is None else _text(payload, name)


def _bytes(payload: dict[str, Any], name: str) -> bytes:
    value = payload.get(name)
    if not isinstance(value, bytes):
        raise FieldMismatch(f"`{name}` is no byte string")
    return value


def _optional_cid(payload: dict[str, Any], name: str) -> bytes | None:
    value = payload.get(name)
    if value is None:
        return None
    if not isinstance(value, bytes) or len(value) != CID_LENGTH:
        raise FieldMismatch(f"`{name}` is no CID")
    return value
