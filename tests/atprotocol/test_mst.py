import json
from typing import Any

import cbor2
import pytest
import world
from hypothesis import given, settings
from hypothesis import strategies as st
from interop import interop_lines, interop_path

from atprotocol import mst
from atprotocol.errors import EncodingError, PartialTree, TreeMismatch

names = st.integers(0, 40).map(lambda number: f"com.example.record/{number:04d}".encode())
contents = st.dictionaries(names, st.integers(0, 9).map(lambda number: world.cid_of(bytes((number,)))), max_size=25)


def tree_of(records: dict[bytes, bytes], order: list[bytes] | None = None) -> mst.Link:
    tree: mst.Link = None
    for key in order if order is not None else records:
        tree = mst.put(tree, key, records[key], {})
    return tree


def independent_root(records: dict[bytes, bytes]) -> bytes:
    return world.build_tree({key.decode(): value for key, value in records.items()}).root


@pytest.mark.parametrize(
    "fixture", json.loads(interop_path("mst/key_heights.json").read_text()), ids=lambda fixture: fixture["key"]
)
def test_interop_key_heights(fixture: dict[str, Any]) -> None:
    assert mst.key_height(fixture["key"].encode()) == fixture["height"]


@pytest.mark.parametrize(
    "fixture",
    json.loads(interop_path("mst/common_prefix.json").read_text()),
    ids=lambda fixture: f"{fixture['left']}~{fixture['right']}",
)
def test_interop_common_prefixes(fixture: dict[str, Any]) -> None:
    assert mst.common_prefix_length(fixture["left"].encode(), fixture["right"].encode()) == fixture["len"]


def test_interop_example_keys_have_the_heights_that_they_name() -> None:
    lines = interop_lines("mst/example_keys.txt")

    assert len(lines) == 156
    for line in lines:
        assert mst.key_height(line.encode()) == int(line[1])


def test_the_known_root_of_the_empty_tree() -> None:
    assert world.cid_text(mst.cid_of_tree(None)) == "bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm"


@settings(deadline=None)
@given(contents, st.randoms())
def test_the_shape_does_not_depend_on_the_order_of_insertion(records: dict[bytes, bytes], random: Any) -> None:
    order = list(records)
    random.shuffle(order)

    assert mst.cid_of_tree(tree_of(records, order)) == mst.cid_of_tree(tree_of(records)) == independent_root(records)


@settings(deadline=None)
@given(contents, names)
def test_delete_undoes_put(records: dict[bytes, bytes], key: bytes) -> None:
    records.pop(key, None)
    tree = tree_of(records)
    value = world.cid_of(b"new")

    without, removed = mst.delete(mst.put(tree, key, value, {}), key, {})

    assert removed == value
    assert mst.cid_of_tree(without) == mst.cid_of_tree(tree)


@settings(deadline=None)
@given(contents, st.randoms())
def test_deleting_everything_in_any_order_leaves_the_empty_tree(records: dict[bytes, bytes], random: Any) -> None:
    order = list(records)
    random.shuffle(order)
    tree = tree_of(records)
    left = dict(records)
    for key in order:
        tree, removed = mst.delete(tree, key, {})
        assert removed == left.pop(key)
        assert mst.cid_of_tree(tree) == independent_root(left)
    assert tree is None


@settings(deadline=None)
@given(contents, names, names)
def test_what_was_written_is_read_from_blocks_alone(records: dict[bytes, bytes], start: bytes, end: bytes) -> None:
    tree = tree_of(records)
    root, blocks = mst.cid_of_tree(tree), mst.new_blocks(tree)

    assert list(mst.walk(root, blocks)) == sorted(records.items())
    assert list(mst.walk(root, blocks, start, end)) == [
        (key, value) for key, value in sorted(records.items()) if start <= key < end
    ]
    assert mst.get(root, start, blocks) == records.get(start)


@settings(deadline=None)
@given(contents, contents)
def test_a_diff_names_exactly_what_differs(old: dict[bytes, bytes], new: dict[bytes, bytes]) -> None:
    expected = [
        (key, old.get(key), new.get(key)) for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)
    ]

    assert list(mst.diff(tree_of(old), tree_of(new), {}, {})) == expected


@settings(deadline=None)
@given(contents, st.data())
def test_a_missing_node_is_a_partial_tree_and_never_a_wrong_answer(
    records: dict[bytes, bytes], data: st.DataObject
) -> None:
    tree = tree_of(records)
    root, everything = mst.cid_of_tree(tree), mst.new_blocks(tree)
    missing = data.draw(st.sampled_from(sorted(everything)))
    blocks = {cid: block for cid, block in everything.items() if cid != missing}
    key = data.draw(names)

    try:
        assert mst.get(root, key, blocks) == records.get(key)
        assert mst.cid_of_tree(mst.put(root, key, world.cid_of(b"new"), blocks)) == independent_root(
            records | {key: world.cid_of(b"new")}
        )
        if key in records:
            without, _ = mst.delete(root, key, blocks)
            right = independent_root({other: value for other, value in records.items() if other != key})
            # Trimming the top may end at the missing node. If that is a lone pointer, no tree has it for a root.
            assert mst.cid_of_tree(without) == right or (without == missing and is_lone_pointer(everything[missing]))
    except PartialTree:
        pass


def is_lone_pointer(block: bytes) -> bool:
    node = cbor2.loads(block)
    return not node["e"] and node["l"] is not None


def test_what_a_trim_leaves_of_a_missing_lone_pointer_is_never_the_root_of_a_tree() -> None:
    keys = (b"com.example.record/0000", b"com.example.record/0019")
    tree = tree_of(dict.fromkeys(keys, world.cid_of(b"")))
    everything = mst.new_blocks(tree)
    pointers = [cid for cid, block in everything.items() if is_lone_pointer(block)]

    assert pointers
    for missing in pointers:
        blocks = {cid: block for cid, block in everything.items() if cid != missing}
        without, _ = mst.delete(mst.cid_of_tree(tree), keys[1], blocks)
        assert without == missing
        with pytest.raises(EncodingError, match="lone pointer"):
            list(mst.walk(without, everything))


def test_deleting_what_is_not_there_is_a_contradiction() -> None:
    tree = tree_of({b"com.example.record/0001": world.cid_of(b"")})

    for key in (f"com.example.record/{number:04d}".encode() for number in range(2, 40)):
        with pytest.raises(TreeMismatch):
            mst.delete(tree, key, {})
    with pytest.raises(TreeMismatch):
        mst.delete(None, b"com.example.record/0001", {})


# --- nodes that are not canonical -------------------------------------------------------------------------------

LEAF = world.cid_of(b"leaf")
KEYS_0 = [key for key in (f"com.example.record/{n:04d}".encode() for n in range(99)) if mst.key_height(key) == 0]
KEYS_1 = [key for key in (f"com.example.record/{n:04d}".encode() for n in range(99)) if mst.key_height(key) == 1]


def entry(key: bytes, previous: bytes = b"", below: bytes | None = None, **changed: Any) -> dict[str, Any]:
    shared = mst.common_prefix_length(previous, key)
    return {"k": key[shared:], "p": shared, "v": world.link(LEAF), "t": world.link(below) if below else None} | changed


def walked(*nodes: Any) -> list[bytes]:
    blocks = [world.encode(node) if not isinstance(node, bytes) else node for node in nodes]
    store = {world.cid_of(block): block for block in blocks}
    return [key for key, _ in mst.walk(world.cid_of(blocks[0]), store)]


LEAF_NODE = {"l": None, "e": [entry(KEYS_0[0])]}
LEAF_CID = world.cid_of(world.encode(LEAF_NODE))
EMPTY_CID = world.cid_of(world.encode({"l": None, "e": []}))
first_above = next(key for key in KEYS_1 if key > KEYS_0[0])
late_zero = next(key for key in KEYS_0 if key > first_above)
LATE_CID = world.cid_of(world.encode({"l": None, "e": [entry(late_zero)]}))


def test_the_honest_nodes_of_these_tests_are_read() -> None:
    assert walked(LEAF_NODE) == [KEYS_0[0]]
    assert walked({"l": world.link(LEAF_CID), "e": [entry(first_above)]}, LEAF_NODE) == [KEYS_0[0], first_above]


@pytest.mark.parametrize(
    ("name", "nodes"),
    [
        ("not CBOR", [b"\xff"]),
        ("nested too deep", [b"\x81" * 100_000]),
        ("not a map", [[1]]),
        ("a field too many", [{"l": None, "e": [], "x": 1}]),
        ("a field too few", [{"e": []}]),
        ("entries that are no list", [{"l": None, "e": {}}]),
        ("an entry that is no map", [{"l": None, "e": [1]}]),
        ("an entry with a field too many", [{"l": None, "e": [entry(KEYS_0[0], x=1)]}]),
        ("a key of text", [{"l": None, "e": [entry(KEYS_0[0], k="com.example.record/0001")]}]),
        ("a prefix of true", [{"l": None, "e": [entry(KEYS_0[0]), entry(KEYS_0[1], KEYS_0[0], p=True)]}]),
        ("a prefix longer than the key before", [{"l": None, "e": [entry(KEYS_0[0], p=3)]}]),
        ("a prefix shorter than it could be", [{"l": None, "e": [entry(KEYS_0[0]), entry(KEYS_0[1])]}]),
        ("keys out of order", [{"l": None, "e": [entry(KEYS_0[1]), entry(KEYS_0[0], KEYS_0[1])]}]),
        ("a key twice", [{"l": None, "e": [entry(KEYS_0[0]), entry(KEYS_0[0], KEYS_0[0])]}]),
        (
            "keys of two heights",
            [
                {
                    "l": None,
                    "e": [
                        entry(key, previous)
                        for key, previous in zip(
                            sorted([KEYS_0[0], KEYS_1[0]]), [b"", min(KEYS_0[0], KEYS_1[0])], strict=True
                        )
                    ],
                }
            ],
        ),
        ("a key that is no path", [{"l": None, "e": [entry(b"nopath")]}]),
        ("a key of 1,025 bytes", [{"l": None, "e": [entry(b"com.example.record/" + b"a" * 1006)]}]),
        ("a value that is bytes", [{"l": None, "e": [entry(KEYS_0[0], v=LEAF)]}]),
        ("a value that is a blob's CID", [{"l": None, "e": [entry(KEYS_0[0], v=world.link(world.cid_of(b"", 0x55)))]}]),
        ("a value of null", [{"l": None, "e": [entry(KEYS_0[0], v=None)]}]),
        ("a link that is bytes", [{"l": LEAF_CID, "e": [entry(first_above)]}, LEAF_NODE]),
        ("a link below the lowest level", [{"l": world.link(LEAF_CID), "e": [entry(KEYS_0[1])]}, LEAF_NODE]),
        ("a lone pointer on top", [{"l": world.link(LEAF_CID), "e": []}, LEAF_NODE]),
        ("an empty node inside", [{"l": world.link(EMPTY_CID), "e": [entry(first_above)]}, {"l": None, "e": []}]),
        (
            "a child right of its place",
            [{"l": world.link(LATE_CID), "e": [entry(first_above)]}, {"l": None, "e": [entry(late_zero)]}],
        ),
        ("a child left of its place", [{"l": None, "e": [entry(first_above, below=LEAF_CID)]}, LEAF_NODE]),
        ("integers not in their shortest form", [world.encode(LEAF_NODE).replace(b"\x61p\x00", b"\x61p\x18\x00")]),
        ("fields out of order", [b"\xa2\x61l\xf6\x61e\x80"]),
    ],
)
def test_a_tree_that_is_not_canonical_is_refused(name: str, nodes: list[Any]) -> None:
    with pytest.raises(EncodingError):
        walked(*nodes)


def test_a_child_beyond_its_grandparents_key_is_refused() -> None:
    keys = sorted(
        (f"com.example.record/{n:05d}".encode() for n in range(3000)), key=lambda key: (mst.key_height(key), key)
    )
    top = next(key for key in keys if mst.key_height(key) == 2)
    late = next(key for key in keys if mst.key_height(key) == 0 and key > top)
    leaf = {"l": None, "e": [entry(late)]}
    pointer = {"l": world.link(world.cid_of(world.encode(leaf))), "e": []}
    root = {"l": world.link(world.cid_of(world.encode(pointer))), "e": [entry(top)]}

    with pytest.raises(EncodingError, match="outside of its place"):
        walked(root, pointer, leaf)


def test_put_splits_and_lifts_a_tree_of_many_levels() -> None:
    records = {line.encode(): LEAF for line in interop_lines("mst/example_keys.txt")}

    assert mst.cid_of_tree(tree_of(records)) == independent_root(records)


def key_of_height(height: int) -> bytes:
    return next(key for number in range(10_000) if mst.key_height(key := f"a.b/{number:05d}".encode()) == height)


def test_what_a_deletion_leaves_lifted_is_trimmed_by_all_its_levels() -> None:
    low, high = key_of_height(0), key_of_height(3)
    tree = tree_of({low: LEAF, high: LEAF})

    left, value = mst.delete(tree, high, {})
    assert (mst.cid_of_tree(left), value) == (independent_root({low: LEAF}), LEAF)


@pytest.mark.parametrize("place", [("b.b/2", None), (None, "b.b/2")])
def test_a_node_with_one_key_on_the_wrong_side_of_its_place_is_refused(place: tuple[str | None, str | None]) -> None:
    height = mst.key_height(b"b.b/1")
    other = next(path for number in range(3, 1000) if mst.key_height((path := f"b.b/{number}").encode()) == height)
    tree = world.build_tree({"b.b/1": LEAF, other: LEAF})
    lower, upper = (None if bound is None else bound.encode() for bound in place)

    assert mst.decode_node(tree.root, tree.blocks, height).keys == (b"b.b/1", other.encode())
    with pytest.raises(EncodingError, match="outside of its place"):
        mst.decode_node(tree.root, tree.blocks, height, lower, upper)
