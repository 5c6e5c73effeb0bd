"""Lexicon schemas as JSON Schema: what the one accepts the other does, as far as it can tell."""

from typing import Any

import jsonschema_rs
import pytest

from atprotocol.data_model import object_from_json
from atprotocol.lexicon.catalog import Catalog
from atprotocol.lexicon.json_schema import json_schema, parts_of
from atprotocol.lexicon.schema import LexiconError

LINK = "bafkreiccldh766hwcnuxnf2wh6jgzepf2nlu2lvcllt63eww5p6chi4ity"
BLOB = {"$type": "blob", "ref": {"$link": LINK}, "mimeType": "image/png", "size": 7}
DEFINITIONS: dict[str, Any] = {
    "thing": {
        "type": "object",
        "required": ["name"],
        "nullable": ["note"],
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 10, "description": "Its name."},
            "short": {"type": "string", "minGraphemes": 2, "maxGraphemes": 3},
            "note": {"type": "string"},
            "count": {"type": "integer", "minimum": 0, "maximum": 9},
            "level": {"type": "integer", "enum": [1, 2]},
            "flag": {"type": "boolean", "const": True},
            "kind": {"type": "string", "knownValues": ["a", "b"]},
            "set": {"type": "string", "enum": ["a"]},
            "when": {"type": "string", "format": "datetime"},
            "image": {"type": "blob", "accept": ["image/*"], "maxSize": 9},
            "raw": {"type": "bytes"},
            "link": {"type": "cid-link"},
            "record": {"type": "unknown"},
            "many": {"type": "array", "items": {"type": "ref", "ref": "#other"}, "minLength": 1, "maxLength": 2},
            "one": {"type": "union", "refs": ["#thing", "#other"]},
            "closed": {"type": "union", "refs": ["#other"], "closed": True},
            "word": {"type": "ref", "ref": "#word"},
        },
    },
    "other": {"type": "object", "required": ["x"], "properties": {"x": {"type": "integer"}}},
    "word": {"type": "token", "description": "A word."},
}
RECORD = {"type": "record", "key": "tid", "record": {"type": "object", "properties": {"x": {"type": "integer"}}}}
CATALOG = Catalog(
    [
        {"lexicon": 1, "id": "com.example.defs", "defs": DEFINITIONS},
        {"lexicon": 1, "id": "com.example.record", "defs": {"main": RECORD}},
        {"lexicon": 1, "id": "com.example.getThing", "defs": {"main": {"type": "query"}}},
    ]
)
SCHEMAS = {
    ref: json_schema(CATALOG.definition(ref), lambda to: f"#/$defs/{to.replace('#', '_')}")
    for ref in ("com.example.defs#thing", "com.example.defs#other", "com.example.defs#word", "com.example.record")
}
VALIDATOR = jsonschema_rs.Draft202012Validator(
    {
        "$ref": "#/$defs/com.example.defs_thing",
        "$defs": {name.replace("#", "_"): schema for name, schema in SCHEMAS.items()},
    },
    validate_formats=True,
)


def _verdicts(**fields: Any) -> tuple[bool, bool]:
    value = {"name": "a", **fields}
    by_lexicon = CATALOG.definition_validator("com.example.defs#thing")(object_from_json(value)) == []
    return by_lexicon, VALIDATOR.is_valid(value)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "曲曲曲"},
        {"short": "👨‍👩‍👧‍👦🇩🇪"},
        {"note": None},
        {"count": 9},
        {"level": 2},
        {"flag": True},
        {"kind": "of the future"},
        {"when": "2026-11-22T10:00:00.000Z"},
        {"image": BLOB},
        {"raw": {"$bytes": "AAAA"}},
        {"link": {"$link": LINK}},
        {"record": {"anything": [1]}},
        {"many": [{"x": 1}, {"x": 2}]},
        {"one": {"$type": "com.example.defs#other", "x": 1}},
        {"one": {"$type": "com.example.defs#unheardOf"}},
        {"closed": {"$type": "com.example.defs#other", "x": 1}},
        {"word": "com.example.defs#word"},
        {"unknown": "field"},
    ],
)
def test_what_a_lexicon_accepts_is_accepted(fields: dict[str, Any]) -> None:
    assert _verdicts(**fields) == (True, True)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": None},
        {"name": ""},
        {"name": "a" * 11},
        {"short": "a"},
        {"count": -1},
        {"count": 10},
        {"count": "1"},
        {"level": 3},
        {"flag": False},
        {"set": "b"},
        {"when": "yesterday"},
        {"image": BLOB | {"size": 10}},
        {"image": {"ref": {"$link": LINK}}},
        {"raw": "AAAA"},
        {"link": LINK},
        {"record": 1},
        {"many": []},
        {"many": [{"x": 1}] * 3},
        {"many": [{"y": 1}]},
        {"one": {"$type": "com.example.defs#other"}},
        {"one": {"x": 1}},
        {"closed": {"$type": "com.example.defs#unheardOf"}},
        {"word": "word"},
    ],
)
def test_what_a_lexicon_refuses_is_refused(fields: dict[str, Any]) -> None:
    assert _verdicts(**fields) == (False, False)


@pytest.mark.parametrize("fields", [{"name": "曲曲曲曲"}, {"short": "ab曲d"}])
def test_what_json_schema_cannot_say_is_told_in_words(fields: dict[str, Any]) -> None:
    assert _verdicts(**fields) == (False, True)
    properties = SCHEMAS["com.example.defs#thing"]["properties"]
    assert properties["name"]["description"] == "Its name. 1 to 10 bytes of UTF-8."
    assert properties["short"]["description"] == "2 to 3 graphemes."
    assert properties["kind"]["description"] == "Known values: `a`, `b`; there may be others."


def test_a_record_says_what_it_is() -> None:
    validator = jsonschema_rs.Draft202012Validator(SCHEMAS["com.example.record"])
    assert validator.is_valid({"$type": "com.example.record", "x": 1})
    assert not validator.is_valid({"x": 1})
    assert not validator.is_valid({"$type": "com.example.record", "x": "1"})


def test_a_method_is_no_value() -> None:
    with pytest.raises(LexiconError, match="query"):
        json_schema(CATALOG.definition("com.example.getThing"), str)


def test_the_parts_of_a_schema_are_what_it_refers_to() -> None:
    thing = CATALOG.definition("com.example.defs#thing")
    assert parts_of(thing) == [f"com.example.defs#{name}" for name in ("other", "thing", "other", "other", "word")]  # type: ignore[arg-type]
