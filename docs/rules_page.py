"""Pages of rules: what a table of `docs/rules/` says of each, and what was found to guard it.

A table names functions and tests; tests of our own prove that these exist and, at the end of a whole run, that they ran.
"""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RULES = ROOT / "docs" / "rules"


def rules_of(table: str) -> list[dict[str, Any]]:
    """Return the rules of a table, in order."""
    rules: list[dict[str, Any]] = tomllib.loads((RULES / f"{table}.toml").read_text(encoding="utf-8"))["rule"]
    return rules


def rules_page(table: str, opening: Sequence[str], bugs: Mapping[str, Sequence[str]]) -> str:
    """Return the page of a table; `opening` comes first, `bugs` are deliberate ones that are noticed, by rule."""
    parts = list(opening)
    section = ""
    for rule in rules_of(table):
        if rule.get("section", section) != section:
            section = rule["section"]
            parts.append(f"## {section}")
        parts.append(_rule(rule, "###" if section else "##", bugs.get(str(rule["number"]), ())))
    return "\n\n".join(parts) + "\n"


def _rule(rule: Mapping[str, Any], level: str, bugs: Sequence[str]) -> str:
    lines = [f"{level} {rule['number']} · {rule['says']}", ""]
    if "spec" in rule:
        lines += [f"Specification: {rule['spec']}.", ""]
    for word in ("decided", "later"):
        if word in rule:
            lines += [f"{word.capitalize()}: {rule[word]}", ""]
    lines += [f"- in `{where.replace(':', '.')}`" for where in rule["where"]]
    lines += [f"- guarded by `{test}`" for test in rule["tests"]]
    lines += [f"- would be noticed: {name}" for name in bugs]
    return "\n".join(lines).rstrip()
