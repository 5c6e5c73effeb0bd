import contextlib
from typing import Any

import pytest
import world
from hypothesis import given, settings
from hypothesis import strategies as st

from atprotocol.errors import FieldMismatch, FrameError
from atprotocol.frames import (
    AccountFrame,
    CommitFrame,
    ErrorFrame,
    IdentityFrame,
    InfoFrame,
    Message,
    Operation,
    SyncFrame,
    parse_message,
    split,
)


def parse(raw: bytes) -> Message | None:
    kind, payload = split(raw)
    return parse_message(kind, payload) if kind is not None else None


@pytest.fixture
def account() -> world.Account:
    return world.World(1).account()


def test_a_commit_frame_is_read_whole(account: world.Account) -> None:
    account.commit([("create", "com.example.record/a", {"n": 1})])
    first = account.records["com.example.record/a"]
    commit = account.commit(
        [("update", "com.example.record/a", {"n": 2}), ("create", "com.example.record/b", {"n": 3})]
    )

    message = parse(account.world.commit_frame(account, commit))

    old, new, other = (world.cid_of(world.encode(record)) for record in (first, {"n": 2}, {"n": 3}))
    assert isinstance(message, CommitFrame)
    assert (message.seq, message.did, message.rev, message.since) == (1, account.did, commit.rev, commit.since)
    assert message.commit == commit.cid
    assert message.prev_data == commit.prev_data
    assert message.operations == (
        Operation("update", "com.example.record/a", new, old),
        Operation("create", "com.example.record/b", other, None),
    )


def test_the_other_kinds_are_read(account: world.Account) -> None:
    account.commit([])
    network = account.world

    assert isinstance(parse(network.sync_frame(account)), SyncFrame)
    assert parse(network.identity_frame(account)) == IdentityFrame(2, account.did, network.time(), account.handle)
    assert parse(network.account_frame(account, False, "deactivated")) == AccountFrame(
        3, account.did, network.time(), False, "deactivated"
    )
    assert parse(network.account_frame(account, True)) == AccountFrame(4, account.did, network.time(), True, None)
    assert parse(world.info_frame("OutdatedCursor")) == InfoFrame("OutdatedCursor", None)
    assert parse(world.error_frame("FutureCursor", "later")) == ErrorFrame("FutureCursor", "later")


def test_unknown_kinds_operation_codes_and_fields_are_ignored(account: world.Account) -> None:
    assert parse(account.world.frame("#handle", {"did": account.did})) is None
    assert parse(world.encode({"op": 7}) + world.encode({})) is None
    assert (
        parse(
            world.encode({"op": 1, "t": "#identity", "new": 1})
            + world.encode({"seq": 1, "did": "did:plc:x", "time": "t", "new": [1]})
        )
        is not None
    )


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("nothing", b""),
        ("not CBOR", b"\xff\xff"),
        ("a header alone", world.encode({"op": 1, "t": "#commit"})),
        ("three parts", world.encode({"op": 1, "t": "#info"}) + world.encode({}) * 2),
        ("a header that is no map", world.encode([1]) + world.encode({})),
        ("a payload that is no map", world.encode({"op": 1, "t": "#info"}) + world.encode([])),
        ("no operation code", world.encode({"t": "#commit"}) + world.encode({})),
        ("an operation code of true", world.encode({"op": True, "t": "#commit"}) + world.encode({})),
        ("no kind", world.encode({"op": 1}) + world.encode({})),
        ("nested without end", b"\xa1\x61a" * 100_000),
        (
            "a commit without seq",
            world.encode({"op": 1, "t": "#commit"}) + world.encode({"repo": "did:plc:x", "ops": []}),
        ),
        ("a seq of zero", world.encode({"op": 1, "t": "#sync"}) + world.encode({"seq": 0, "did": "did:plc:x"})),
        (
            "a seq beyond 53 bits",
            world.encode({"op": 1, "t": "#sync"}) + world.encode({"seq": 2**53, "did": "did:plc:x"}),
        ),
        ("a seq of true", world.encode({"op": 1, "t": "#sync"}) + world.encode({"seq": True, "did": "did:plc:x"})),
        (
            "a repo that is a number",
            world.encode({"op": 1, "t": "#commit"}) + world.encode({"seq": 1, "repo": 1, "ops": []}),
        ),
        (
            "operations that are a map",
            world.encode({"op": 1, "t": "#commit"}) + world.encode({"seq": 1, "repo": "did:plc:x", "ops": {}}),
        ),
        (
            "an operation without a path",
            world.encode({"op": 1, "t": "#commit"}) + world.encode({"seq": 1, "repo": "did:plc:x", "ops": [{}]}),
        ),
    ],
)
def test_a_frame_that_cannot_be_routed_is_an_error(name: str, raw: bytes) -> None:
    with pytest.raises(FrameError):
        parse(raw)


@pytest.mark.parametrize(
    "changed",
    [
        {"rev": 1},
        {"commit": None},
        {"commit": b"short"},
        {"blocks": "text"},
        {"prevData": 1},
        {"ops": [{"path": "a/b", "action": 1}]},
        {"ops": [{"path": "a/b", "action": "create", "cid": b"x"}]},
    ],
)
def test_a_commit_with_mistyped_fields_is_a_bad_message_and_no_bad_frame(
    account: world.Account, changed: dict[str, Any]
) -> None:
    commit = account.commit([("create", "com.example.record/a", {"n": 1})])

    with pytest.raises(FieldMismatch):
        parse(account.world.commit_frame(account, commit, **changed))


@pytest.mark.parametrize(
    "raw",
    [
        world.encode({"op": -1}) + world.encode({}),
        world.encode({"op": 1, "t": "#account"})
        + world.encode({"seq": 1, "did": "did:plc:x", "time": "t", "active": 1}),
    ],
)
def test_other_messages_with_mistyped_fields_are_bad_messages(raw: bytes) -> None:
    with pytest.raises(FieldMismatch):
        parse(raw)


@settings(deadline=None, max_examples=500)
@given(st.binary(max_size=80))
def test_no_bytes_raise_anything_else(raw: bytes) -> None:
    with contextlib.suppress(FrameError, FieldMismatch):
        parse(raw)


@pytest.mark.parametrize(
    "deprecated", [{"tooBig": True, "rebase": True, "blobs": [1]}, {"tooBig": "yes", "blobs": None}]
)
def test_what_is_deprecated_says_nothing(account: world.Account, deprecated: dict[str, Any]) -> None:
    commit = account.commit([("create", "com.example.record/a", {"n": 1})])
    plain = parse(account.world.commit_frame(account, commit))
    assert isinstance(plain, CommitFrame)
    account.world.seq = 0

    assert parse(account.world.commit_frame(account, commit, **deprecated)) == plain
