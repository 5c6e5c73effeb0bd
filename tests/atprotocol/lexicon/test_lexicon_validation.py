"""The rules of validation where they are easily got wrong."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atprotocol.cid import CID, RAW, cid_of
from atprotocol.data_model import Json, Value
from atprotocol.lexicon.blobs import Blob, read_blob
from atprotocol.lexicon.catalog import Catalog
from atprotocol.lexicon.problems import LENIENT, PROBLEM_LIMIT, STRICT, Problem, Severities, Severity, is_rejected
from atprotocol.lexicon.strings import grapheme_length, utf8_length

THING = "com.example.thing"
CONTENT = cid_of(b"content", RAW)
FAMILY = "👩‍👩‍👦‍👦"


def _problems(schema: Json, value: Value, severities: Severities = STRICT) -> list[Problem]:
    definitions: dict[str, Json] = {
        "box": {"type": "object", "required": ["field"], "properties": {"field": schema}},
        "cat": {"type": "object", "required": ["lives"], "properties": {"lives": {"type": "integer"}}},
        "dog": {"type": "object", "properties": {}},
        "nice": {"type": "token"},
        "tree": {
            "type": "object",
            "properties": {"children": {"type": "array", "items": {"type": "ref", "ref": "#tree"}}},
        },
    }
    main: dict[str, Json] = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
    catalog = Catalog(
        [
            {"lexicon": 1, "id": THING, "defs": definitions},
            {"lexicon": 1, "id": "com.example.plain", "defs": {"main": main}},
        ]
    )
    return catalog.definition_validator(f"{THING}#box", severities)({"field": value})


def _rules(schema: Json, value: Value) -> list[str]:
    return [problem.rule for problem in _problems(schema, value)]


@pytest.mark.parametrize(
    ("schema", "value", "rules"),
    [
        ({"type": "integer"}, True, ["type"]),
        ({"type": "integer"}, 1 << 53, ["safeInteger"]),
        ({"type": "integer"}, -(1 << 53) + 1, []),
        ({"type": "integer", "minimum": 0}, -1, ["minimum"]),
        ({"type": "integer", "minimum": 0}, 0, []),
        ({"type": "integer", "maximum": 0}, 1, ["maximum"]),
        ({"type": "integer", "const": 0}, 1, ["const"]),
        ({"type": "integer", "const": 0}, False, ["type"]),
        ({"type": "integer", "enum": [0, 1]}, True, ["type"]),
        ({"type": "integer", "minimum": 5, "enum": [7]}, 3, ["minimum", "enum"]),
        ({"type": "boolean"}, 1, ["type"]),
        ({"type": "boolean", "const": False}, True, ["const"]),
        ({"type": "boolean", "const": False}, False, []),
        ({"type": "string"}, None, ["type"]),
        ({"type": "string"}, b"bytes", ["type"]),
        ({"type": "string", "maxLength": 0}, "a", ["maxLength"]),
        ({"type": "string", "maxLength": 4}, "日本", ["maxLength"]),
        ({"type": "string", "minLength": 4}, "日本", []),
        ({"type": "string", "minLength": 1}, "", ["minLength"]),
        ({"type": "string", "maxGraphemes": 1}, FAMILY, []),
        ({"type": "string", "minGraphemes": 2}, FAMILY, ["minGraphemes"]),
        ({"type": "string", "maxLength": 3, "maxGraphemes": 1}, "日本", ["maxLength", "maxGraphemes"]),
        ({"type": "string", "maxLength": 10}, "\ud800", []),
        ({"type": "string", "knownValues": ["a"]}, "b", []),
        ({"type": "string", "enum": ["a"]}, "b", ["enum"]),
        ({"type": "string", "const": ""}, "b", ["const"]),
        ({"type": "string", "format": "datetime"}, "yesterday", ["format:datetime"]),
        ({"type": "string", "format": "of the future"}, "anything", []),
        ({"type": "bytes", "minLength": 2}, b"a", ["minLength"]),
        ({"type": "bytes"}, {"$bytes": "AQI"}, ["type"]),
        ({"type": "cid-link"}, str(CONTENT), ["type"]),
        ({"type": "cid-link"}, CONTENT, []),
        ({"type": "unknown"}, {}, []),
        ({"type": "unknown"}, {"$type": "com.example.x", "a": 1}, []),
        ({"type": "unknown"}, {"$type": "blob"}, ["unknown"]),
        ({"type": "unknown"}, {"$link": "x"}, ["unknown"]),
        ({"type": "unknown"}, CONTENT, ["type"]),
        ({"type": "unknown"}, [], ["type"]),
        ({"type": "ref", "ref": "#cat"}, {"lives": 9}, []),
        ({"type": "ref", "ref": "#nice"}, f"{THING}#nice", []),
        ({"type": "ref", "ref": "#nice"}, f"{THING}#nasty", ["token"]),
        ({"type": "ref", "ref": "lex:com.example.plain"}, {"name": "a"}, []),
        ({"type": "ref", "ref": "com.example.plain#main"}, {"name": "a", "extra": 1}, []),
        ({"type": "array", "items": {"type": "integer"}, "maxLength": 0}, [1], ["maxLength"]),
        ({"type": "array", "items": {"type": "integer"}}, [1, "a", True], ["type", "type"]),
    ],
)
def test_a_rule_finds_what_breaks_it_and_nothing_else(schema: Json, value: Value, rules: list[str]) -> None:
    assert _rules(schema, value) == rules


@pytest.mark.parametrize(
    ("value", "open_rules", "closed_rules"),
    [
        ({"$type": f"{THING}#cat", "lives": 9}, [], []),
        ({"$type": f"{THING}#cat"}, ["required"], ["required"]),
        ({"$type": "com.example.plain", "name": "a"}, [], []),
        ({"$type": "com.example.plain#main", "name": "a"}, ["union"], ["union"]),
        ({"$type": "com.example.nobodyKnows"}, [], ["union"]),
        ({"lives": 9}, ["union"], ["union"]),
        ({"$type": ""}, ["union"], ["union"]),
        ({"$type": 1}, ["union"], ["union"]),
        ("text", ["type"], ["type"]),
        (None, ["type"], ["type"]),
    ],
)
def test_members_of_a_union_are_told_by_their_type(
    value: Value, open_rules: list[str], closed_rules: list[str]
) -> None:
    union: dict[str, Json] = {"type": "union", "refs": ["#cat", "com.example.plain"]}
    assert _rules(union, value) == open_rules
    assert _rules({**union, "closed": True}, value) == closed_rules


def test_a_closed_union_without_members_refuses_everything() -> None:
    assert _rules({"type": "union", "refs": [], "closed": True}, {"$type": "com.example.plain"}) == ["union"]


def test_a_long_japanese_title_is_flagged_by_the_lenient_policy_and_refused_by_the_strict_one() -> None:
    title: dict[str, Json] = {"type": "string", "maxLength": 256}
    (lenient,) = _problems(title, "曲" * 100, LENIENT)
    (strict,) = _problems(title, "曲" * 100, STRICT)
    assert (lenient.path, lenient.rule, lenient.severity) == ("/field", "maxLength", Severity.FLAG)
    assert strict.severity is Severity.REJECT
    assert is_rejected([strict])
    assert not is_rejected([lenient])


def test_the_lenient_policy_forgives_long_strings_only() -> None:
    items: dict[str, Json] = {"type": "array", "items": {"type": "integer"}, "maxLength": 1}
    assert is_rejected(_problems(items, [1, 2], LENIENT))
    assert is_rejected(_problems({"type": "bytes", "maxLength": 1}, b"ab", LENIENT))
    assert is_rejected(_problems({"type": "string", "maxGraphemes": 1}, "ab", LENIENT))


def test_every_problem_is_told_with_its_path() -> None:
    definitions: dict[str, Json] = {
        "main": {
            "type": "record",
            "key": "tid",
            "record": {
                "type": "object",
                "required": ["items", "createdAt"],
                "nullable": ["note"],
                "properties": {
                    "items": {"type": "array", "items": {"type": "ref", "ref": "#item"}},
                    "createdAt": {"type": "string", "format": "datetime"},
                    "note": {"type": "string"},
                },
            },
        },
        "item": {
            "type": "object",
            "required": ["uri"],
            "properties": {"uri": {"type": "string", "format": "at-uri"}, "size": {"type": "integer"}},
        },
    }
    validate = Catalog([{"lexicon": 1, "id": THING, "defs": definitions}]).record_validator(THING)
    record: dict[str, Value] = {
        "items": [{"uri": "at://did:plc:abc"}, {"uri": "nowhere", "size": "big"}, {}],
        "note": None,
        "extra": {"kept": True},
    }
    assert [(problem.path, problem.rule) for problem in validate(record)] == [
        ("/$type", "required"),
        ("/createdAt", "required"),
        ("/items/1/uri", "format:at-uri"),
        ("/items/1/size", "type"),
        ("/items/2/uri", "required"),
    ]
    assert next(problem.path for problem in validate({**record, "$type": f"{THING}#main"})) == "/$type"
    assert [(problem.path, problem.rule) for problem in validate("text")] == [("", "type")]


def test_problems_are_not_piled_up_without_end() -> None:
    problems = _problems({"type": "array", "items": {"type": "integer"}}, ["no"] * 100_000)
    assert len(problems) == PROBLEM_LIMIT


def test_a_definition_that_refers_to_itself_is_checked_to_its_depth() -> None:
    tree: dict[str, Json] = {"type": "ref", "ref": "#tree"}
    assert _rules(tree, {"children": [{"children": [{}]}]}) == []
    (problem,) = _problems(tree, {"children": [{"children": ["leaf"]}]})
    assert problem.path == "/field/children/0/children/0"


def _blob(**changes: Any) -> dict[str, Value]:
    return {"$type": "blob", "ref": CONTENT, "mimeType": "audio/mpeg", "size": 10, **changes}


@pytest.mark.parametrize(
    ("value", "rules"),
    [
        (_blob(), []),
        (_blob(mimeType="AUDIO/ogg; codecs=opus"), []),
        (_blob(size=0), []),
        (_blob(size=20), []),
        (_blob(size=21), ["blob:maxSize"]),
        (_blob(mimeType="audiobook/x"), ["blob:accept"]),
        (_blob(mimeType="image/png", size=99), ["blob:accept", "blob:maxSize"]),
        (_blob(size=True), ["type"]),
        (_blob(ref=str(CONTENT)), ["type"]),
        (_blob(mimeType=""), ["type"]),
        ({"ref": CONTENT, "mimeType": "audio/mpeg", "size": 10}, ["type"]),
        ({"cid": str(CONTENT), "mimeType": "audio/mpeg"}, ["blob:legacy"]),
        ({"cid": "nonsense", "mimeType": "audio/mpeg"}, ["type"]),
        (CONTENT, ["type"]),
    ],
)
def test_a_blob_is_checked_by_what_it_says_of_itself(value: Value, rules: list[str]) -> None:
    assert _rules({"type": "blob", "accept": ["audio/*"], "maxSize": 20}, value) == rules


def test_any_media_type_is_accepted_where_none_is_asked_for() -> None:
    assert _rules({"type": "blob"}, _blob(mimeType="text/plain")) == []
    assert _rules({"type": "blob", "accept": ["*/*"]}, _blob(mimeType="text/plain")) == []
    assert _rules({"type": "blob", "accept": ["image/png"]}, _blob(mimeType="image/pngx")) == ["blob:accept"]


def test_a_blob_of_the_old_form_is_only_flagged_by_the_lenient_policy_and_can_be_read() -> None:
    old: dict[str, Value] = {"cid": str(CONTENT), "mimeType": "image/png"}
    assert not is_rejected(_problems({"type": "blob"}, old, LENIENT))
    assert is_rejected(_problems({"type": "blob"}, old, STRICT))
    assert read_blob(old) == Blob(CONTENT, "image/png", None)
    assert read_blob(_blob()) == Blob(CONTENT, "audio/mpeg", 10)
    assert read_blob({"$type": "blob", "mimeType": "image/png"}) is None


@given(st.text(max_size=40))
def test_lengths_are_bytes_and_graphemes_of_any_text(text: str) -> None:
    assert utf8_length(text) == len(text.encode())
    assert grapheme_length(text) <= len(text)


def test_a_line_break_of_two_characters_is_one_grapheme() -> None:
    assert grapheme_length("a\r\nb") == 3
    assert grapheme_length(FAMILY * 3) == 3


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.binary(max_size=5) | st.just(CONTENT),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["$type", "ref", "a", "lives"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(_VALUES)
def test_no_value_of_the_network_makes_validation_fail(value: Any) -> None:
    for severities in (STRICT, LENIENT):
        for schema in _EVERY_SCHEMA:
            assert isinstance(_validator(schema, severities)({"$type": THING, "field": value}), list)


_EVERY_SCHEMA: tuple[dict[str, Json], ...] = (
    {"type": "union", "refs": ["#cat"]},
    {"type": "blob", "accept": ["audio/*"], "maxSize": 1},
    {"type": "array", "items": {"type": "integer", "minimum": 0}},
    {"type": "string", "maxLength": 2, "maxGraphemes": 1, "format": "datetime"},
    {"type": "unknown"},
)
_CACHE: dict[tuple[str, Severities], Any] = {}


def _validator(schema: dict[str, Json], severities: Severities) -> Any:
    key = (str(schema), severities)
    if key not in _CACHE:
        record: dict[str, Json] = {"type": "object", "properties": {"field": schema}}
        document: dict[str, Json] = {
            "lexicon": 1,
            "id": THING,
            "defs": {
                "main": {"type": "record", "key": "tid", "record": record},
                "cat": {"type": "object", "properties": {"lives": {"type": "integer"}}},
            },
        }
        _CACHE[key] = Catalog([document]).record_validator(THING, severities)
    return _CACHE[key]


def test_links_are_not_mistaken_for_objects() -> None:
    assert isinstance(CONTENT, CID)
    assert _rules({"type": "object", "properties": {}}, CONTENT) == ["type"]
