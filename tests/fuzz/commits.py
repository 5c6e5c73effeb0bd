"""Real signed commits, bent in one place or several, and the law by which one may still be accepted.

The law is checked without any of the project's code: the tree of the records before, with the net changes made, built
anew from all its keys by tests/world, has the root that was signed; and it was signed by the account's key.
"""

from datetime import UTC, datetime
from typing import Any

import world
from fuzz.choices import Choices
from fuzz.signed_world import History, Step, encoded, record_history
from fuzz.words import said

from atprotocol import frames
from atprotocol.crypto import parse_multikey
from atprotocol.errors import FieldMismatch, FrameError, ProtocolError
from atprotocol.verification import verify_commit

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
HISTORIES = (record_history(5, "K-256"), record_history(6, "P-256"))
KEYS = tuple(parse_multikey(history.account.key.multikey) for history in HISTORIES)
_STRANGER = world.World(99).key("K-256")
_ACTIONS = ("create", "update", "delete", "move")
_PATHS = (
    "fm.plyr.track/one",
    "fm.plyr.like/one",
    "app.bsky.feed.post/0000",
    "app.bsky.feed.post/9999",
    "nonsense",
    "a/",
)


def honest_frames() -> tuple[bytes, ...]:
    """Return the frames of a history as they were."""
    return tuple(step.raw for step in HISTORIES[0].steps)


def bend_commit(choices: Choices) -> tuple[int, Step, bytes]:
    """Return the history's number, the step that was bent, and the bent frame."""
    number = choices.below(len(HISTORIES))
    history = HISTORIES[number]
    step = choices.one_of(history.steps)
    payload = dict(step.payload)
    payload["ops"] = [dict(operation) for operation in payload["ops"]]
    blocks = list(step.blocks.items())
    root = step.commit.cid
    for _ in range(choices.below(4)):
        match choices.below(12):
            case 0 if blocks:
                del blocks[choices.below(len(blocks))]
            case 1 if blocks:
                blocks.insert(choices.below(len(blocks)), blocks.pop())
            case 2:
                other = choices.one_of(history.steps)
                blocks.append(choices.one_of(list(other.blocks.items())))
            case 3 if blocks:
                # A block that is another, under its own name or under the one of what it replaces.
                at = choices.below(len(blocks))
                cid, block = blocks[at]
                edited = choices.edited(block)
                blocks[at] = (world.cid_of(edited) if choices.below(2) else cid, edited)
            case 4:
                payload["ops"] = _bent_operations(choices, history, payload.get("ops", []))
            case 5:
                payload[choices.one_of(("prevData", "commit"))] = choices.one_of((*map(world.link, history.cids), None))
            case 6:
                payload[choices.one_of(("rev", "since", "repo", "time"))] = choices.one_of(
                    (step.commit.rev, step.commit.since, history.steps[-1].commit.rev, "3zzzzzzzzzzzz", "", 1, None)
                )
            case 7:
                other = choices.one_of(history.steps)
                payload["ops"] = [*payload.get("ops", []), *map(dict, other.payload["ops"])]
                blocks += list(other.blocks.items())
            case 8:
                # The account itself lies: it signs another tree, or the same one again.
                root = _sign(choices, history, payload, blocks)
            case 9:
                root = choices.one_of([cid for cid, _ in blocks] or [root])
            case 10:
                other = choices.one_of(history.steps)
                payload |= {name: other.payload[name] for name in ("commit", "rev", "since", "prevData")}
                root = other.commit.cid
                blocks += list(other.blocks.items())
            case _:
                payload.pop(choices.one_of(sorted(payload)), None)
    bent = encoded(payload, root, blocks)
    return number, step, choices.edited(bent) if choices.below(8) == 1 else bent


def _bent_operations(choices: Choices, history: History, operations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    links = [*map(world.link, history.cids), None]
    if not operations or choices.below(6) == 0:
        operations.append(
            {
                "action": choices.one_of(_ACTIONS),
                "path": choices.one_of(_PATHS),
                "cid": choices.one_of(links),
                "prev": choices.one_of(links),
            }
        )
        return operations
    at = choices.below(len(operations))
    match choices.below(7):
        case 0:
            del operations[at]
        case 1:
            operations.append(dict(operations[at]))
        case 2:
            operations.insert(0, operations.pop(at))
        case 3:
            operations[at]["action"] = choices.one_of(_ACTIONS)
        case 4:
            operations[at]["path"] = choices.one_of(_PATHS)
        case 5:
            operations[at]["cid"] = choices.one_of(links)
        case _:
            operations[at]["prev"] = choices.one_of(links)
    return operations


def _sign(choices: Choices, history: History, payload: dict[str, Any], blocks: list[tuple[bytes, bytes]]) -> bytes:
    data = choices.one_of(history.cids) if choices.below(2) else choices.one_of([cid for cid, _ in blocks] or [b""])
    key = history.account.key if choices.below(4) else _STRANGER
    rev = payload.get("rev")
    unsigned = {
        "did": history.account.did,
        "version": 3,
        "data": world.link(data),
        "rev": rev if isinstance(rev, str) else "3mbd3542kzc22",
        "prev": None,
    }
    block = world.encode(unsigned | {"sig": key.sign(world.encode(unsigned), high_s=choices.below(8) == 1)})
    cid = world.cid_of(block)
    blocks.insert(0, (cid, block))
    payload["commit"] = world.link(cid)
    return cid


def check_commit(number: int, step: Step, raw: bytes) -> str:
    """Verify a bent frame against the root before its step, and hold what is accepted against the law."""
    try:
        kind, payload = frames.split(raw)
        if kind != frames.COMMIT:
            return "no commit"
        frame = frames.parse_message(kind, payload)
    except (FrameError, FieldMismatch) as error:
        return type(error).__name__
    assert isinstance(frame, frames.CommitFrame)
    try:
        verified = verify_commit(frame, KEYS[number], step.stored_root, NOW)
    except ProtocolError as error:
        return said(error)
    assert verified.did == HISTORIES[number].account.did
    assert verified.commit_cid == frame.commit
    assert frame.prev_data in (None, step.stored_root)
    records = dict(step.before)
    for change in verified.changes:
        assert records.get(change.path) == change.before != change.after
        if change.after is None:
            del records[change.path]
        else:
            assert change.record is not None
            assert world.cid_of(change.record) == change.after
            records[change.path] = change.after
    assert world.build_tree(records).root == verified.data
    return f"accepted {verified.commit_cid == step.commit.cid} {len(verified.changes)}"
