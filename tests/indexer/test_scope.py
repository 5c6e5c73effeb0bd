"""Which frames concern us, decided on real frames."""

from typing import Any

import pytest
import world

from atprotocol import frames
from indexer.scope import in_scope

OURS = frozenset({"fm.plyr.track", "fm.plyr.like"})
RECORD = {"a": 1}


def split_commit(*paths: str, action: str = "create", did: str | None = None) -> tuple[str, dict[str, Any]]:
    """Return kind and payload of a commit that touches these paths, in this order."""
    network = world.World(1)
    account = network.account(did=did)
    account.commit([("create", path, RECORD) for path in paths])
    if action == "create":
        account = network.account(did=f"{account.did}2")
        made = account.commit([("create", path, RECORD) for path in paths])
    else:
        made = account.commit([(action, path, RECORD if action == "update" else None) for path in paths])
    kind, payload = frames.split(network.commit_frame(account, made))
    assert kind is not None
    return kind, payload


@pytest.mark.parametrize("action", ["create", "update", "delete"])
def test_a_strangers_operation_in_our_collections_concerns_us(action: str) -> None:
    assert in_scope(*split_commit("fm.plyr.track/1", action=action), set(), OURS)


@pytest.mark.parametrize("position", [0, 1, 2])
def test_one_operation_among_others_is_enough_wherever_it_stands(position: int) -> None:
    paths = ["app.bsky.feed.post/1", "app.bsky.feed.like/2"]
    paths.insert(position, "fm.plyr.like/1")
    assert in_scope(*split_commit(*paths), set(), OURS)


@pytest.mark.parametrize(
    "path",
    [
        "app.bsky.feed.post/fm.plyr.track",
        "fm.plyr.stg.track/1",
        "fm.plyr.tracks/1",
        "fm.plyr.trac/1",
        "fm.plyr/track",
        "fm.plyr.comment/1",
        "FM.PLYR.TRACK/1",
    ],
)
def test_collections_are_compared_whole(path: str) -> None:
    assert not in_scope(*split_commit(path), set(), OURS)


def test_of_a_tracked_account_everything_concerns_us() -> None:
    network = world.World(2)
    account, stranger = network.account(), network.account()
    made = account.commit([("create", "app.bsky.feed.post/1", RECORD)])
    sent = [
        network.commit_frame(account, made),
        network.sync_frame(account),
        network.identity_frame(account),
        network.account_frame(account, False, "deactivated"),
    ]
    for raw in sent:
        kind, payload = frames.split(raw)
        assert kind is not None
        assert in_scope(kind, payload, {account.did}, OURS)
        assert not in_scope(kind, payload, {stranger.did}, OURS)


def test_a_commit_without_operations_concerns_only_those_who_know_the_account() -> None:
    kind, payload = split_commit()
    assert not in_scope(kind, payload, set(), OURS)
    assert in_scope(kind, payload, {payload["repo"]}, OURS)
