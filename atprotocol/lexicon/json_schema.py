"""Lexicon schemas as JSON Schema (2020-12), for descriptions that others read: OpenAPI, above all.

What JSON Schema cannot say it does not deny: lengths in bytes and graphemes become the widest lengths in code points
that agree with them, and are told in words. Open unions take members that nobody has defined yet, and no others than
theirs under the names of known ones. Formats that JSON Schema has no word for keep their names.
Sources: https://atproto.com/specs/lexicon, https://json-schema.org/draft/2020-12
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from atprotocol.lexicon.schema import (
    ArraySchema,
    BlobSchema,
    BooleanSchema,
    BytesSchema,
    CidLinkSchema,
    Definition,
    IntegerSchema,
    LexiconError,
    ObjectSchema,
    RecordSchema,
    RefSchema,
    Schema,
    StringSchema,
    TokenSchema,
    UnionSchema,
    UnknownSchema,
)

JsonSchema: TypeAlias = dict[str, Any]
Point: TypeAlias = Callable[[str], str]

_FORMATS = {"datetime": "date-time"}
_MAX_UTF8 = 4  # bytes of one code point
_TYPE = "$type"


def json_schema(schema: Definition, point: Point) -> JsonSchema:
    """Return the JSON Schema of a definition or a part of one.

    `point` returns the `$ref` by which a reference (`nsid` or `nsid#name`) is to be found. Raises LexiconError for
    methods, which no value can be.
    """
    match schema:
        case BooleanSchema():
            described = _present(type="boolean", const=schema.const, default=schema.default)
        case IntegerSchema():
            described = _present(
                type="integer",
                minimum=schema.minimum,
                maximum=schema.maximum,
                enum=schema.enum and list(schema.enum),
                const=schema.const,
                default=schema.default,
            )
        case StringSchema():
            return _string(schema)
        case BytesSchema():
            described = _wrapped("$bytes", {"type": "string", "contentEncoding": "base64"})
        case CidLinkSchema():
            described = _wrapped("$link", {"type": "string", "format": "cid"})
        case BlobSchema():
            return _blob(schema)
        case ArraySchema():
            items = json_schema(schema.items, point)
            described = _present(type="array", items=items, minItems=schema.min_length, maxItems=schema.max_length)
        case ObjectSchema():
            described = _object(schema, point)
        case RecordSchema():
            described = _member(_object(schema.record, point), schema.nsid)
        case RefSchema():
            described = {"$ref": point(schema.ref)}
        case UnionSchema():
            described = _union(schema, point)
        case UnknownSchema():
            described = {"type": "object"}
        case TokenSchema():
            described = {"type": "string", "const": schema.reference}
        case _:
            raise LexiconError(f"{schema.nsid} is a {schema.kind}, which no value can be")
    return _say(described, schema.description)


def _present(**fields: Any) -> JsonSchema:
    return {name: value for name, value in fields.items() if value is not None}


def _say(described: JsonSchema, *sentences: str) -> JsonSchema:
    text = " ".join(filter(None, sentences))
    return {**described, "description": text} if text else described


def _string(schema: StringSchema) -> JsonSchema:
    shortest = [-(-schema.min_length // _MAX_UTF8)] if schema.min_length is not None else []
    shortest += [schema.min_graphemes] if schema.min_graphemes is not None else []
    described = _present(
        type="string",
        format=schema.format and _FORMATS.get(schema.format, schema.format),
        minLength=max(shortest, default=None),
        maxLength=schema.max_length,
        enum=schema.enum and list(schema.enum),
        const=schema.const,
        default=schema.default,
        examples=list(schema.known_values) or None,
    )
    known = ", ".join(f"`{value}`" for value in schema.known_values)
    return _say(
        described,
        schema.description,
        _bounds(schema.min_length, schema.max_length, "bytes of UTF-8"),
        _bounds(schema.min_graphemes, schema.max_graphemes, "graphemes"),
        f"Known values: {known}; there may be others." if known else "",
    )


def _bounds(least: int | None, most: int | None, unit: str) -> str:
    if least is not None and most is not None:
        return f"{least} to {most} {unit}."
    if most is not None:
        return f"At most {most} {unit}."
    return "" if least is None else f"At least {least} {unit}."


def _wrapped(name: str, inner: JsonSchema) -> JsonSchema:
    return {"type": "object", "required": [name], "properties": {name: inner}}


def _blob(schema: BlobSchema) -> JsonSchema:
    accepted = "" if schema.accept is None else f"Media types: {', '.join(schema.accept)}."
    properties = {
        _TYPE: {"type": "string", "const": "blob"},
        "ref": _wrapped("$link", {"type": "string", "format": "cid"}),
        "mimeType": {"type": "string"},
        "size": _present(type="integer", minimum=0, maximum=schema.max_size),
    }
    described: JsonSchema = {"type": "object", "required": list(properties), "properties": properties}
    return _say(described, schema.description, accepted, _bounds(None, schema.max_size, "bytes"))


def _object(schema: ObjectSchema, point: Point) -> JsonSchema:
    described: JsonSchema = {"type": "object"}
    if schema.required:
        described["required"] = list(schema.required)
    described["properties"] = {
        name: _nullable(json_schema(child, point)) if name in schema.nullable else json_schema(child, point)
        for name, child in schema.properties.items()
    }
    return described


def _nullable(described: JsonSchema) -> JsonSchema:
    return {"anyOf": [described, {"type": "null"}]}


def _member(described: JsonSchema, reference: str) -> JsonSchema:
    """Return an object's schema with the `$type` that tells it from others."""
    named = {"type": "object", "required": [_TYPE], "properties": {_TYPE: {"type": "string", "const": reference}}}
    return {"allOf": [described, named]}


def _union(schema: UnionSchema, point: Point) -> JsonSchema:
    members: list[JsonSchema] = [_member({"$ref": point(ref)}, ref) for ref in schema.refs]
    if not schema.closed:
        other = {"type": "string", "not": {"enum": list(schema.refs)}} if schema.refs else {"type": "string"}
        fallback: JsonSchema = {"type": "object", "required": [_TYPE], "properties": {_TYPE: other}}
        members.append(_say(fallback, "Something that is not defined yet: take no notice of it."))
    return {"anyOf": members} if members else {"not": {}}


def parts_of(schema: Schema) -> list[str]:
    """Return the references that a schema holds, in order."""
    match schema:
        case ObjectSchema():
            return [ref for child in schema.properties.values() for ref in parts_of(child)]
        case ArraySchema():
            return parts_of(schema.items)
        case RefSchema():
            return [schema.ref]
        case UnionSchema():
            return list(schema.refs)
    return []
