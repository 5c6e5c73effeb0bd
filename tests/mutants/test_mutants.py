"""The mutants follow the code: each still fits, and names tests that are there. `just mutants` tries them."""

import ast
from functools import cache
from pathlib import Path

import pytest
from mutants.campaign import REPOSITORY, CampaignFailed, Mutant, is_of, load_mutants

MUTANTS = load_mutants()


@cache
def names_of_tests(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(node.name for node in functions if node.name.startswith("test_"))


def test_there_are_mutants_enough_and_of_both_programs_parts() -> None:
    assert len(MUTANTS) >= 60
    assert {mutant.file.partition("/")[0] for mutant in MUTANTS} == {"atprotocol", "indexer"}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_mutant_fits_the_code_and_names_tests_that_are_there(mutant: Mutant) -> None:
    ast.parse(mutant.applied((REPOSITORY / mutant.file).read_text(encoding="utf-8")))
    assert mutant.rule
    assert mutant.killed_by
    for test in mutant.killed_by:
        path, _, name = test.partition("::")
        assert name.partition("[")[0] in names_of_tests(REPOSITORY / path)


@pytest.mark.parametrize(("old", "count"), [("twice", 2), ("nowhere", 0)])
def test_a_mutant_that_does_not_fit_exactly_once_is_refused(old: str, count: int) -> None:
    mutant = Mutant("a name", "a/file.py", "1", old, "new", ("test",))
    with pytest.raises(CampaignFailed, match=f"stands {count} times"):
        mutant.applied("twice twice")


def test_a_mutant_that_changes_nothing_is_refused() -> None:
    with pytest.raises(CampaignFailed, match="changes nothing"):
        Mutant("a name", "a/file.py", "1", "old", "old", ("test",)).applied("old")


def test_a_test_is_known_by_its_name_and_by_each_of_its_parametrizations() -> None:
    assert is_of("a.py::test_x", "a.py::test_x")
    assert is_of("a.py::test_x[1]", "a.py::test_x")
    assert not is_of("a.py::test_xy", "a.py::test_x")
    assert not is_of("a.py::test_x[2]", "a.py::test_x[1]")
