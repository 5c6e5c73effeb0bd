"""What is wrong with a value, and how much it matters.

A problem says where (`/items/3/subject/uri`; empty is the whole value), which rule (the lexicon's own
keyword, so that a program can tell), and what (for people). How severe a broken rule is, is decided by
a policy, because records on the network were not all checked by the rules that we read them with.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from atprotocol.cid import CID
from atprotocol.data_model import Value


class Severity(StrEnum):
    """Whether a value with this problem is refused, or accepted with a mark."""

    REJECT = "reject"
    FLAG = "flag"


@dataclass(frozen=True, slots=True)
class Problem:
    """One broken rule: `path` in the value, `rule` for programs, `message` for people."""

    path: str
    rule: str
    message: str
    severity: Severity = Severity.REJECT

    def within(self, segment: str | int) -> "Problem":
        """Return the same problem as seen from the object or array that holds the value."""
        return Problem(f"/{segment}{self.path}", self.rule, self.message, self.severity)


@dataclass(frozen=True, slots=True)
class Severities:
    """A policy: the (schema type, rule) pairs that are only flagged; all others reject."""

    flagged: frozenset[tuple[str, str]] = frozenset()

    def of(self, schema_type: str, rule: str) -> Severity:
        """Return how severe it is that a value of this schema type breaks this rule."""
        return Severity.FLAG if (schema_type, rule) in self.flagged else Severity.REJECT


STRICT = Severities()
# Clients counted characters where the lexicon counts bytes; and blobs of before 2023 have another form.
LENIENT = Severities(frozenset((("string", "maxLength"), ("blob", "blob:legacy"))))

Check: TypeAlias = Callable[[Value], Sequence[Problem]]
Validator: TypeAlias = Callable[[Value], list[Problem]]

NO_PROBLEMS: Sequence[Problem] = ()
# A record of a megabyte can break a rule half a million times; nobody reads so many.
PROBLEM_LIMIT = 100


def is_rejected(problems: Sequence[Problem]) -> bool:
    """Tell whether any of the problems refuses the value."""
    return any(problem.severity is Severity.REJECT for problem in problems)


def type_name(value: Value) -> str:
    """Return what the data model calls the type of a value."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case str():
            return "string"
        case bytes():
            return "bytes"
        case CID():
            return "link"
        case list():
            return "array"
        case dict():
            return "object"


def wrong_type(expected: str, value: Value) -> tuple[Problem]:
    """Return the one problem of a value that is of another type than its schema says."""
    return (Problem("", "type", f"{expected} expected, {type_name(value)} found"),)
