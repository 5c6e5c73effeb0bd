"""Schemas in words."""

from typing import Any

import pytest

from atprotocol.lexicon.documents import parse_schema
from atprotocol.lexicon.reading import Node
from atprotocol.lexicon.words import type_words
from atprotocol.syntax.nsid import Nsid


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "boolean"}, "boolean"),
        ({"type": "boolean", "const": True}, "boolean, always true"),
        ({"type": "boolean", "default": False}, "boolean, default false"),
        ({"type": "integer", "minimum": 1, "maximum": 100, "default": 50}, "integer, 1 to 100, default 50"),
        ({"type": "integer", "minimum": 0}, "integer, at least 0"),
        ({"type": "integer", "enum": [1, 2]}, "integer, one of 1 / 2"),
        ({"type": "string"}, "string"),
        ({"type": "string", "format": "at-uri"}, "string (at-uri)"),
        ({"type": "string", "maxLength": 640, "maxGraphemes": 64}, "string, at most 640 bytes, at most 64 graphemes"),
        ({"type": "string", "knownValues": ["a", "b"], "default": "a"}, "string, known: a / b, default a"),
        ({"type": "bytes", "maxLength": 3}, "bytes, at most 3 bytes"),
        ({"type": "cid-link"}, "link"),
        ({"type": "blob", "accept": ["image/*"], "maxSize": 5}, "blob, image/*, at most 5 bytes"),
        ({"type": "array", "items": {"type": "string"}}, "array of string"),
        ({"type": "array", "items": {"type": "string"}, "maxLength": 5}, "array of string; at most 5 of them"),
        ({"type": "object", "properties": {}}, "object"),
        ({"type": "ref", "ref": "#a"}, "<com.example.defs#a>"),
        ({"type": "union", "refs": ["#a", "#b"]}, "<com.example.defs#a> or <com.example.defs#b> or something new"),
        ({"type": "union", "refs": ["#a"], "closed": True}, "<com.example.defs#a>"),
        ({"type": "unknown"}, "any object"),
    ],
)
def test_a_schema_is_told_in_few_words(schema: dict[str, Any], words: str) -> None:
    parsed = parse_schema(Node(schema, "here"), Nsid("com.example.defs"))
    assert type_words(parsed, lambda ref: f"<{ref}>") == words
