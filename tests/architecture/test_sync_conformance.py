"""The table of the sync protocol's rules: complete, and about functions, tests and deliberate bugs that exist."""

import ast
import importlib
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
RULES: list[dict[str, Any]] = tomllib.loads((ROOT / "docs" / "rules" / "sync.toml").read_text())["rule"]
LATER = {50}


@cache
def functions_of(file: str) -> set[str]:
    """The names of the test functions in a file."""
    tree = ast.parse((ROOT / file).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_rule_stands_in_it_once() -> None:
    assert [rule["number"] for rule in RULES] == list(range(1, 51))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["number"]))
def test_what_a_rule_names_exists(rule: dict[str, Any]) -> None:
    for where in rule["where"]:
        module, _, name = where.partition(":")
        assert hasattr(importlib.import_module(module), name), where
    for test in rule["tests"]:
        file, _, name = test.partition("::")
        assert name in functions_of(file), test


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if rule["number"] not in LATER], ids=lambda rule: str(rule["number"])
)
def test_every_rule_is_kept_somewhere_guarded_and_known_to_be_noticed(rule: dict[str, Any]) -> None:
    bugs = [
        mutant
        for path in (ROOT / "tests" / "mutants").glob("*.toml")
        for mutant in tomllib.loads(path.read_text())["mutant"]
        if mutant["rule"] == str(rule["number"])
    ]
    assert rule["where"], "where is it kept?"
    assert rule["tests"], "what guards it?"
    assert bugs, "which deliberate bug would be noticed?"
