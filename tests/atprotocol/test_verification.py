import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
import world
from hypothesis import given, settings
from hypothesis import strategies as st
from interop import interop_path

from atprotocol import mst
from atprotocol.cid import parse_cid
from atprotocol.crypto import PublicKey, parse_multikey
from atprotocol.errors import (
    BadSignature,
    BrokenChain,
    EncodingError,
    FieldMismatch,
    InvalidSyntax,
    PartialTree,
    ProtocolError,
    TreeMismatch,
)
from atprotocol.frames import CommitFrame, SyncFrame, parse_message, split
from atprotocol.verification import (
    Change,
    VerifiedCommit,
    invert,
    verify_commit,
    verify_inversion,
    verify_rev,
    verify_sync,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
FIXTURES = json.loads(interop_path("firehose/commit-proof-fixtures.json").read_text())


def key_of(account: world.Account) -> PublicKey:
    return parse_multikey(account.key.multikey)


def parsed(raw: bytes) -> CommitFrame:
    kind, payload = split(raw)
    assert kind is not None
    frame = parse_message(kind, payload)
    assert isinstance(frame, CommitFrame)
    return frame


def verify(
    account: world.Account, commit: world.Commit, /, *, stored: bytes | None = None, **changed: Any
) -> VerifiedCommit:
    frame = parsed(account.world.commit_frame(account, commit, **changed))
    assert stored is not None or commit.prev_data is not None
    return verify_commit(frame, key_of(account), stored or commit.prev_data or b"", NOW)


# --- the protocol's own fixtures ----------------------------------------------------------------------------------


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda fixture: fixture["comment"])
def test_interop_proofs_invert_in_every_order(fixture: dict[str, Any]) -> None:
    leaf = parse_cid(fixture["leafValue"]).raw
    before: mst.Link = None
    for key in fixture["keys"]:
        before = mst.put(before, key.encode(), leaf, {})
    after: mst.Link = before
    for key in fixture["adds"]:
        after = mst.put(after, key.encode(), leaf, {})
    for key in fixture["dels"]:
        after, _ = mst.delete(after, key.encode(), {})
    assert str(parse_cid(fixture["rootBeforeCommit"])) == world.cid_text(mst.cid_of_tree(before))
    assert str(parse_cid(fixture["rootAfterCommit"])) == world.cid_text(mst.cid_of_tree(after))
    all_blocks = mst.new_blocks(after)
    proof = {parse_cid(text).raw: all_blocks[parse_cid(text).raw] for text in fixture["blocksInProof"]}
    changes = [Change(key, None, leaf, None) for key in fixture["adds"]] + [
        Change(key, leaf, None, None) for key in fixture["dels"]
    ]

    orders = list(permutations(changes))
    assert len(orders) >= 1
    for order in orders:
        assert invert(mst.cid_of_tree(after), order, proof) == mst.cid_of_tree(before)
        assert verify_inversion(mst.cid_of_tree(after), order, proof) == mst.cid_of_tree(before)


# --- honest commits -----------------------------------------------------------------------------------------------

paths = st.integers(0, 30).map(lambda number: f"com.example.record/{number:03d}")


@st.composite
def histories(draw: st.DrawFn) -> list[list[tuple[str, int | None]]]:
    """Batches of (path, value or None): a batch is one commit."""
    return draw(
        st.lists(
            st.lists(st.tuples(paths, st.none() | st.integers(0, 5)), min_size=0, max_size=6), min_size=1, max_size=6
        )
    )


def as_writes(account: world.Account, batch: list[tuple[str, int | None]]) -> list[world.Write]:
    present = set(account.records)
    writes: list[world.Write] = []
    for path, value in batch:
        if value is None and path in present:
            writes.append(("delete", path, None))
            present.discard(path)
        elif value is not None:
            writes.append(("update" if path in present else "create", path, {"n": value}))
            present.add(path)
    return writes


@settings(deadline=None, max_examples=150)
@given(histories(), st.integers(0, 3))
def test_every_honest_commit_verifies_and_gives_its_net_changes(
    history: list[list[tuple[str, int | None]]], seed: int
) -> None:
    account = world.World(seed).account()
    account.commit([("create", "com.example.record/first", {"n": 0})])
    for batch in history:
        before = {path: world.cid_of(world.encode(record)) for path, record in account.records.items()}
        commit = account.commit(as_writes(account, batch))
        after = {path: world.cid_of(world.encode(record)) for path, record in account.records.items()}

        verified = verify(account, commit)

        assert verified.data == commit.data
        assert {(change.path, change.before, change.after) for change in verified.changes} == {
            (path, before.get(path), after.get(path))
            for path in before.keys() | after.keys()
            if before.get(path) != after.get(path)
        }
        for change in verified.changes:
            assert change.record == (world.encode(account.records[change.path]) if change.after else None)


def test_delete_and_create_of_one_key_in_one_commit_is_one_update() -> None:
    account = world.World().account()
    account.commit([("create", "com.example.record/a", {"n": 1}), ("create", "com.example.record/b", {"n": 1})])
    old = world.cid_of(world.encode({"n": 1}))

    # As the reference PDS sends it: both operations name the old value as `prev`.
    commit = account.commit([("delete", "com.example.record/a", None), ("create", "com.example.record/a", {"n": 2})])
    commit.operations[0]["prev"] = commit.operations[1]["prev"] = world.link(old)

    assert [(change.path, change.before, change.after) for change in verify(account, commit).changes] == [
        ("com.example.record/a", old, world.cid_of(world.encode({"n": 2})))
    ]


def test_an_empty_commit_needs_no_tree_at_all() -> None:
    account = world.World().account()
    account.commit([("create", "com.example.record/a", {"n": 1})])
    commit = account.commit([])
    commit.blocks = {commit.cid: commit.block}

    assert verify(account, commit).changes == ()


def test_an_absent_prev_data_is_no_gap_in_the_proof() -> None:
    account = world.World().account()
    first = account.commit([("create", "com.example.record/a", {"n": 1})])
    commit = account.commit([("create", "com.example.record/b", {"n": 1})])
    commit.prev_data = None

    assert verify(account, commit, stored=first.data).changes
    with pytest.raises(TreeMismatch):
        verify(account, commit, stored=world.build_tree({}).root)


def test_200_operations_verify_and_201_do_not() -> None:
    account = world.World().account()
    account.commit([])
    writes: list[world.Write] = [("create", f"com.example.record/{number:03d}", {"n": number}) for number in range(200)]
    assert len(verify(account, account.commit(writes)).changes) == 200

    with pytest.raises(FieldMismatch, match="201 operations"):
        verify(
            account,
            account.commit([("create", f"com.example.other/{number:03d}", {"n": number}) for number in range(201)]),
        )


# --- lies -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def account() -> world.Account:
    """An account with a repository of some depth."""
    made = world.World(5).account(curve="K-256")
    made.commit([("create", f"com.example.record/{number:03d}", {"n": number}) for number in range(60)])
    return made


def some_commit(account: world.Account) -> world.Commit:
    return account.commit(
        [
            ("create", "com.example.record/new", {"n": -1}),
            ("update", "com.example.record/010", {"n": -2}),
            ("delete", "com.example.record/020", None),
        ]
    )


def operations(commit: world.Commit, **changed: Any) -> list[dict[str, Any]]:
    return [operation | changed.get(operation["action"], {}) for operation in commit.operations]


def without(operation: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in operation.items() if key != name}


SOME = world.link(world.cid_of(b"some"))
Lie = Callable[[world.Account, world.Commit], dict[str, Any]]
LIES: list[tuple[str, type[ProtocolError], Lie]] = [
    ("an operation left out", TreeMismatch, lambda _, commit: {"ops": commit.operations[:2]}),
    ("the first operation left out", TreeMismatch, lambda _, commit: {"ops": commit.operations[1:]}),
    ("no operations named", TreeMismatch, lambda _, commit: {"ops": []}),
    (
        "an operation that did not happen",
        TreeMismatch,
        lambda _, commit: {
            "ops": [*commit.operations, {"action": "create", "path": "com.example.record/zzz", "cid": SOME}]
        },
    ),
    (
        "a deletion that did not happen",
        PartialTree,
        lambda _, commit: {
            "ops": [
                *commit.operations,
                {"action": "delete", "path": "com.example.record/030", "cid": None, "prev": SOME},
            ]
        },
    ),
    (
        "a deletion of what never was",
        TreeMismatch,
        lambda _, commit: {
            "ops": [
                *commit.operations,
                {"action": "delete", "path": "com.example.record/zzz", "cid": None, "prev": SOME},
            ]
        },
    ),
    ("a create of another record", TreeMismatch, lambda _, commit: {"ops": operations(commit, create={"cid": SOME})}),
    (
        "an update from another record",
        TreeMismatch,
        lambda _, commit: {"ops": operations(commit, update={"prev": SOME})},
    ),
    ("an update to another record", TreeMismatch, lambda _, commit: {"ops": operations(commit, update={"cid": SOME})}),
    ("a delete of another record", TreeMismatch, lambda _, commit: {"ops": operations(commit, delete={"prev": SOME})}),
    ("a create with prev", FieldMismatch, lambda _, commit: {"ops": operations(commit, create={"prev": SOME})}),
    ("a create without cid", FieldMismatch, lambda _, commit: {"ops": operations(commit, create={"cid": None})}),
    ("an update without cid", FieldMismatch, lambda _, commit: {"ops": operations(commit, update={"cid": None})}),
    ("a delete with cid", FieldMismatch, lambda _, commit: {"ops": operations(commit, delete={"cid": SOME})}),
    (
        "an update without prev",
        FieldMismatch,
        lambda _, commit: {"ops": [without(o, "prev") if o["action"] == "update" else o for o in commit.operations]},
    ),
    (
        "a delete without prev",
        FieldMismatch,
        lambda _, commit: {"ops": [without(o, "prev") if o["action"] == "delete" else o for o in commit.operations]},
    ),
    ("an unknown action", FieldMismatch, lambda _, commit: {"ops": operations(commit, create={"action": "move"})}),
    (
        "a path twice, contradicting itself",
        TreeMismatch,
        lambda _, commit: {
            "ops": [
                *commit.operations,
                {
                    "action": "update",
                    "path": "com.example.record/new",
                    "cid": SOME,
                    "prev": world.link(world.cid_of(b"x")),
                },
            ]
        },
    ),
    ("a create twice", FieldMismatch, lambda _, commit: {"ops": [*commit.operations, commit.operations[0]]}),
    (
        "a path without a slash",
        FieldMismatch,
        lambda _, commit: {"ops": operations(commit, create={"path": "com.example.record"})},
    ),
    (
        "a path with two slashes",
        FieldMismatch,
        lambda _, commit: {"ops": operations(commit, create={"path": "com.example.record/a/b"})},
    ),
    (
        "a path that is not ASCII",
        FieldMismatch,
        lambda _, commit: {"ops": operations(commit, create={"path": "com.example.record/é"})},
    ),
    (
        "a cid of a blob",
        FieldMismatch,
        lambda _, commit: {"ops": operations(commit, create={"cid": world.link(world.cid_of(b"", 0x55))})},
    ),
    ("another rev in the frame", FieldMismatch, lambda account, _: {"rev": account.world.tid()}),
    ("another account's commit", FieldMismatch, lambda account, _: {"repo": account.world.account().did}),
    ("another commit named", FieldMismatch, lambda _, __: {"commit": SOME}),
    ("prevData of another root", BrokenChain, lambda _, __: {"prevData": SOME}),
    ("a rev that is no TID", InvalidSyntax, lambda _, __: {"rev": "yesterday"}),
    (
        "a rev in the future",
        FieldMismatch,
        lambda _, __: {"rev": world.tid(int((NOW + timedelta(minutes=6)).timestamp()) * 1_000_000)},
    ),
    ("no blocks", EncodingError, lambda _, __: {"blocks": b""}),
    ("blocks cut off", EncodingError, lambda _, commit: {"blocks": world.car(commit.cid, commit.blocks)[:-1]}),
    (
        "blocks without the commit",
        EncodingError,
        lambda _, commit: {
            "blocks": world.car(commit.cid, {cid: block for cid, block in commit.blocks.items() if cid != commit.cid})
        },
    ),
    (
        "blocks of which one is swapped",
        EncodingError,
        lambda _, commit: {
            "blocks": world.car(
                commit.cid,
                [(cid, block + b"\0" if cid == commit.data else block) for cid, block in commit.blocks.items()],
            )
        },
    ),
    (
        "blocks beyond two million bytes",
        FieldMismatch,
        lambda _, commit: {
            "blocks": world.car(
                commit.cid, [*commit.blocks.items(), *[(world.cid_of(bytes(100_000)), bytes(100_000))] * 20]
            )
        },
    ),
    (
        "a record block missing",
        PartialTree,
        lambda _, commit: {
            "blocks": world.car(
                commit.cid, {cid: block for cid, block in commit.blocks.items() if block != world.encode({"n": -1})}
            )
        },
    ),
    ("the tree missing", PartialTree, lambda _, commit: {"blocks": world.car(commit.cid, {commit.cid: commit.block})}),
    (
        "a commit that is no commit",
        EncodingError,
        lambda _, commit: {
            "commit": world.link(world.cid_of(b"\xff")),
            "blocks": world.car(world.cid_of(b"\xff"), {world.cid_of(b"\xff"): b"\xff"}),
        },
    ),
]


def test_the_commit_that_the_lies_are_told_about_is_good(account: world.Account) -> None:
    assert len(verify(account, some_commit(account)).changes) == 3


@pytest.mark.parametrize(("name", "error", "lie"), LIES, ids=[name for name, _, _ in LIES])
def test_a_lie_is_told_apart(account: world.Account, name: str, error: type[ProtocolError], lie: Lie) -> None:
    commit = some_commit(account)

    with pytest.raises(error) as caught:
        verify(account, commit, **lie(account, commit))
    assert type(caught.value) is error


def resigned(
    account: world.Account, commit: world.Commit, signature: Callable[[bytes], bytes], **fields: Any
) -> dict[str, Any]:
    """What replaces `commit` and `blocks` when the commit object is signed anew."""
    unsigned = {
        "did": account.did,
        "version": 3,
        "data": world.link(commit.data),
        "rev": commit.rev,
        "prev": None,
    } | fields
    block = world.encode(unsigned | {"sig": signature(world.encode(unsigned))})
    blocks = {cid: other for cid, other in commit.blocks.items() if cid != commit.cid}
    return {
        "commit": world.link(world.cid_of(block)),
        "blocks": world.car(world.cid_of(block), {world.cid_of(block): block} | blocks),
    }


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        ("another key", lambda account: account.world.key("K-256").sign),
        ("high s", lambda account: lambda content: account.key.sign(content, high_s=True)),
        (
            "DER",
            lambda account: lambda content: account.key.private.sign(content, world.ec.ECDSA(world.hashes.SHA256())),
        ),
        ("other bytes", lambda account: lambda content: account.key.sign(content + b"x")),
        ("no bytes", lambda account: lambda content: b""),
    ],
)
def test_a_signature_that_is_not_the_keys_is_refused(account: world.Account, name: str, signature: Any) -> None:
    commit = some_commit(account)

    with pytest.raises(BadSignature):
        verify(account, commit, **resigned(account, commit, signature(account)))


def test_the_signature_is_checked_before_the_chain_is_believed(account: world.Account) -> None:
    commit = some_commit(account)

    with pytest.raises(BadSignature):
        verify(account, commit, prevData=SOME, **resigned(account, commit, account.world.key("K-256").sign))


def test_a_signed_commit_of_another_did_or_rev_is_refused(account: world.Account) -> None:
    commit = some_commit(account)

    for fields in ({"did": "did:plc:ewvi7nxzyoun6zhxrhs64oiz"}, {"rev": account.world.tid()}):
        with pytest.raises(FieldMismatch):
            verify(account, commit, **resigned(account, commit, account.key.sign, **fields))


def test_a_commit_on_another_tree_than_the_stored_one_is_refused(account: world.Account) -> None:
    first, second = some_commit(account), account.commit([("create", "com.example.record/later", {"n": 1})])
    second.prev_data = None

    with pytest.raises(TreeMismatch):
        verify(account, second, stored=first.prev_data)


def test_a_record_beyond_a_million_bytes_is_refused(account: world.Account) -> None:
    exact = {"x": "a" * (1_000_000 - len(world.encode({"x": "a" * 900_000})) + 900_000)}
    assert len(world.encode(exact)) == 1_000_000
    assert verify(account, account.commit([("create", "com.example.record/big", exact)])).changes

    with pytest.raises(FieldMismatch, match="1000001 bytes"):
        verify(account, account.commit([("create", "com.example.record/bigger", {"x": exact["x"] + "a"})]))


def test_blocks_of_exactly_two_million_bytes_are_allowed(account: world.Account) -> None:
    commit = some_commit(account)
    content = world.car(commit.cid, commit.blocks)
    room = 2_000_000 - len(content)
    filler = bytes(room - 36 - 3)
    content = world.car(commit.cid, [*commit.blocks.items(), (world.cid_of(filler), filler)])
    assert len(content) == 2_000_000

    assert verify(account, commit, blocks=content).changes
    bigger = filler + b"\0"
    with pytest.raises(FieldMismatch):
        verify(account, commit, blocks=world.car(commit.cid, [*commit.blocks.items(), (world.cid_of(bigger), bigger)]))


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_no_single_changed_byte_of_the_blocks_is_accepted_as_something_else(data: st.DataObject) -> None:
    account = world.World(7).account()
    account.commit([("create", f"com.example.record/{number:02d}", {"n": number}) for number in range(10)])
    commit = account.commit([("create", "com.example.record/new", {"n": 1})])
    blocks = bytearray(world.car(commit.cid, commit.blocks))
    blocks[data.draw(st.integers(0, len(blocks) - 1))] ^= data.draw(st.integers(1, 255))

    try:
        verified = verify(account, commit, blocks=bytes(blocks))
    except ProtocolError:
        return
    assert (verified.data, verified.rev) == (commit.data, commit.rev)


def test_a_rev_may_lie_five_minutes_ahead_and_no_more() -> None:
    limit = int((NOW + timedelta(minutes=5)).timestamp()) * 1_000_000

    assert verify_rev(world.tid(limit), NOW)
    with pytest.raises(FieldMismatch):
        verify_rev(world.tid(limit + 1), NOW)


# --- #sync ----------------------------------------------------------------------------------------------------------


def sync(account: world.Account, **changed: Any) -> SyncFrame:
    kind, payload = split(account.world.sync_frame(account, **changed))
    assert kind is not None
    frame = parse_message(kind, payload)
    assert isinstance(frame, SyncFrame)
    return frame


def test_a_sync_frame_gives_its_signed_commit_whatever_its_own_rev(account: world.Account) -> None:
    assert verify_sync(sync(account), key_of(account)).data == account.tree.root
    assert verify_sync(sync(account, rev=account.world.tid()), key_of(account)).rev == account.rev


def test_a_sync_frame_of_another_account_or_key_is_refused(account: world.Account) -> None:
    other = account.world.account()

    with pytest.raises(FieldMismatch):
        verify_sync(sync(account, did=other.did), key_of(account))
    with pytest.raises(BadSignature):
        verify_sync(sync(account), key_of(other))


def test_a_sync_frame_of_more_than_ten_thousand_bytes_is_refused(account: world.Account) -> None:
    filler = bytes(10_000)
    with pytest.raises(FieldMismatch):
        verify_sync(
            sync(
                account,
                blocks=world.car(account.head, [(account.head, account.head_block), (world.cid_of(filler), filler)]),
            ),
            key_of(account),
        )


def one_commit() -> tuple[world.Account, world.Commit]:
    account = world.World(30).account()
    account.commit([("create", "com.example.record/1", {"n": 1})])
    return account, account.commit([("create", "com.example.record/2", {"n": 2})])


def test_a_commit_from_the_future_is_refused() -> None:
    account, commit = one_commit()
    frame = parsed(account.world.commit_frame(account, commit))
    assert verify(account, commit).rev == commit.rev

    with pytest.raises(FieldMismatch, match="future"):
        verify_commit(frame, key_of(account), commit.prev_data or b"", NOW - timedelta(days=1))


def test_the_first_root_is_the_commit_that_the_frame_names() -> None:
    account, commit = one_commit()
    with pytest.raises(FieldMismatch, match="not the commit that the frame names"):
        verify(account, commit, commit=world.link(commit.data))


def test_a_commit_that_says_that_it_builds_on_another_root_is_refused() -> None:
    account, commit = one_commit()
    with pytest.raises(BrokenChain):
        verify(account, commit, prevData=world.link(commit.data))
