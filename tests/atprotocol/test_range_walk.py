"""A walk that holds only some blocks must find what a walk over all of them finds, or notice that it cannot."""

import hashlib
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import cbor2
import pytest
import world
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from atprotocol import mst
from atprotocol.errors import EncodingError, PartialTree, ProtocolError, ResponseTooLarge
from atprotocol.range_walk import RangeWalk

COLLECTIONS = ["a.b.post", "a.b.track", "a.b.track.x", "a.b.trackx", "a.b.tracks", "a.c.like"]
KEYS = [f"{collection}/{number:03d}" for collection in COLLECTIONS for number in range(120)]
TALL = [key for key in KEYS if mst.key_height(key.encode()) >= 2]
EVERYTHING = [(b"\0", b"\xff")]
LIMIT = 10_000

Ranges = list[tuple[bytes, bytes]]
paths = st.lists(st.sampled_from(KEYS) | st.sampled_from(TALL), max_size=60, unique=True)
edges = st.sampled_from(
    [f"{name}{end}".encode() for name in COLLECTIONS for end in "/0"] + [key.encode() for key in KEYS[::7]]
)
range_lists = st.lists(edges, min_size=2, max_size=8, unique=True).map(
    lambda chosen: [pair for index, pair in enumerate(pairwise(sorted(chosen))) if index % 2 == 0]
)


def value_of(path: str) -> bytes:
    return world.cid_of(path.encode())


def tree_of(paths: list[str]) -> world.Tree:
    return world.build_tree({path: value_of(path) for path in paths})


def walked(root: bytes, blocks: Mapping[bytes, bytes], ranges: Ranges) -> list[tuple[bytes, bytes]]:
    """Return what a walk with all blocks at hand ends with."""
    walk = RangeWalk(root, ranges, LIMIT)
    walk.take(blocks)
    return walk.entries()


def whole(root: bytes, blocks: Mapping[bytes, bytes], ranges: Ranges) -> list[tuple[bytes, bytes]]:
    """Return what a check of the whole tree says is in the ranges."""
    everything = list(mst.walk(root, blocks))
    return [(key, value) for key, value in everything if any(start <= key < end for start, end in ranges)]


class Visited(dict[bytes, bytes]):
    """Blocks that keep in mind which of them were read."""

    def __init__(self, blocks: Mapping[bytes, bytes]) -> None:
        super().__init__(blocks)
        self.cids: set[bytes] = set()

    def get(self, cid: bytes, default: Any = None) -> Any:
        self.cids.add(cid)
        return super().get(cid, default)


def node_of(block: bytes) -> Any:
    return cbor2.loads(block)


def links_of(node: Any) -> list[Any]:
    return [node["l"], *(entry["t"] for entry in node["e"])]


def with_links(node: Any, links: list[Any]) -> Any:
    entries = [entry | {"t": link} for entry, link in zip(node["e"], links[1:], strict=True)]
    return {"l": links[0], "e": entries}


def forged(tree: world.Tree, target: bytes, node: Any) -> tuple[bytes, dict[bytes, bytes]]:
    """Return root and blocks of a tree in which one node is another, every hash above it put right."""
    blocks = dict(tree.blocks)

    def put(node: Any) -> bytes:
        block = world.encode(node)
        cid = world.cid_of(block)
        blocks[cid] = block
        return cid

    def rebuilt(cid: bytes) -> bytes:
        if cid == target:
            return put(node)
        old = node_of(tree.blocks[cid])
        return put(with_links(old, [link and world.link(rebuilt(link.value[1:])) for link in links_of(old)]))

    return rebuilt(tree.root), blocks


@settings(deadline=None)
@given(paths, range_lists)
def test_with_all_blocks_it_finds_what_the_check_of_the_whole_tree_finds(paths: list[str], ranges: Ranges) -> None:
    tree = tree_of(paths)

    assert walked(tree.root, tree.blocks, ranges) == whole(tree.root, tree.blocks, ranges)
    assert [walked(tree.root, tree.blocks, [each]) for each in ranges] == [
        list(mst.walk(tree.root, tree.blocks, *each)) for each in ranges
    ]


@settings(deadline=None)
@given(paths, range_lists, st.randoms(use_true_random=False))
def test_in_any_rounds_it_finds_the_same_and_asks_for_no_node_twice_or_in_vain(
    paths: list[str], ranges: Ranges, random: Any
) -> None:
    tree = tree_of(paths)
    walk = RangeWalk(tree.root, ranges, LIMIT)
    asked: list[bytes] = []
    rounds = 0
    while walk.wanted:
        answered = [cid for cid in walk.wanted if random.random() < 0.7]
        asked += answered
        walk.take({cid: tree.blocks[cid] for cid in answered})
        rounds += bool(answered)

    assert walk.entries() == whole(tree.root, tree.blocks, ranges)
    assert len(asked) == len(set(asked))
    visited = Visited(tree.blocks)
    for start, end in ranges:
        assert all(start <= key < end for key, _ in mst.walk(tree.root, visited, start, end))
    assert set(asked) == visited.cids


@pytest.mark.parametrize("gap", [1, 2, 5])
def test_ranges_that_begin_and_end_at_keys_of_the_tree_need_no_node_in_vain(gap: int) -> None:
    tree = tree_of(KEYS)
    bounds = [key.encode() for key in sorted(TALL)]
    for index in range(len(bounds) - 3 * gap):
        first, second, third, fourth = bounds[index : index + 3 * gap + 1 : gap]
        ranges = [(first, second), (third, fourth)]
        walk = RangeWalk(tree.root, ranges, LIMIT)
        asked: set[bytes] = set()
        while walk.wanted:
            asked.update(walk.wanted)
            walk.take({cid: tree.blocks[cid] for cid in walk.wanted})
        visited = Visited(tree.blocks)
        found = [entry for each in ranges for entry in mst.walk(tree.root, visited, *each)]
        assert (walk.entries(), asked) == (found, visited.cids)


def test_one_round_asks_for_a_whole_level() -> None:
    tree = tree_of(KEYS)
    walk = RangeWalk(tree.root, EVERYTHING, LIMIT)
    rounds = 0
    while walk.wanted:
        walk.take({cid: tree.blocks[cid] for cid in walk.wanted})
        rounds += 1

    assert rounds == max(mst.key_height(key.encode()) for key in KEYS) + 1


def test_a_narrow_range_needs_few_nodes() -> None:
    tree = tree_of(KEYS)
    walk = RangeWalk(tree.root, [(b"a.b.track/050", b"a.b.track/051")], LIMIT)
    taken = 0
    while walk.wanted:
        taken += len(walk.wanted)
        walk.take({cid: tree.blocks[cid] for cid in walk.wanted})

    assert [key for key, _ in walk.entries()] == [b"a.b.track/050"]
    assert taken <= 3 * (mst.key_height(b"") + 8) < len(tree.blocks) / 4


@settings(deadline=None)
@given(paths, range_lists, st.data())
def test_whatever_is_done_to_a_node_it_never_tells_what_the_whole_tree_contradicts(
    paths: list[str], ranges: Ranges, data: st.DataObject
) -> None:
    tree = tree_of(paths)
    target = data.draw(st.sampled_from(sorted(tree.blocks)))
    node = node_of(tree.blocks[target])
    links, cids = links_of(node), [None, *map(world.link, sorted(tree.blocks))]
    index, other = (data.draw(st.integers(0, len(links) - 1)) for _ in "ab")
    change = data.draw(st.sampled_from(["swap", "replace", "drop an entry", "another key", "another value"]))
    if change == "swap":
        links[index], links[other] = links[other], links[index]
    elif change == "replace":
        links[index] = data.draw(st.sampled_from(cids))
    node = with_links(node, links)
    if node["e"]:
        entry = node["e"][index % len(node["e"])]
        if change == "drop an entry":
            node["e"].remove(entry)
        elif change == "another key":
            entry |= {"k": data.draw(st.sampled_from(KEYS)).encode(), "p": 0}
        elif change == "another value":
            entry |= {"v": data.draw(st.sampled_from([*cids, 1]))}
    root, blocks = forged(tree, target, node)
    try:
        truth = whole(root, blocks, ranges)
    except ProtocolError:
        truth = None
    try:
        found = walked(root, blocks, ranges)
    except ProtocolError:
        # It may only be stricter about what it sees when the whole is wrong, too.
        assert truth is None
    else:
        assert truth is None or found == truth


@settings(deadline=None)
@given(st.lists(st.sampled_from(KEYS) | st.sampled_from(TALL), min_size=8, max_size=60, unique=True), st.data())
def test_two_subtrees_that_changed_places_are_refused(paths: list[str], data: st.DataObject) -> None:
    tree = tree_of(paths)
    wide = [cid for cid, (_, links) in tree.children.items() if len(links) - links.count(None) >= 2]
    assume(wide)
    target = data.draw(st.sampled_from(sorted(wide)))
    node = node_of(tree.blocks[target])
    links = links_of(node)
    full = [index for index, link in enumerate(links) if link is not None]
    first, second = data.draw(st.lists(st.sampled_from(full), min_size=2, max_size=2, unique=True))
    links[first], links[second] = links[second], links[first]
    root, blocks = forged(tree, target, with_links(node, links))

    with pytest.raises(EncodingError):
        walked(root, blocks, EVERYTHING)


@settings(deadline=None)
@given(st.lists(st.sampled_from(KEYS) | st.sampled_from(TALL), min_size=8, max_size=60, unique=True), st.data())
def test_a_subtree_that_is_withheld_leaves_the_walk_unfinished(paths: list[str], data: st.DataObject) -> None:
    tree = tree_of(paths)
    hidden = data.draw(st.sampled_from(sorted(tree.blocks)))
    walk = RangeWalk(tree.root, EVERYTHING, LIMIT)
    walk.take({cid: block for cid, block in tree.blocks.items() if cid != hidden})

    assert walk.wanted == [hidden]
    with pytest.raises(PartialTree):
        walk.entries()


# --- trees made by hand -------------------------------------------------------------------------------------------


def key_of(height: int, after: str = "", before: str = "~") -> str:
    """Return a key of exactly this height between two others."""
    for number in range(100_000):
        key = f"a.b.track/{hashlib.sha256(str(number).encode()).hexdigest()[:8]}"
        if after < key < before and mst.key_height(key.encode()) == height:
            return key
    raise AssertionError("no such key")


def put(blocks: dict[bytes, bytes], first: bytes | None, *entries: tuple[str, bytes | None]) -> bytes:
    """Add a node of whole keys that share nothing; return its CID."""
    made, previous = [], ""
    for key, below in entries:
        shared = len(previous) and mst.common_prefix_length(previous.encode(), key.encode())
        link = below and world.link(below)
        made.append({"k": key.encode()[shared:], "p": shared, "t": link, "v": world.link(value_of(key))})
        previous = key
    block = world.encode({"l": first and world.link(first), "e": made})
    blocks[world.cid_of(block)] = block
    return world.cid_of(block)


def test_a_node_below_a_lone_pointer_is_held_to_the_keys_of_its_grandparent() -> None:
    for upwards in (True, False):
        blocks: dict[bytes, bytes] = {}
        top = key_of(2, "a.b.track/4", "a.b.track/a")
        honest = key_of(0, top) if upwards else key_of(0, before=top)
        liar = key_of(0, before=top) if upwards else key_of(0, top)
        for key, is_honest in ((honest, True), (liar, False)):
            pointer = put(blocks, put(blocks, None, (key, None)))
            root = put(blocks, None, (top, pointer)) if upwards else put(blocks, pointer, (top, None))
            if is_honest:
                assert [found for found, _ in walked(root, blocks, EVERYTHING)] == sorted(
                    (top.encode(), honest.encode())
                )
            else:
                with pytest.raises(EncodingError, match="outside of its place"):
                    walked(root, blocks, EVERYTHING)


def test_a_subtree_at_another_height_is_refused() -> None:
    blocks: dict[bytes, bytes] = {}
    top = key_of(2)
    root = put(blocks, None, (top, put(blocks, None, (key_of(0, top), None))))

    with pytest.raises(EncodingError, match="wrong height"):
        walked(root, blocks, EVERYTHING)


def test_a_lone_pointer_that_hangs_in_two_places_is_refused_before_it_is_followed() -> None:
    blocks: dict[bytes, bytes] = {}
    pointer = put(blocks, world.cid_of(b"never asked for"))
    root = put(blocks, pointer, (key_of(2), pointer))

    walk = RangeWalk(root, EVERYTHING, LIMIT)
    with pytest.raises(EncodingError, match="two places"):
        walk.take({root: blocks[root]})


def test_a_tree_under_a_lone_pointer_is_refused() -> None:
    blocks: dict[bytes, bytes] = {}
    root = put(blocks, put(blocks, None, (key_of(0), None)))

    with pytest.raises(EncodingError, match="lone pointer"):
        walked(root, blocks, EVERYTHING)


def test_an_empty_tree_has_nothing_and_no_range_needs_nothing() -> None:
    tree = tree_of([])

    assert walked(tree.root, tree.blocks, EVERYTHING) == []
    assert RangeWalk(tree.root, [], LIMIT).wanted == []
    with pytest.raises(ValueError, match="before it starts"):
        RangeWalk(tree.root, [(b"b", b"a")], LIMIT)


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_a_collections_range_holds_it_alone(collection: str) -> None:
    tree = tree_of(KEYS)
    found = walked(tree.root, tree.blocks, [(f"{collection}/".encode(), f"{collection}0".encode())])

    assert found == [(key.encode(), value_of(key)) for key in KEYS if key.split("/")[0] == collection]


def test_more_nodes_and_entries_than_allowed_are_not_followed() -> None:
    tree = tree_of(KEYS)
    size = len(KEYS) + len(tree.blocks)
    fitting = RangeWalk(tree.root, EVERYTHING, size)
    fitting.take(tree.blocks)
    assert len(fitting.entries()) == len(KEYS)

    with pytest.raises(ResponseTooLarge):
        RangeWalk(tree.root, EVERYTHING, size - 1).take(tree.blocks)
