"""Which tree nodes are needed to know all keys in some ranges, and what those keys hold.

A planner for whoever holds only some of a tree's blocks: it names the nodes that it wants, all at once that can be
asked for together, takes them as they come, and ends with every entry of the ranges. Each node is held against its
place: canonical form, height, and the keys around it, those of all nodes above included, so that no subtree can be
hidden or put elsewhere. It trusts that the blocks were checked against their CIDs, fetches nothing and never visits
a node twice. Source: https://atproto.com/specs/repository#mst-structure
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from atprotocol import mst
from atprotocol.errors import EncodingError, PartialTree, ResponseTooLarge


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a node hangs: at this height, its keys strictly between these; None is not known, or no bound."""

    height: int | None
    lower: bytes | None
    upper: bytes | None

    def may_hold(self, start: bytes, end: bytes) -> bool:
        return (self.lower is None or self.lower < end) and (self.upper is None or self.upper > start)


class RangeWalk:
    """A walk over the parts of one tree that may hold keys of some ranges, start <= key < end."""

    def __init__(self, root: bytes, ranges: Sequence[tuple[bytes, bytes]], limit: int) -> None:
        """Begin at the root node's CID; `limit` bounds the nodes and the entries together."""
        if any(start >= end for start, end in ranges):
            raise ValueError("a range that ends before it starts")
        self._ranges = tuple(ranges)
        self._limit = limit
        self._wanted = {root: _Place(None, None, None)} if ranges else {}
        self._known = set(self._wanted)
        self._entries: dict[bytes, bytes] = {}

    @property
    def wanted(self) -> list[bytes]:
        """Return the CIDs of all nodes that are known to be needed and have not been taken; none at the end."""
        return list(self._wanted)

    def take(self, blocks: mst.Blocks) -> None:
        """Visit the wanted nodes that are among these blocks, and those below them as far as they are, too.

        Raises EncodingError when a node is not what its place demands, ResponseTooLarge beyond the limit;
        after that the walk is of no more use.
        """
        ready = [cid for cid in self._wanted if cid in blocks]
        while ready:
            cid = ready.pop()
            below = self._visit(cid, self._wanted.pop(cid), blocks)
            ready.extend(link for link in below if link in blocks)

    @property
    def found(self) -> Mapping[bytes, bytes]:
        """Return the value of every key of the ranges that has been met so far, in no order."""
        return self._entries

    def entries(self) -> list[tuple[bytes, bytes]]:
        """Return all (key, value) in the ranges, in order. Raises PartialTree while nodes are wanted."""
        if self._wanted:
            raise PartialTree(f"{len(self._wanted)} tree nodes have not been seen")
        return sorted(self._entries.items())

    def _visit(self, cid: bytes, place: _Place, blocks: mst.Blocks) -> Iterator[bytes]:
        """Enter a node's keys of the ranges; want, and yield, the nodes below it that may hold more of them."""
        if place.height is None:
            node = mst.load(cid, blocks)
        else:
            node = mst.decode_node(cid, blocks, place.height, place.lower, place.upper)
        if node is None:
            return
        keys = node.keys
        needed: set[int] = set()
        for start, end in self._ranges:
            if place.may_hold(start, end):
                after_start, before_end = bisect_right(keys, start), bisect_left(keys, end)
                # The link at an index leads to what lies before the key of that index.
                needed.update(range(after_start, before_end + 1))
                for index in range(bisect_left(keys, start), before_end):
                    self._entries[keys[index]] = node.values[index]
        for index in sorted(needed):
            link = node.links[index]
            if isinstance(link, bytes):
                if link in self._known:
                    raise EncodingError("a tree node hangs in two places")
                self._known.add(link)
                # A node without keys of its own passes on the bounds that it was given.
                self._wanted[link] = _Place(
                    node.height - 1,
                    keys[index - 1] if index else place.lower,
                    keys[index] if index < len(keys) else place.upper,
                )
                yield link
        if len(self._known) + len(self._entries) > self._limit:
            raise ResponseTooLarge(f"more than {self._limit} tree nodes and entries in the ranges")
