"""A small repository with a history of signed commits, as the fuzz targets bend it. Made by tests/world alone."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import world

Records = dict[str, bytes]  # path: CID
POST, LIKE, TRACK = "app.bsky.feed.post", "fm.plyr.like", "fm.plyr.track"


@dataclass(frozen=True)
class Step:
    """One commit: the frame's payload, and the records by path before and after it."""

    payload: dict[str, Any]
    raw: bytes
    blocks: dict[bytes, bytes]
    commit: world.Commit
    stored_root: bytes
    before: Records


@dataclass(frozen=True)
class History:
    """An account with its commits, from a filled repository on."""

    account: world.Account
    steps: tuple[Step, ...]
    trees: tuple[world.Tree, ...]
    cids: tuple[bytes, ...]


def cids_of(account: world.Account) -> Records:
    """Return what the account's repository holds."""
    return {path: world.cid_of(world.encode(record)) for path, record in account.records.items()}


def record_history(seed: int = 5, curve: str = "K-256") -> History:
    """Return a history in which everything happens that a commit can do."""
    network = world.World(seed)
    account = network.account(curve=curve)
    account.commit([("create", f"{POST}/{number:04d}", {"n": number}) for number in range(14)])
    batches: list[list[world.Write]] = [
        [("create", f"{TRACK}/one", {"n": 1})],
        [("create", f"{LIKE}/one", {"n": 2}), ("create", f"{LIKE}/two", {"n": 3}), ("delete", f"{POST}/0003", None)],
        [("update", f"{TRACK}/one", {"n": 4}), ("update", f"{POST}/0000", {"n": 5})],
        [],
        [("delete", f"{LIKE}/one", None), ("create", f"{LIKE}/one", {"n": 6})],
        [("delete", f"{POST}/{number:04d}", None) for number in (4, 5, 6, 7)],
        [("create", f"{TRACK}/two", {"n": 7}), ("delete", f"{TRACK}/two", None)],
        [("delete", path, None) for path in (f"{TRACK}/one", f"{LIKE}/two")],
    ]
    steps, trees = [], [account.tree]
    for writes in batches:
        before, root = cids_of(account), account.tree.root
        commit = account.commit(writes)
        payload = {
            "repo": account.did,
            "commit": world.link(commit.cid),
            "rev": commit.rev,
            "since": commit.since,
            "ops": commit.operations,
            "blobs": [],
            "rebase": False,
            "tooBig": False,
            "prevData": world.link(root),
            "seq": network.seq + 1,
            "time": network.time(),
        }
        raw = encoded(payload, commit.cid, commit.blocks.items())
        steps.append(Step(payload, raw, commit.blocks, commit, root, before))
        trees.append(account.tree)
    cids = {cid for step in steps for cid in step.blocks}
    cids |= {cid for step in steps for cid in step.before.values()} | {tree.root for tree in trees}
    return History(account, tuple(steps), tuple(trees), tuple(sorted(cids)))


def encoded(payload: dict[str, Any], root: bytes, blocks: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the frame of a payload with these blocks, in their order and repetitions among them."""
    content = world.car(root, list(blocks))
    return world.encode({"op": 1, "t": "#commit"}) + world.encode(payload | {"blocks": content})
