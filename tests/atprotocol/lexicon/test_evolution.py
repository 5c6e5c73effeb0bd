"""What a new version of lexicons breaks: found where it breaks somebody, and nowhere else."""

from copy import deepcopy
from typing import Any

import pytest

from atprotocol.lexicon.catalog import Catalog
from atprotocol.lexicon.evolution import breaking_changes


def _fields() -> dict[str, Any]:
    return {
        "must": {"type": "string", "maxLength": 10},
        "may": {"type": "string", "minLength": 1, "maxGraphemes": 5, "knownValues": ["a", "b"]},
        "free": {"type": "string"},
        "count": {"type": "integer", "minimum": 0, "maximum": 9},
        "choice": {"type": "string", "enum": ["a", "b"]},
        "when": {"type": "string", "format": "datetime"},
        "many": {"type": "array", "items": {"type": "string", "maxLength": 10}, "maxLength": 5},
        "flag": {"type": "boolean"},
    }


def _object() -> dict[str, Any]:
    more = {
        "image": {"type": "blob", "accept": ["image/png", "image/jpeg"], "maxSize": 100},
        "raw": {"type": "bytes", "maxLength": 10},
        "part": {"type": "ref", "ref": "com.example.defs#both"},
        "one": {"type": "union", "refs": ["com.example.defs#both", "com.example.defs#other"]},
    }
    return {"type": "object", "required": ["must"], "nullable": ["free"], "properties": _fields() | more}


DOCUMENTS: dict[str, dict[str, Any]] = {
    "record": {"main": {"type": "record", "key": "tid", "record": _object()}},
    "getThing": {
        "main": {
            "type": "query",
            "parameters": {"type": "params", "required": ["must"], "properties": _fields()},
            "output": {"encoding": "application/json", "schema": _object()},
        }
    },
    "putThing": {
        "main": {"type": "procedure", "input": {"encoding": "application/json", "schema": _object()}},
    },
    "defs": {"both": _object(), "other": {"type": "object", "properties": {}}, "unused": _object()},
}
RECORD = ("record", "main", "record")
PARAMETERS = ("getThing", "main", "parameters")
OUTPUT = ("getThing", "main", "output", "schema")
INPUT = ("putThing", "main", "input", "schema")
BOTH = ("defs", "both")
WRITTEN = (RECORD, PARAMETERS, INPUT, BOTH, ("defs", "unused"))
OBJECTS = (RECORD, OUTPUT, INPUT, BOTH)
ABSENT = object()


def _catalog(documents: dict[str, dict[str, Any]]) -> Catalog:
    return Catalog({"lexicon": 1, "id": f"com.example.{name}", "defs": defs} for name, defs in documents.items())


def _broken(path: tuple[str, ...], value: Any) -> list[str]:
    documents = deepcopy(DOCUMENTS)
    node: Any = documents
    for key in path[:-1]:
        node = node[key]
    if value is ABSENT:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return breaking_changes(_catalog(DOCUMENTS), _catalog(documents))


def test_the_same_breaks_nothing() -> None:
    assert breaking_changes(_catalog(DOCUMENTS), _catalog(DOCUMENTS)) == []


@pytest.mark.parametrize("place", [*OBJECTS, PARAMETERS])
def test_nothing_optional_becomes_required(place: tuple[str, ...]) -> None:
    assert _broken((*place, "required"), ["must", "may"]) != []


@pytest.mark.parametrize("place", [*OBJECTS, PARAMETERS])
def test_nothing_that_is_required_is_taken_away(place: tuple[str, ...]) -> None:
    assert _broken((*place, "properties", "must"), ABSENT) != []


@pytest.mark.parametrize("place", [*WRITTEN, OUTPUT])
def test_something_new_may_come_and_is_required_of_nobody_who_writes(place: tuple[str, ...]) -> None:
    new = {**_fields(), "new": {"type": "string"}} if place is PARAMETERS else {**_object()["properties"], "new": {"type": "string"}}  # fmt: skip
    documents = deepcopy(DOCUMENTS)
    node: Any = documents
    for key in place:
        node = node[key]
    node["properties"] = new
    assert breaking_changes(_catalog(DOCUMENTS), _catalog(documents)) == []
    node["required"] = ["must", "new"]
    assert (breaking_changes(_catalog(DOCUMENTS), _catalog(documents)) == []) == (place is OUTPUT)


def test_what_is_read_stays_promised_and_what_is_written_may_become_optional() -> None:
    for place in (OUTPUT, BOTH):
        assert _broken((*place, "required"), []) != []
        assert _broken((*place, "nullable"), ["free", "may"]) != []
    for place in (RECORD, PARAMETERS, INPUT):
        assert _broken((*place, "required"), []) == []
    for place in (RECORD, INPUT):
        assert _broken((*place, "nullable"), ["free", "may"]) == []
        assert _broken((*place, "nullable"), []) != []
    assert _broken((*OUTPUT, "nullable"), []) == []


NARROWED = [
    (("must", "maxLength"), 9),
    (("free", "maxLength"), 10),
    (("may", "minLength"), 2),
    (("free", "minLength"), 1),
    (("may", "maxGraphemes"), 4),
    (("may", "knownValues"), ["a"]),
    (("count", "minimum"), 1),
    (("count", "maximum"), 8),
    (("choice", "enum"), ["a"]),
    (("free", "enum"), ["a"]),
    (("many", "maxLength"), 4),
    (("many", "minLength"), 1),
    (("many", "items", "maxLength"), 9),
]
WIDENED = [
    (("must", "maxLength"), 11),
    (("must", "maxLength"), ABSENT),
    (("may", "minLength"), 0),
    (("may", "knownValues"), ["b", "c", "a"]),
    (("count", "maximum"), ABSENT),
    (("choice", "enum"), ["b", "a", "c"]),
    (("many", "maxLength"), 6),
]


@pytest.mark.parametrize("place", WRITTEN)
@pytest.mark.parametrize(("path", "value"), NARROWED)
def test_no_bound_of_what_is_written_gets_narrower(place: tuple[str, ...], path: tuple[str, ...], value: Any) -> None:
    assert len(_broken((*place, "properties", *path), value)) == 1


@pytest.mark.parametrize("place", [RECORD, PARAMETERS, INPUT])
@pytest.mark.parametrize(("path", "value"), WIDENED)
def test_bounds_of_what_is_written_may_get_wider(place: tuple[str, ...], path: tuple[str, ...], value: Any) -> None:
    assert _broken((*place, "properties", *path), value) == []


@pytest.mark.parametrize(("path", "value"), NARROWED)
def test_bounds_of_what_is_only_read_are_ours_to_narrow(path: tuple[str, ...], value: Any) -> None:
    assert _broken((*OUTPUT, "properties", *path), value) == []


def test_a_closed_set_that_is_read_gets_no_member_that_nobody_expects() -> None:
    assert len(_broken((*OUTPUT, "properties", "choice", "enum"), ["a", "b", "c"])) == 1
    assert len(_broken((*OUTPUT, "properties", "choice", "enum"), ABSENT)) == 1


@pytest.mark.parametrize("place", OBJECTS)
@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("must", "type"), "integer"),
        (("must",), {"type": "unknown"}),
        (("when", "format"), "did"),
        (("when", "format"), ABSENT),
        (("free", "format"), "did"),
        (("free", "const"), "a"),
        (("flag", "const"), True),
        (("part", "ref"), "com.example.defs#other"),
        (("one", "refs"), ["com.example.defs#both"]),
        (("one", "closed"), True),
        (("image", "accept"), ["image/png"]),
    ],
)
def test_a_value_stays_what_it_is(place: tuple[str, ...], path: tuple[str, ...], value: Any) -> None:
    assert len(_broken((*place, "properties", *path), value)) == 1


@pytest.mark.parametrize("place", [RECORD, INPUT, BOTH])
@pytest.mark.parametrize("path", [("image", "maxSize"), ("raw", "maxLength")])
def test_what_fitted_fits(place: tuple[str, ...], path: tuple[str, ...]) -> None:
    assert len(_broken((*place, "properties", *path), 9)) == 1
    assert _broken((*OUTPUT, "properties", *path), 9) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("record", "main", "key"), "any"),
        (("record", "main"), {"type": "object", "properties": {}}),
        (("getThing", "main", "type"), "procedure"),
        (("getThing", "main", "output"), ABSENT),
        (("getThing", "main", "output", "schema"), ABSENT),
        (("getThing", "main", "output", "encoding"), "text/plain"),
        (("putThing", "main", "input"), ABSENT),
        (("getThing", "main", "parameters", "properties", "flag"), ABSENT),
        (("record", "main", "record", "properties", "flag"), ABSENT),
        (("record",), ABSENT),
        (("defs", "unused"), ABSENT),
    ],
)
def test_nothing_becomes_another_thing_or_goes(path: tuple[str, ...], value: Any) -> None:
    assert len(_broken(path, value)) == 1


def test_what_is_only_read_and_could_be_absent_may_be_absent_for_ever() -> None:
    assert _broken((*OUTPUT, "properties", "flag"), ABSENT) == []
