"""Query strings are read strictly: nothing is coerced, clamped or guessed."""

import pytest

from atprotocol.data_model import Json, Value
from atprotocol.errors import ProtocolError
from atprotocol.lexicon.catalog import Catalog
from atprotocol.lexicon.parameters import InvalidParameter, parse_parameters

PROPERTIES: dict[str, Json] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": 100, "default": 50},
    "offset": {"type": "integer", "default": 0},
    "deep": {"type": "boolean", "default": False},
    "any": {"type": "integer"},
    "actor": {"type": "string", "format": "at-identifier"},
    "uris": {"type": "array", "items": {"type": "string", "format": "at-uri"}, "maxLength": 25},
    "numbers": {"type": "array", "items": {"type": "integer"}, "minLength": 2},
    "sort": {"type": "string", "knownValues": ["new", "old"], "default": "new"},
    "title": {"type": "string", "maxLength": 4},
}
DEFAULTS: dict[str, Value] = {"limit": 50, "offset": 0, "deep": False, "sort": "new"}


def _read(*pairs: tuple[str, str], required: tuple[str, ...] = ()) -> dict[str, Value]:
    main: dict[str, Json] = {
        "type": "query",
        "parameters": {"type": "params", "required": list(required), "properties": PROPERTIES},
    }
    catalog = Catalog([{"lexicon": 1, "id": "com.example.list", "defs": {"main": main}}])
    return parse_parameters(catalog.method("com.example.list").parameters, pairs)


def test_defaults_are_filled_in_zero_and_false_too() -> None:
    assert _read() == DEFAULTS


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([("limit", "1")], {"limit": 1}),
        ([("limit", "100")], {"limit": 100}),
        ([("limit", "007")], {"limit": 7}),
        ([("limit", "")], {}),
        ([("limit", ""), ("limit", "5")], {"limit": 5}),
        ([("any", "-3")], {"any": -3}),
        ([("any", "-0")], {"any": 0}),
        ([("any", "9007199254740991")], {"any": 9007199254740991}),
        ([("any", "0" * 5000 + "1")], {"any": 1}),
        ([("deep", "true")], {"deep": True}),
        ([("deep", "false")], {"deep": False}),
        ([("sort", "sideways")], {"sort": "sideways"}),
        ([("uris", "at://did:plc:a")], {"uris": ["at://did:plc:a"]}),
        (
            [("uris", "at://did:plc:a"), ("uris", ""), ("uris", "at://b.com")],
            {"uris": ["at://did:plc:a", "at://b.com"]},
        ),
        ([("numbers", "1"), ("numbers", "2")], {"numbers": [1, 2]}),
        ([("__proto__", "x"), ("uris[]", "x"), ("unknown", "x")], {}),
        ([("Limit", "0")], {}),
        (
            [("uris", f"at://did:plc:a{number}") for number in range(25)],
            {"uris": [f"at://did:plc:a{n}" for n in range(25)]},
        ),
    ],
)
def test_what_is_given_rightly_is_read(pairs: list[tuple[str, str]], expected: dict[str, Value]) -> None:
    result = _read(*pairs)
    assert result == {**DEFAULTS, **expected}
    assert {name: type(value) for name, value in result.items()} == {
        name: type(value) for name, value in {**DEFAULTS, **expected}.items()
    }


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("limit", ["0"]),
        ("limit", ["101"]),
        ("limit", ["abc"]),
        ("limit", ["1.0"]),
        ("limit", ["+1"]),
        ("limit", [" 1"]),
        ("limit", ["1\n"]),
        ("limit", ["1_0"]),
        ("limit", ["٣"]),
        ("limit", ["--1"]),
        ("limit", ["-"]),
        ("limit", ["5", "6"]),
        ("any", ["9007199254740992"]),
        ("any", ["-9007199254740992"]),
        ("any", ["9" * 10_000]),
        ("deep", ["1"]),
        ("deep", ["True"]),
        ("deep", ["yes"]),
        ("actor", ["nobody"]),
        ("uris", ["at://did:plc:a", "nowhere"]),
        ("uris", ["at://did:plc:a"] * 26),
        ("numbers", ["1"]),
        ("numbers", ["1", "x"]),
        ("title", ["日本"]),
    ],
)
def test_what_is_given_wrongly_is_an_error_that_names_the_parameter(name: str, texts: list[str]) -> None:
    with pytest.raises(InvalidParameter) as caught:
        _read(*((name, text) for text in texts))
    assert caught.value.name == name
    assert isinstance(caught.value, ProtocolError)
    assert len(str(caught.value)) < 300


def test_a_required_parameter_must_be_given_and_not_be_empty() -> None:
    for pairs in ((), (("actor", ""),)):
        with pytest.raises(InvalidParameter, match="actor: is required"):
            _read(*pairs, required=("actor",))


def test_the_first_problem_in_the_order_of_declaration_is_told() -> None:
    with pytest.raises(InvalidParameter, match=r"^limit"):
        _read(("actor", "nobody"), ("limit", "0"))


def test_a_method_without_parameters_takes_none_and_ignores_all() -> None:
    catalog = Catalog([{"lexicon": 1, "id": "com.example.ping", "defs": {"main": {"type": "query"}}}])
    assert parse_parameters(catalog.method("com.example.ping").parameters, [("a", "b")]) == {}
