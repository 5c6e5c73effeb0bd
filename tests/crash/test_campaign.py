"""A short crash campaign, and that its recorded world is what it says."""

import json

import world
from campaign import run_campaign
from crash_report import KINDS, Plan, Report
from faults import Proof
from recorded_world import record_world
from table_hash import TableContent

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


def happy_report() -> Report:
    """Return the report of a campaign in which everything happened as planned."""
    report = Report(Plan(kills=4))
    report.planned.update(dict.fromkeys(KINDS, 2))
    report.proofs = {kind: [Proof("one"), Proof("two")] for kind in KINDS}
    report.kills = report.interrupted = 4
    content = TableContent(("did",), (("did:web:one.test",),))
    report.compare({"network.actors": content}, {"network.actors": content})
    return report


def test_a_campaign_in_which_everything_happened_is_good() -> None:
    report = happy_report()
    report.judge()
    assert report.is_good


def test_a_campaign_with_a_fault_that_did_not_fire_proves_nothing() -> None:
    for kind, title in KINDS.items():
        report = happy_report()
        report.proofs[kind].pop()
        report.judge()
        assert report.problems == [f"{title}: fired 1 of 2 times"]


def test_a_campaign_whose_kills_are_too_few_or_interrupted_nothing_proves_nothing() -> None:
    report = happy_report()
    report.kills = report.interrupted = 3
    report.judge()
    assert report.problems == ["3 kills of 4"]
    report = happy_report()
    report.interrupted = 1
    report.judge()
    assert report.problems == ["only 1 of 4 kills interrupted work"]


def test_a_table_that_differs_is_shown_with_its_rows() -> None:
    report = happy_report()
    one, two = (TableContent(("did", "rev"), ((f"did:web:{name}.test", None),)) for name in ("one", "two"))
    report.compare({"network.repos": one}, {"network.repos": two})
    assert report.problems == ["network.repos differs", "- did=did:web:one.test", "+ did=did:web:two.test"]
    assert "network.repos                        1 rows" in report.as_text()
    assert "DIFFERENT" in report.as_text()


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
