"""Schemas in the words of a person: for pages that people read.

Short, and complete as far as a reader needs it: type, format, bounds, default, known values. What a reference is
called is the caller's to say.
"""

from collections.abc import Callable

from atprotocol.lexicon.schema import (
    ArraySchema,
    BlobSchema,
    BooleanSchema,
    BytesSchema,
    CidLinkSchema,
    IntegerSchema,
    ObjectSchema,
    RefSchema,
    Schema,
    StringSchema,
    UnionSchema,
    UnknownSchema,
)

Call = Callable[[str], str]


def type_words(schema: Schema, call: Call) -> str:
    """Return what a value of a schema is, as in `integer, 1 to 100, default 50`.

    `call` returns what a reference (`nsid` or `nsid#name`) is called.
    """
    match schema:
        case BooleanSchema():
            return _listed("boolean", _fixed(schema), _default(schema))
        case IntegerSchema():
            bounds = _bounds(schema.minimum, schema.maximum, "")
            return _listed("integer", _fixed(schema), bounds, _one_of(schema.enum), _default(schema))
        case StringSchema():
            kind = "string" if schema.format is None else f"string ({schema.format})"
            known = f"known: {' / '.join(schema.known_values)}" if schema.known_values else ""
            lengths = _bounds(schema.min_length, schema.max_length, " bytes")
            graphemes = _bounds(schema.min_graphemes, schema.max_graphemes, " graphemes")
            return _listed(kind, _fixed(schema), lengths, graphemes, _one_of(schema.enum), known, _default(schema))
        case BytesSchema():
            return _listed("bytes", _bounds(schema.min_length, schema.max_length, " bytes"))
        case CidLinkSchema():
            return "link"
        case BlobSchema():
            return _listed("blob", *(schema.accept or ()), _bounds(None, schema.max_size, " bytes"))
        case ArraySchema():
            bounds = _bounds(schema.min_length, schema.max_length, "")
            items = type_words(schema.items, call)
            return f"array of {items}" if not bounds else f"array of {items}; {bounds} of them"
        case ObjectSchema():
            return "object"
        case RefSchema():
            return call(schema.ref)
        case UnionSchema():
            return " or ".join([*map(call, schema.refs), *([] if schema.closed else ["something new"])])
        case UnknownSchema():
            return "any object"


def _listed(*parts: str) -> str:
    return ", ".join(filter(None, parts))


def _bounds(least: int | None, most: int | None, unit: str) -> str:
    if least is not None and most is not None:
        return f"{least} to {most}{unit}"
    if most is not None:
        return f"at most {most}{unit}"
    return "" if least is None else f"at least {least}{unit}"


def _fixed(schema: BooleanSchema | IntegerSchema | StringSchema) -> str:
    return "" if schema.const is None else f"always {_text(schema.const)}"


def _default(schema: BooleanSchema | IntegerSchema | StringSchema) -> str:
    return "" if schema.default is None else f"default {_text(schema.default)}"


def _one_of(values: tuple[object, ...] | None) -> str:
    return "" if values is None else f"one of {' / '.join(map(str, values))}"


def _text(value: bool | int | str) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
