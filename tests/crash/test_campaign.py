"""A short crash campaign, and that its recorded world is what it says."""

import json

import world
from campaign import run_campaign
from crash_report import KINDS, Plan
from recorded_world import record_world

from atprotocol import frames


def test_a_killed_indexer_ends_with_the_tables_of_an_undisturbed_one() -> None:
    report = run_campaign(Plan(kills=6, seed=3, frames=400), is_quiet=True)
    assert report.problems == [], report.as_text()
    assert report.kills >= 6
    assert all(report.proofs[kind] for kind in KINDS)
    assert report.interrupted > 0
    assert {one == two for _, one, two in report.tables.values()} == {True}
    assert report.tables["network.records"][0] > 100
    assert json.loads(json.dumps(report.as_json()))["is_good"] is True


def test_a_world_is_the_same_for_the_same_seed() -> None:
    one, two, other = (record_world(seed, 150, "http://localhost:1") for seed in (5, 5, 6))
    # Signatures are drawn anew each time; everything else of a frame's place and account is not.
    assert [_essence(raw) for _, raw in one.frames] == [_essence(raw) for _, raw in two.frames]
    assert [_essence(raw) for _, raw in one.frames] != [_essence(raw) for _, raw in other.frames]


def _essence(raw: bytes) -> object:
    if raw.startswith(b"\xff"):
        return raw
    kind, payload = frames.split(raw)
    return kind, payload.get("repo") or payload.get("did"), payload.get("rev"), payload["seq"]


def test_the_hosts_state_is_never_behind_the_stream() -> None:
    recorded = record_world(5, 300, "http://localhost:1")
    told: dict[str, str] = {}
    for seq, raw in recorded.frames:
        if raw.startswith(b"\xff"):
            continue
        kind, payload = frames.split(raw)
        did = payload.get("repo") or payload["did"]
        state = recorded.state(did, seq)
        assert state is not None
        if kind == "#sync":
            assert state.rev == payload["rev"]
        if kind == "#commit":
            told[did] = max(told.get(did, ""), payload["rev"])
    assert set(told) <= set(recorded.states)
    for did in recorded.tracked:
        final = recorded.states[did][-1][1]
        assert final.status in (None, "deleted")
        assert final.blocks()[final.head] == final.head_block
        assert world.cid_of(final.head_block) == final.head
