"""A short and always equal run of every target, and that the harness notices what it is there to notice."""

import random
from pathlib import Path

import pytest
from fuzz import campaign
from fuzz.campaign import Bounds, fuzz_target, shares
from fuzz.engines import Finding, Ledger, mutated, run_plain
from fuzz.targets import make_targets

TARGETS = make_targets()
EXECUTIONS = 3000
SLOW = {"mst": 1500, "verify_commit": 1500}


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_nothing_breaks_a_law(name: str, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    executions = SLOW.get(name, EXECUTIONS)
    run_plain(TARGETS[name], executions, 600, 1, ledger, tmp_path / "findings")
    assert ledger.read()[0] == executions


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_honest_and_bent_inputs_come_to_different_ends(name: str) -> None:
    chance, seeds = random.Random(3), list(TARGETS[name].seeds)
    said = {TARGETS[name].run(data) for data in (*seeds, *(mutated(chance, seeds) for _ in range(200)))}
    assert len(said) >= 5


def test_an_honest_commit_is_accepted_and_one_that_is_bent_is_not() -> None:
    said = [TARGETS["verify_commit"].run(bytes((history, step))) for history in range(2) for step in range(8)]
    assert {word.partition(" ")[0] for word in said} == {"accepted"}
    assert TARGETS["verify_commit"].run(bytes((0, 0, 1, 0, 0))).startswith("EncodingError")


def test_what_the_plain_engine_tries_follows_from_the_seed() -> None:
    seeds = list(TARGETS["frames"].seeds)
    one, same, other = ([mutated(random.Random(seed), seeds) for _ in range(1)] for seed in (1, 1, 2))
    assert one == same != other


def test_an_input_that_breaks_a_law_is_kept_with_the_reason(tmp_path: Path) -> None:
    from fuzz import planted

    target = planted.make_targets()["breaks_a_law"]
    with pytest.raises(Finding) as found:
        run_plain(target, 100_000, 60, 1, Ledger(tmp_path / "ledger"), tmp_path / "findings")
    assert 0xBB in found.value.path.read_bytes()
    assert "AssertionError" in found.value.path.with_suffix(".txt").read_text()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("breaks_a_law", "AssertionError"),
        ("hangs", "took longer than"),
        ("dies", "ended with -9"),
        ("hoards", "memory grew"),
    ],
)
def test_the_campaign_notices_what_becomes_of_a_process_and_keeps_the_input(
    name: str, said: str, tmp_path: Path
) -> None:
    outcome = fuzz_target(
        name,
        engine="plain",
        executions=100_000,
        seconds=60,
        seed=1,
        folder=tmp_path,
        bounds=Bounds(input_seconds=2, warm_up_share=0.01, growth_bytes=50_000_000),
        targets="fuzz.planted",
        quiet=True,
    )
    assert said in outcome.finding
    kept = [path for path in (tmp_path / "findings").iterdir() if path.suffix != ".txt"]
    assert len(kept) == 1
    assert name == "hoards" or 0xBB in kept[0].read_bytes()


def test_the_command_ends_with_one_for_a_finding_and_with_nothing_for_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = ["--targets", "fuzz.planted", "--engine", "plain", "--executions", "2000", "--folder", str(tmp_path)]
    assert campaign.main([*plain, "--target", "is_sound"]) == 0
    assert campaign.main([*plain, "--target", "breaks_a_law"]) == 1
    assert "| breaks_a_law | plain |" in capsys.readouterr().out
    kept = next(path for path in (tmp_path / "findings").iterdir() if path.suffix != ".txt")
    assert campaign.main([*plain, "--target", "breaks_a_law", "--replay", str(kept)]) == 1
    assert campaign.main([*plain, "--target", "unheard-of"]) == 2


def test_the_executions_are_shared_out_among_the_targets() -> None:
    shared = shares(TARGETS, 10_000_000)
    assert sum(shared.values()) >= 10_000_000
    assert min(shared.values()) >= 100_000
