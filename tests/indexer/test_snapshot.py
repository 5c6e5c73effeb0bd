"""A whole repository read from a file: what a host leaves out, breaks or puts elsewhere is noticed."""

from collections.abc import Callable
from pathlib import Path

import pytest
import world
from harness import track

from atprotocol.errors import EncodingError, FieldMismatch, PartialTree, ProtocolError
from indexer.snapshot import Snapshot, read_snapshot

OURS = frozenset({"fm.plyr.track", "app.bsky.actor.profile"})
KEYS = [f"3mbd3542kz{letter}22" for letter in "abcdefghijklmnop"]
POST = {"$type": "app.bsky.feed.post", "text": "x" * 200}


@pytest.fixture
def account() -> world.Account:
    """Give an account with twenty-four records of three collections, whose tree has several levels."""
    account = world.World(4).account()
    account.commit([("create", f"fm.plyr.track/{key}", track(key)) for key in KEYS])
    account.commit([("create", f"app.bsky.feed.post/{key}", POST | {"text": key}) for key in KEYS[:7]])
    account.commit([("create", "app.bsky.actor.profile/self", {"$type": "app.bsky.actor.profile"})])
    assert len(account.tree.blocks) > 3
    return account


@pytest.fixture
def read(tmp_path: Path) -> Callable[[bytes], Snapshot]:
    def read_bytes(content: bytes) -> Snapshot:
        path = tmp_path / "repo.car"
        path.write_bytes(content)
        return read_snapshot(path, OURS)

    return read_bytes


Read = Callable[[bytes], Snapshot]


def blocks_of(account: world.Account) -> dict[bytes, bytes]:
    """Return all blocks of a repository by CID."""
    records = [world.encode(record) for record in account.records.values()]
    return (
        {account.head: account.head_block}
        | account.tree.blocks
        | {world.cid_of(block): block for block in records}
    )  # fmt: skip


def repository(records: dict[str, world.Record], tree: world.Tree | None = None) -> bytes:
    """Return a signed repository of these records, or of another tree."""
    account = world.World(5).account()
    encoded = {path: world.encode(record) for path, record in records.items()}
    tree = tree or world.build_tree({path: world.cid_of(block) for path, block in encoded.items()})
    head, block = account.sign_commit(tree.root, "3mbd3542kzc22")
    rest = {world.cid_of(each): each for each in encoded.values()}
    return world.car(head, {head: block} | tree.blocks | rest)


def test_all_records_of_our_collections_come_with_their_cids_and_bytes(account: world.Account, read: Read) -> None:
    snapshot = read(account.export())

    ours = {path: world.encode(record) for path, record in account.records.items() if path.split("/")[0] in OURS}
    assert len(ours) == len(KEYS) + 1
    assert snapshot.records == {path: (world.cid_of(raw), raw) for path, raw in ours.items()}
    assert (snapshot.commit.did, snapshot.commit.rev, snapshot.commit.data) == (
        account.did, account.rev, account.tree.root,
    )  # fmt: skip


def test_the_order_of_blocks_and_repetitions_among_them_do_not_matter(account: world.Account, read: Read) -> None:
    pairs = [*reversed(blocks_of(account).items()), *blocks_of(account).items()]
    assert read(world.car(account.head, pairs)) == read(account.export())


def test_blocks_that_nothing_refers_to_are_passed_over(account: world.Account, read: Read) -> None:
    orphan = world.encode(track("orphan"))
    blocks = blocks_of(account) | {world.cid_of(orphan): orphan, world.cid_of(b"audio", 0x55): b"audio"}
    assert read(world.car(account.head, blocks)) == read(account.export())


def test_a_repository_with_foreign_records_only_has_none_of_ours(read: Read) -> None:
    assert read(repository({f"app.bsky.feed.post/{key}": POST | {"text": key} for key in KEYS})).records == {}


def test_an_empty_repository_has_none(read: Read) -> None:
    assert read(repository({})).records == {}


def test_collections_are_compared_whole(read: Read) -> None:
    paths = ["fm.plyr.tracks/3mbd3542kzc22", "fm.plyr.stg.track/3mbd3542kzc22", "fm.plyr.trac/3mbd3542kzc22"]
    assert read(repository(dict.fromkeys(paths, track()))).records == {}


def test_a_record_of_ours_that_is_missing_is_noticed(account: world.Account, read: Read) -> None:
    blocks = blocks_of(account)
    del blocks[world.cid_of(world.encode(account.records[f"fm.plyr.track/{KEYS[3]}"]))]
    with pytest.raises(PartialTree, match=KEYS[3]):
        read(world.car(account.head, blocks))


def test_a_foreign_record_that_is_missing_is_nobodys_loss(account: world.Account, read: Read) -> None:
    blocks = blocks_of(account)
    del blocks[world.cid_of(world.encode(account.records[f"app.bsky.feed.post/{KEYS[3]}"]))]
    assert read(world.car(account.head, blocks)) == read(account.export())


def test_every_node_that_is_missing_is_noticed(account: world.Account, read: Read) -> None:
    for cid in account.tree.blocks:
        blocks = blocks_of(account)
        del blocks[cid]
        with pytest.raises(PartialTree):
            read(world.car(account.head, blocks))


def test_a_truncated_file_is_noticed_wherever_it_ends(account: world.Account, read: Read) -> None:
    """Between two blocks it is a valid CAR, which lacks something that the tree needs."""
    blocks = blocks_of(account)
    for path in [path for path in account.records if path.startswith("app.bsky.feed.post/")]:
        del blocks[world.cid_of(world.encode(account.records[path]))]
    content = world.car(account.head, blocks)
    assert len(read(content).records) == len(KEYS) + 1
    for length in [*range(0, len(content), 61), len(content) - 1]:
        with pytest.raises((EncodingError, PartialTree)):
            read(content[:length])


def test_every_changed_byte_is_noticed(account: world.Account, read: Read) -> None:
    content = account.export()
    expected = read(content)
    for place in range(0, len(content), 53):
        changed = content[:place] + bytes((content[place] ^ 1,)) + content[place + 1 :]
        try:
            assert read(changed) == expected, "only the header's unread parts may differ"
        except ProtocolError:
            continue


def _node(entries: list[tuple[bytes, bytes]], left: bytes | None = None) -> tuple[bytes, bytes]:
    """Return (cid, block) of a node with these whole keys and values."""
    written = [{"p": 0, "k": key, "v": world.link(value), "t": None} for key, value in entries]
    block = world.encode({"l": world.link(left) if left else None, "e": written})
    return world.cid_of(block), block


RECORD = world.encode(track())
VALUE = world.cid_of(RECORD)


@pytest.mark.parametrize(
    "block",
    [
        world.encode([]),
        world.encode({"l": None}),
        world.encode({"l": None, "e": None}),
        world.encode({"l": None, "e": [{"p": 0, "k": b"fm.plyr.track/1", "v": None, "t": None}]}),
        world.encode({"l": None, "e": [{"p": 3, "k": b"fm.plyr.track/1", "v": world.link(VALUE), "t": None}]}),
        world.encode({"l": None, "e": [], "x": 1}),
        _node([(b"fm.plyr.track/2", VALUE), (b"fm.plyr.track/1", VALUE)])[1],
        _node([(b"fm.plyr.track/1", VALUE), (b"fm.plyr.track/1", VALUE)])[1],
        _node([("fm.plyr.track/\N{LATIN SMALL LETTER E WITH ACUTE}".encode(), VALUE)])[1],
        _node([(b"fm.plyr.track/\xff", VALUE)])[1],
        _node([(b"fm.plyr.track", VALUE)])[1],
        _node([(b"", VALUE)])[1],
        b"\xff",
        b"\xa2\x61l\xf6\x61e\x9f\xff",
    ],
)
def test_a_node_that_is_none_is_refused(block: bytes, read: Read) -> None:
    account = world.World(5).account()
    head, head_block = account.sign_commit(world.cid_of(block), "3mbd3542kzc22")
    with pytest.raises(EncodingError):
        read(world.car(head, {head: head_block, world.cid_of(block): block, VALUE: RECORD}))


def test_a_tree_that_has_one_node_at_two_places_is_refused(read: Read) -> None:
    leaf, leaf_block = _node([(b"fm.plyr.track/1", VALUE)])
    entries = [{"p": 0, "k": b"fm.plyr.track/2", "v": world.link(VALUE), "t": world.link(leaf)}]
    top_block = world.encode({"l": world.link(leaf), "e": entries})
    account = world.World(5).account()
    head, head_block = account.sign_commit(world.cid_of(top_block), "3mbd3542kzc22")
    blocks = {head: head_block, leaf: leaf_block, world.cid_of(top_block): top_block, VALUE: RECORD}
    with pytest.raises(EncodingError):
        read(world.car(head, blocks))


@pytest.mark.parametrize(
    ("block", "error"),
    [
        (world.encode(track()), FieldMismatch),
        (world.encode("x"), EncodingError),
        (world.encode({}), FieldMismatch),
        (b"\xff", EncodingError),
    ],
)
def test_a_root_that_is_no_commit_is_refused(block: bytes, error: type[ProtocolError], read: Read) -> None:
    with pytest.raises(error):
        read(world.car(world.cid_of(block), {world.cid_of(block): block}))


def test_a_file_without_its_root_or_without_anything_is_refused(account: world.Account, read: Read) -> None:
    for content in (b"", b"<html>", world.car(account.head, account.tree.blocks), world.car(account.head, {})):
        with pytest.raises(EncodingError):
            read(content)
