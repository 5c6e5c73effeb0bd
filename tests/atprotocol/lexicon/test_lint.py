"""The reviewer of lexicons: finds each smell, and nothing where there is none."""

from copy import deepcopy
from typing import Any

import pytest

from atprotocol.lexicon.catalog import Catalog
from atprotocol.lexicon.lint import lint

NSID = "com.example.feed.listThings"
THING: dict[str, Any] = {
    "lexicon": 1,
    "id": "com.example.thing",
    "description": "A thing.",
    "defs": {
        "main": {"type": "record", "key": "tid", "description": "A thing.", "record": {"type": "object", "properties": {}}}
    },
}  # fmt: skip
METHOD: dict[str, Any] = {
    "lexicon": 1,
    "id": NSID,
    "description": "Things.",
    "defs": {
        "main": {
            "type": "query",
            "description": "Returns things.",
            "parameters": {
                "type": "params",
                "properties": {
                    "limit": {"type": "integer", "description": "How many.", "minimum": 1, "maximum": 100, "default": 50},
                    "cursor": {"type": "string", "description": "Where to go on."},
                    "tags": {"type": "array", "description": "Tags.", "items": {"type": "string"}, "maxLength": 5},
                },
            },
            "output": {
                "encoding": "application/json",
                "schema": {
                    "type": "object",
                    "required": ["things"],
                    "properties": {
                        "cursor": {"type": "string", "description": "Where to go on."},
                        "things": {
                            "type": "array",
                            "description": "The things.",
                            "items": {"type": "union", "refs": ["#thingView"]},
                        },
                    },
                },
            },
            "errors": [{"name": "ThingNotFound", "description": "There is none."}],
        },
        "thingView": {
            "type": "object",
            "description": "A thing.",
            "properties": {"kind": {"type": "string", "description": "Which.", "knownValues": ["a"]}},
        },
    },
}  # fmt: skip
MAIN = ("defs", "main")
PARAMETERS = (*MAIN, "parameters", "properties")
OUTPUT = (*MAIN, "output", "schema", "properties")
ABSENT = object()


def _smells(*changes: tuple[tuple[str, ...], Any], unpaged: tuple[str, ...] = ()) -> list[str]:
    document = deepcopy(METHOD)
    for path, value in changes:
        node = document
        for key in path[:-1]:
            node = node[key]
        if value is ABSENT:
            del node[path[-1]]
        else:
            node[path[-1]] = value
    catalog = Catalog([document, THING])
    return lint([catalog.documents[each] for each in catalog.documents], catalog.definition, unpaged=unpaged)


def test_nothing_is_said_of_what_is_well() -> None:
    assert _smells() == []


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("description",), ABSENT, "says nothing"),
        ((*MAIN, "description"), ABSENT, "says nothing"),
        (("defs", "thingView", "description"), ABSENT, "says nothing"),
        (("defs", "thingView", "properties", "kind", "description"), ABSENT, "says nothing"),
        ((*PARAMETERS, "tags", "description"), ABSENT, "says nothing"),
        ((*OUTPUT, "things", "description"), "", "says nothing"),
        ((*MAIN, "errors"), [{"name": "ThingNotFound"}], "says nothing"),
        ((*MAIN, "errors"), [{"name": "not found", "description": "None."}], "no name of an error"),
        ((*OUTPUT, "other_things"), {"type": "string", "description": "Others."}, "begins small"),
        (("defs", "Other"), {"type": "object", "description": "Other.", "properties": {}}, "begins small"),
        (("id",), "com.example.feed.things", "the name of a query"),
        (("id",), "com.example.feed.getter", "the name of a query"),
        (("id",), "com.example.feed.createThings", "the name of a query"),
        ((*MAIN, "output"), ABSENT, "answers nothing"),
        ((*MAIN, "output"), {"encoding": "application/json"}, "JSON of any shape"),
        ((*PARAMETERS, "tags", "maxLength"), ABSENT, "any number of times"),
        ((*PARAMETERS, "cursor"), ABSENT, "taken and given, or neither"),
        ((*OUTPUT, "cursor"), ABSENT, "taken and given, or neither"),
        ((*PARAMETERS, "limit"), ABSENT, "takes a cursor and no limit"),
        ((*MAIN, "parameters", "required"), ["cursor"], "requires cursor"),
        ((*MAIN, "parameters", "required"), ["limit"], "requires limit"),
        ((*MAIN, "output", "schema", "required"), ["cursor"], "for ever"),
        ((*OUTPUT, "cursor"), {"type": "integer", "description": "A place."}, "nothing is known"),
        ((*PARAMETERS, "cursor", "maxLength"), 10, "nothing is known"),
        ((*PARAMETERS, "limit", "maximum"), ABSENT, "a maximum and a default"),
        ((*PARAMETERS, "limit", "default"), ABSENT, "a maximum and a default"),
        ((*PARAMETERS, "limit"), {"type": "string", "description": "How many."}, "a maximum and a default"),
        ((*PARAMETERS, "limit", "minimum"), 0, "begins at 1"),
        ((*PARAMETERS, "limit", "default"), 101, "begins at 1"),
        (("defs", "thingView", "properties", "kind", "enum"), ["a"], "knownValues"),
        ((*OUTPUT, "things", "items", "closed"), True, "closed union"),
        ((*OUTPUT, "things", "items", "refs"), ["com.example.thing"], "as unknown"),
        ((*OUTPUT, "things", "items"), {"type": "ref", "ref": "com.example.thing"}, "as unknown"),
    ],
)
def test_a_smell_is_found_and_told_with_its_place(path: tuple[str, ...], value: Any, said: str) -> None:
    found = _smells((path, value))
    assert any(said in each for each in found), found
    assert all(each.startswith("com.example.") for each in found)


def test_a_method_of_one_page_is_said_to_be_one() -> None:
    one_page = ((*PARAMETERS, "cursor"), ABSENT), ((*OUTPUT, "cursor"), ABSENT)
    assert _smells(*one_page, unpaged=(NSID,)) == []
    assert len(_smells(*one_page)) == 1
    assert len(_smells(unpaged=(NSID,))) == 1
    assert len(_smells(*one_page, ((*PARAMETERS, "limit"), ABSENT), unpaged=(NSID,))) == 1
