"""The Merkle search tree of a repository: immutable nodes over a store of blocks.

A tree is a *link*: None (empty), the 36-byte CID of a node that lies in the store, or a Node. Put and
delete return a new link and touch no store, so many versions may share nodes. Reading enforces the
canonical form (order, heights, prefix compression, bounds, no lone top pointer); a node that the store
lacks raises PartialTree, unless nothing of it is needed.

Terminology: a key's *height* is the number of leading zero bits of its SHA-256, halved; a node at height h
holds keys of exactly that height, and its n+1 links lead to nodes of height h-1.
Source: https://atproto.com/specs/repository#mst-structure
"""

import hashlib
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import libipld

from atprotocol.cid import CID_LENGTH, DAG_CBOR_PREFIX
from atprotocol.errors import EncodingError, PartialTree, TreeMismatch

Blocks: TypeAlias = Mapping[bytes, bytes]
Link: TypeAlias = "bytes | Node | None"

KEY_BYTES_LIMIT = 1024
ENTRY_LIMIT = 10_000
_KEY = re.compile(rb"[a-zA-Z0-9.-]+/[a-zA-Z0-9._~:-]+")
_ENTRY_FIELDS = {"k", "p", "t", "v"}
_sha256 = hashlib.sha256
_encode = libipld.encode_dag_cbor
_decode = libipld.decode_dag_cbor


class Node:
    """One node: n keys, n values (CIDs of records) and n+1 links around them. Never changed once made."""

    __slots__ = ("_encoded", "height", "keys", "links", "values")

    def __init__(
        self,
        height: int,
        keys: tuple[bytes, ...],
        values: tuple[bytes, ...],
        links: tuple[Link, ...],
        encoded: tuple[bytes, bytes] | None = None,
    ) -> None:
        self.height = height
        self.keys = keys
        self.values = values
        self.links = links
        self._encoded = encoded

    def encoded(self) -> tuple[bytes, bytes]:
        """Return the node's CID and block, encoded at the first call."""
        if self._encoded is None:
            entries = []
            previous = b""
            for key, value, link in zip(self.keys, self.values, self.links[1:], strict=True):
                shared = common_prefix_length(previous, key)
                entries.append(
                    {"k": key[shared:], "p": shared, "t": cid_of_tree(link) if link is not None else None, "v": value}
                )
                previous = key
            first = self.links[0]
            block: bytes = _encode({"e": entries, "l": cid_of_tree(first) if first is not None else None})
            self._encoded = (DAG_CBOR_PREFIX + _sha256(block).digest(), block)
        return self._encoded


_EMPTY = Node(0, (), (), (None,))


def key_height(key: bytes) -> int:
    """Return the height at which a key lives: leading zero bits of its SHA-256, in pairs."""
    return (256 - int.from_bytes(_sha256(key).digest(), "big").bit_length()) >> 1


def common_prefix_length(left: bytes, right: bytes) -> int:
    """Return how many leading bytes the two keys share."""
    length = min(len(left), len(right))
    if left[:length] == right[:length]:
        return length
    low = 0
    while left[low] == right[low]:
        low += 1
    return low


def cid_of_tree(tree: Link) -> bytes:
    """Return the binary CID of a tree's root node; the empty tree has one, too."""
    if isinstance(tree, bytes):
        return tree
    return (tree or _EMPTY).encoded()[0]


def new_blocks(tree: Link) -> dict[bytes, bytes]:
    """Return the blocks, by CID, of all nodes that are held in memory under this link."""
    blocks: dict[bytes, bytes] = {}
    stack: list[Link] = [tree if tree is not None else _EMPTY]
    while stack:
        node = stack.pop()
        if isinstance(node, Node):
            cid, block = node.encoded()
            blocks[cid] = block
            stack.extend(node.links)
    return blocks


def load(tree: Link, blocks: Blocks) -> Node | None:
    """Return the root node of a tree, None for the empty one.

    Raises PartialTree when its block is missing, EncodingError when it is not canonical.
    """
    if not isinstance(tree, bytes):
        return tree
    node = decode_node(tree, blocks)
    if not node.keys:
        if node.links[0] is not None:
            raise EncodingError("the top node of a tree is a lone pointer")
        return None
    return node


def decode_node(
    cid: bytes, blocks: Blocks, height: int | None = None, lower: bytes | None = None, upper: bytes | None = None
) -> Node:
    """Return the node with this CID, checked to be canonical, of this height and between these keys.

    Raises PartialTree when the store lacks it, EncodingError otherwise. The store's blocks must have
    been checked against their CIDs.
    """
    block = blocks.get(cid)
    if block is None:
        raise PartialTree(f"the blocks lack tree node {cid.hex()}")
    try:
        decoded = _decode(block)
        encoded = _encode(decoded)
    except (ValueError, RecursionError) as error:
        raise EncodingError(f"a tree node is not DAG-CBOR: {error}") from None
    # libipld is lenient and cannot tell a link from bytes; the same bytes again prove that nothing was bent.
    if (
        not isinstance(decoded, dict)
        or decoded.keys() != {"e", "l"}
        or not isinstance(decoded["e"], list)
        or encoded != block
    ):
        raise EncodingError("a tree node is not in canonical form")
    node = _node_from_entries(decoded["e"], decoded["l"], height)
    node._encoded = (cid, block)
    keys = node.keys
    if keys and ((lower is not None and keys[0] <= lower) or (upper is not None and keys[-1] >= upper)):
        raise EncodingError("a tree node holds keys outside of its place")
    if height is not None and not keys and node.links[0] is None:
        raise EncodingError("an empty node inside a tree")
    return node


def _node_from_entries(entries: list[Any], first: Any, height: int | None) -> Node:
    if len(entries) > ENTRY_LIMIT:
        raise EncodingError(f"a tree node of {len(entries)} entries")
    keys: list[bytes] = []
    values: list[bytes] = []
    links: list[Link] = [_checked_link(first)]
    previous = b""
    for entry in entries:
        if not isinstance(entry, dict) or entry.keys() != _ENTRY_FIELDS:
            raise EncodingError("a tree entry without exactly the fields k, p, t and v")
        suffix, shared, value = entry["k"], entry["p"], entry["v"]
        if not isinstance(suffix, bytes) or type(shared) is not int or not 0 <= shared <= len(previous):
            raise EncodingError("a tree entry's key is malformed")
        key = previous[:shared] + suffix
        if len(key) > KEY_BYTES_LIMIT or _KEY.fullmatch(key) is None:
            raise EncodingError("a tree key that is no record path")
        # After the shared part the keys must differ at once, upwards: then they are in order, and compressed to the full.
        if suffix[:1] <= previous[shared : shared + 1]:
            raise EncodingError("tree keys out of order, or not compressed to the full")
        own = key_height(key)
        if height is None:
            height = own
        if own != height:
            raise EncodingError("a tree key at the wrong height")
        if not isinstance(value, bytes) or len(value) != CID_LENGTH or value[:4] != DAG_CBOR_PREFIX:
            raise EncodingError("a tree value that is no CID of DAG-CBOR content")
        keys.append(key)
        values.append(value)
        links.append(_checked_link(entry["t"]))
        previous = key
    if height == 0 and any(link is not None for link in links):
        raise EncodingError("a link below the lowest level")
    return Node(height or 0, tuple(keys), tuple(values), tuple(links))


def _checked_link(value: Any) -> bytes | None:
    if value is None:
        return None
    if not isinstance(value, bytes) or len(value) != CID_LENGTH or value[:4] != DAG_CBOR_PREFIX:
        raise EncodingError("a tree link that is no CID of DAG-CBOR content")
    return value


def _child(node: Node, index: int, blocks: Blocks) -> Node | None:
    link = node.links[index]
    if not isinstance(link, bytes):
        return link
    if node.height == 0:
        raise EncodingError("a link below the lowest level")
    lower = node.keys[index - 1] if index else None
    upper = node.keys[index] if index < len(node.keys) else None
    return decode_node(link, blocks, node.height - 1, lower, upper)


def get(tree: Link, key: bytes, blocks: Blocks) -> bytes | None:
    """Return the value at a key, None when it is provably absent.

    Raises PartialTree when a node on the way is missing.
    """
    node = load(tree, blocks)
    height = key_height(key)
    while node is not None and node.height >= height:
        index = bisect_left(node.keys, key)
        if index < len(node.keys) and node.keys[index] == key:
            return node.values[index]
        if node.height == height:
            return None
        node = _child(node, index, blocks)
    return None


def put(tree: Link, key: bytes, value: bytes, blocks: Blocks) -> Node:
    """Return the tree with the key set to the value, whether it was there or not.

    Raises PartialTree when a node that must change, or be split, is missing.
    """
    height = key_height(key)
    root = load(tree, blocks)
    if root is None:
        return Node(height, (key,), (value,), (None, None))
    if height <= root.height:
        return _put(root, key, value, height, blocks)
    left, right = _split(root, key, blocks)
    for level in range(root.height + 1, height):
        left = Node(level, (), (), (left,)) if left is not None else None
        right = Node(level, (), (), (right,)) if right is not None else None
    return Node(height, (key,), (value,), (left, right))


def _put(node: Node, key: bytes, value: bytes, height: int, blocks: Blocks) -> Node:
    keys, values, links = node.keys, node.values, node.links
    index = bisect_left(keys, key)
    if index < len(keys) and keys[index] == key:
        return Node(node.height, keys, (*values[:index], value, *values[index + 1 :]), links)
    child = _child(node, index, blocks)
    if height == node.height:
        left, right = _split(child, key, blocks)
        return Node(
            height,
            (*keys[:index], key, *keys[index:]),
            (*values[:index], value, *values[index:]),
            (*links[:index], left, right, *links[index + 1 :]),
        )
    if child is not None:
        new = _put(child, key, value, height, blocks)
    else:
        new = Node(height, (key,), (value,), (None, None))
        for level in range(height + 1, node.height):
            new = Node(level, (), (), (new,))
    return Node(node.height, keys, values, (*links[:index], new, *links[index + 1 :]))


def _split(node: Node | None, key: bytes, blocks: Blocks) -> tuple[Node | None, Node | None]:
    """Return what lies left and right of a key that is not in the node, both at the node's height."""
    if node is None:
        return None, None
    index = bisect_left(node.keys, key)
    left, right = _split(_child(node, index, blocks), key, blocks)
    return (
        _unless_empty(Node(node.height, node.keys[:index], node.values[:index], (*node.links[:index], left))),
        _unless_empty(Node(node.height, node.keys[index:], node.values[index:], (right, *node.links[index + 1 :]))),
    )


def _unless_empty(node: Node) -> Node | None:
    return node if node.keys or node.links[0] is not None else None


def delete(tree: Link, key: bytes, blocks: Blocks) -> tuple[Link, bytes]:
    """Return the tree without the key, and the value that it had.

    Raises TreeMismatch when the key is absent, PartialTree when a node that must change or merge is
    missing. Where trimming the top reaches a node that the store lacks, its CID is the answer; were that
    node a lone pointer, the answer is no tree's root, so comparing it with a stored root still tells the truth.
    """
    root = load(tree, blocks)
    height = key_height(key)
    if root is None or height > root.height:
        raise TreeMismatch("the tree lacks a key that it should hold")
    new, value = _delete(root, key, height, blocks)
    while new is not None and not new.keys:
        link = new.links[0]
        if isinstance(link, bytes) and link not in blocks:
            return link, value
        new = _child(new, 0, blocks)
    return new, value


def _delete(node: Node, key: bytes, height: int, blocks: Blocks) -> tuple[Node | None, bytes]:
    index = bisect_left(node.keys, key)
    if height == node.height:
        if index == len(node.keys) or node.keys[index] != key:
            raise TreeMismatch("the tree lacks a key that it should hold")
        middle = _merge(node, index, blocks)
        keys = (*node.keys[:index], *node.keys[index + 1 :])
        values = (*node.values[:index], *node.values[index + 1 :])
        return _unless_empty(
            Node(height, keys, values, (*node.links[:index], middle, *node.links[index + 2 :]))
        ), node.values[index]
    child = _child(node, index, blocks)
    if child is None:
        raise TreeMismatch("the tree lacks a key that it should hold")
    new, value = _delete(child, key, height, blocks)
    return _unless_empty(
        Node(node.height, node.keys, node.values, (*node.links[:index], new, *node.links[index + 1 :]))
    ), value


def _merge(node: Node, index: int, blocks: Blocks) -> Link:
    """Return the one link that replaces the two around the key at `index`."""
    left, right = node.links[index], node.links[index + 1]
    if left is None or right is None:
        return left if right is None else right
    return _merge_nodes(_child(node, index, blocks), _child(node, index + 1, blocks), blocks)


def _merge_nodes(left: Node | None, right: Node | None, blocks: Blocks) -> Node | None:
    if left is None or right is None:
        return left if right is None else right
    inner_left, inner_right = left.links[-1], right.links[0]
    if inner_left is None or inner_right is None:
        middle: Link = inner_left if inner_right is None else inner_right
    else:
        middle = _merge_nodes(_child(left, len(left.keys), blocks), _child(right, 0, blocks), blocks)
    return Node(
        left.height, left.keys + right.keys, left.values + right.values, (*left.links[:-1], middle, *right.links[1:])
    )


def walk(tree: Link, blocks: Blocks, start: bytes = b"", end: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
    """Yield (key, value) in order for start <= key < end, visiting only nodes that may hold such keys.

    Raises PartialTree and EncodingError as it meets them; with the default bounds the whole tree is checked.
    """
    root = load(tree, blocks)
    stack: list[tuple[Node, int]] = [(root, 0)] if root is not None else []
    previous = b""
    while stack:
        node, index = stack.pop()
        keys = node.keys
        if index > 0:
            key = keys[index - 1]
            # A node checks its keys against its parent's; this checks them against everything before.
            if key <= previous:
                raise EncodingError("a tree node holds keys outside of its place")
            previous = key
            if start <= key and (end is None or key < end):
                yield key, node.values[index - 1]
        if index < len(keys):
            stack.append((node, index + 1))
        starts_before_end = end is None or index == 0 or keys[index - 1] < end
        ends_after_start = index == len(keys) or keys[index] > start
        if starts_before_end and ends_after_start and (child := _child(node, index, blocks)) is not None:
            stack.append((child, 0))


def diff(
    old: Link, new: Link, old_blocks: Blocks, new_blocks: Blocks
) -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
    """Yield (key, old value or None, new value or None) in key order for every key whose value differs."""
    if cid_of_tree(old) == cid_of_tree(new):
        return
    left, right = walk(old, old_blocks), walk(new, new_blocks)
    old_item, new_item = next(left, None), next(right, None)
    while old_item is not None or new_item is not None:
        if new_item is None or (old_item is not None and old_item[0] < new_item[0]):
            assert old_item is not None
            yield old_item[0], old_item[1], None
            old_item = next(left, None)
        elif old_item is None or new_item[0] < old_item[0]:
            yield new_item[0], None, new_item[1]
            new_item = next(right, None)
        else:
            if old_item[1] != new_item[1]:
                yield old_item[0], old_item[1], new_item[1]
            old_item, new_item = next(left, None), next(right, None)
