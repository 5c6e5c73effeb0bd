"""The tables of rules in docs/rules: complete, and about functions, tests and deliberate bugs that exist."""

import ast
import importlib
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _rules(table: str) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = tomllib.loads((ROOT / "docs" / "rules" / f"{table}.toml").read_text())["rule"]
    return rules


TABLES = {path.stem: _rules(path.stem) for path in sorted((ROOT / "docs" / "rules").glob("*.toml"))}
RULES = [pytest.param(rule, id=f"{table}-{rule['number']}") for table, rules in TABLES.items() for rule in rules]
# Of the sync protocol, what we do not do yet.
LATER = {50}
# Of XRPC: how many rules each section has.
SECTIONS = {1: 7, 2: 6, 3: 4, 4: 5, 5: 3, 6: 3, 7: 9, 8: 5, 9: 13}


@cache
def functions_of(file: str) -> set[str]:
    """The names of the test functions in a file."""
    tree = ast.parse((ROOT / file).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_rule_stands_in_its_table_once() -> None:
    assert set(TABLES) == {"audio", "sync", "xrpc"}
    assert [rule["number"] for rule in TABLES["audio"]] == [str(number) for number in range(1, 20)]
    assert [rule["number"] for rule in TABLES["sync"]] == list(range(1, 51))
    numbers = [f"1.{section}.{number}" for section, last in SECTIONS.items() for number in range(1, last + 1)]
    assert [rule["number"] for rule in TABLES["xrpc"]] == numbers


@pytest.mark.parametrize("rule", RULES)
def test_what_a_rule_names_exists(rule: dict[str, Any]) -> None:
    for where in rule["where"]:
        module, _, name = where.partition(":")
        assert hasattr(importlib.import_module(module), name), where
    for test in rule["tests"]:
        file, _, name = test.partition("::")
        assert name in functions_of(file), test


@pytest.mark.parametrize("rule", TABLES["xrpc"] + TABLES["audio"], ids=lambda rule: rule["number"])
def test_every_rule_of_the_server_is_kept_somewhere_and_guarded(rule: dict[str, Any]) -> None:
    assert rule["where"], "where is it kept?"
    assert rule["tests"], "what guards it?"
    assert len(set(rule["tests"])) == len(rule["tests"])


@pytest.mark.parametrize(
    "rule", [rule for rule in TABLES["sync"] if rule["number"] not in LATER], ids=lambda rule: str(rule["number"])
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
