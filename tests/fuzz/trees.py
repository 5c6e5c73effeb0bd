"""Trees with a node or several bent, every CID above put right again, so that nothing but the tree's own rules can tell.

The law: a tree that is read to its end is the one tree of its keys and values, as tests/world builds it; and every
other way of reading it says the same.
"""

from collections.abc import Iterator
from typing import Any

import cbor2
import world
from fuzz.choices import Choices

from atprotocol import mst
from atprotocol.errors import EncodingError, PartialTree, ProtocolError, ResponseTooLarge, TreeMismatch
from atprotocol.range_walk import RangeWalk

_VALUES = tuple(world.cid_of(bytes((number,))) for number in range(6))
_NAMES = ("a.b/", "a.b.c/", "fm.plyr.track/", "fm.plyr.trackx/", "z.z/")
_RANGES = [(b"a.b/", b"a.b0"), (b"fm.plyr.track/", b"fm.plyr.track0")]


def _records(count: int) -> dict[str, bytes]:
    return {f"{_NAMES[number % len(_NAMES)]}{number * 7919 % 1000:03d}": _VALUES[number % 6] for number in range(count)}


TREES = tuple(world.build_tree(_records(count)) for count in (0, 1, 2, 5, 12, 24))
_KEYS = (*(path.encode() for path in sorted(_records(24))[::3]), b"a.b/new", b"fm.plyr.track/new")


def bend_tree(data: bytes) -> str:
    """Bend a tree as the bytes say, then read and change it in every way."""
    choices = Choices(data)
    tree = choices.one_of(TREES)
    blocks = dict(tree.blocks)
    root = tree.root
    for _ in range(choices.below(4)):
        root = _bend(choices, root, blocks)
    if blocks and choices.below(8) == 1:
        del blocks[choices.one_of(sorted(blocks))]
    return _check(choices, root, blocks)


def _bend(choices: Choices, root: bytes, blocks: dict[bytes, bytes]) -> bytes:
    """Change one node and give all nodes above it new names; return the root's."""
    way = _way(choices, root, blocks)
    cid = way[-1]
    node = _decoded(blocks[cid]) if cid in blocks else None
    if node is None or choices.below(6) == 0:
        edited = choices.edited(blocks.get(cid, b""))
    else:
        _bend_node(choices, node, blocks)
        edited = world.encode(node)
    new = world.cid_of(edited)
    blocks[new] = edited
    for above in reversed(way[:-1]):
        parent = _decoded(blocks[above])
        if parent is None:
            break
        replaced = world.encode(_renamed(parent, cid, new))
        cid, new = above, world.cid_of(replaced)
        blocks[new] = replaced
    return new


def _way(choices: Choices, root: bytes, blocks: dict[bytes, bytes]) -> list[bytes]:
    way = [root]
    while way[-1] in blocks and (node := _decoded(blocks[way[-1]])) is not None:
        below = [link for link in _links(node) if link not in way]
        if not below or choices.below(3) == 0:
            break
        way.append(choices.one_of(below))
    return way


def _decoded(block: bytes) -> dict[str, Any] | None:
    """Return a node as it can be bent, if it still is a map with a list of maps."""
    try:
        node = cbor2.loads(block)
    except Exception:  # noqa: BLE001  (whatever cbor2 thinks of bytes that were bent before)
        return None
    if not isinstance(node, dict) or not isinstance(node.get("e"), list):
        return None
    return node if all(isinstance(entry, dict) for entry in node["e"]) else None


def _links(node: dict[str, Any]) -> Iterator[bytes]:
    for holder, name in ((node, "l"), *((entry, "t") for entry in node["e"])):
        link = holder.get(name)
        if isinstance(link, cbor2.CBORTag) and isinstance(link.value, bytes):
            yield link.value[1:]


def _renamed(node: dict[str, Any], old: bytes, new: bytes) -> dict[str, Any]:
    for holder, name in ((node, "l"), *((entry, "t") for entry in node["e"])):
        link = holder.get(name)
        if isinstance(link, cbor2.CBORTag) and link.value == b"\0" + old:
            holder[name] = world.link(new)
    return node


def _bend_node(choices: Choices, node: dict[str, Any], blocks: dict[bytes, bytes]) -> None:
    entries = node["e"]
    links = [None, *(world.link(cid) for cid in sorted(blocks))]
    if not entries or choices.below(8) == 0:
        node["l"] = choices.one_of(links)
        return
    at = choices.below(len(entries))
    entry = entries[at]
    match choices.below(10):
        case 0:
            del entries[at]
        case 1:
            entries.insert(choices.below(len(entries)), dict(entry))
        case 2:
            entries.insert(0, entries.pop(at))
        case 3:
            entry["p"] = choices.one_of((0, 1, 5, 300, -1, True, None))
        case 4 if isinstance(entry.get("k"), bytes):
            entry["k"] = choices.edited(entry["k"])
        case 5:
            entry["v"] = choices.one_of((*map(world.link, _VALUES), None, world.link(world.cid_of(b"", 0x55))))
        case 6:
            entry["t"] = choices.one_of(links)
        case 7:
            node["l"], entry["t"] = entry.get("t"), node.get("l")
        case 8:
            entry.pop(choices.one_of(sorted(entry, key=str) or ["k"]), None)
        case _:
            node[choices.one_of(("x", "e", "l"))] = choices.one_of((None, [], 1))


def _check(choices: Choices, root: bytes, blocks: dict[bytes, bytes]) -> str:
    whole: list[tuple[bytes, bytes]] | None
    try:
        whole = list(mst.walk(root, blocks))
        said = f"whole {len(whole)}"
    except (PartialTree, EncodingError) as error:
        whole, said = None, f"{type(error).__name__} {str(error)[:30]}"
    if whole is not None:
        assert world.build_tree({key.decode("ascii"): value for key, value in whole}).root == root
    held = dict(whole or ())
    for key in (choices.one_of(_KEYS), choices.one_of(_KEYS)):
        _check_key(key, root, blocks, held if whole is not None else None)
    _check_ranges(choices, root, blocks, whole)
    return said


def _check_key(key: bytes, root: bytes, blocks: dict[bytes, bytes], held: dict[bytes, bytes] | None) -> None:
    try:
        found = mst.get(root, key, blocks)
        assert held is None or found == held.get(key)
        changed = mst.put(root, key, _VALUES[0], blocks)
        assert mst.get(changed, key, blocks) == _VALUES[0]
        if found is None:
            back, value = mst.delete(changed, key, blocks)
            assert value == _VALUES[0]
        else:
            back = mst.put(changed, key, found, blocks)
        if held is not None:
            assert mst.cid_of_tree(back) == root
            after = {each.decode("ascii"): value for each, value in (held | {key: _VALUES[0]}).items()}
            assert mst.cid_of_tree(changed) == world.build_tree(after).root
    except ProtocolError as error:
        _must_be_partial(held, error)
    try:
        _, value = mst.delete(root, key, blocks)
        assert held is None or held[key] == value
    except TreeMismatch:
        assert held is None or key not in held
    except ProtocolError as error:
        _must_be_partial(held, error)


def _must_be_partial(whole: object, error: ProtocolError | ResponseTooLarge) -> None:
    """Hold against the law: of a tree that was read whole everything must be possible."""
    if whole is not None:
        raise AssertionError("a tree that was read whole cannot be read") from error


def _check_ranges(
    choices: Choices, root: bytes, blocks: dict[bytes, bytes], whole: list[tuple[bytes, bytes]] | None
) -> None:
    ranges = _RANGES[: 1 + choices.below(2)]
    walk = RangeWalk(root, ranges, 1000)
    seen: set[bytes] = set()
    try:
        while wanted := [cid for cid in walk.wanted if cid in blocks]:
            assert seen.isdisjoint(wanted), "a node is asked for twice"
            seen.update(wanted)
            walk.take({cid: blocks[cid] for cid in wanted})
        entries = walk.entries()
    except (PartialTree, EncodingError, ResponseTooLarge) as error:
        _must_be_partial(whole, error)
        return
    if whole is not None:
        assert entries == [item for item in whole if any(start <= item[0] < end for start, end in ranges)]
    parts = []
    for start, end in ranges:
        try:
            parts += list(mst.walk(root, blocks, start, end))
        except (PartialTree, EncodingError):
            return
    assert entries == parts
