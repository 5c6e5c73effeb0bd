"""What a new version of lexicons must not do to whoever speaks an earlier one.

Records that were written stay readable, requests that were right stay right, and what answers promised stays
promised: nothing optional becomes required, no bound gets narrower, nothing that counts is taken away. What holds for
a definition follows from where it is used: written (records, inputs, parameters), read (outputs), or both.
Source: https://atproto.com/specs/lexicon#lexicon-evolution
"""

from collections.abc import Iterator
from dataclasses import dataclass

from atprotocol.lexicon.catalog import Catalog
from atprotocol.lexicon.schema import (
    ArraySchema,
    BlobSchema,
    BodySchema,
    BooleanSchema,
    BytesSchema,
    Definition,
    IntegerSchema,
    MethodSchema,
    ObjectSchema,
    ParametersSchema,
    RecordSchema,
    RefSchema,
    Schema,
    StringSchema,
    UnionSchema,
    reference,
)


@dataclass(frozen=True, slots=True)
class _Use:
    """Who has values of a definition: those who write to us, those who read from us."""

    written: bool
    read: bool


def breaking_changes(old: Catalog, new: Catalog) -> list[str]:
    """Return what the new lexicons break of the old ones, each with the place; empty is right."""
    written, read = _used(new)
    found: list[str] = []
    for nsid, document in old.documents.items():
        later = new.documents.get(nsid)
        if later is None:
            found.append(f"{nsid}: was taken away")
            continue
        for name, definition in document.definitions.items():
            where = reference(nsid, name)
            if name not in later.definitions:
                found.append(f"{where}: was taken away")
                continue
            # What nothing refers to may be somebody else's: it counts as both.
            is_used = where in written or where in read
            use = _Use(where in written or not is_used, where in read or not is_used)
            found += _definition_changes(definition, later.definitions[name], where, use)
    return found


def _used(catalog: Catalog) -> tuple[set[str], set[str]]:
    """Return the references to what records and requests consist of, and to what answers do."""
    written: set[str] = set()
    read: set[str] = set()
    for document in catalog.documents.values():
        match document.definitions.get("main"):
            case RecordSchema() as record:
                _reach(record.record, catalog, written)
            case MethodSchema() as method:
                for body, reached in ((method.input, written), (method.output, read)):
                    if body is not None and body.schema is not None:
                        _reach(body.schema, catalog, reached)
    return written, read


def _reach(schema: Definition, catalog: Catalog, reached: set[str]) -> None:
    match schema:
        case ObjectSchema():
            for child in schema.properties.values():
                _reach(child, catalog, reached)
        case ArraySchema():
            _reach(schema.items, catalog, reached)
        case RefSchema() | UnionSchema():
            for ref in schema.refs if isinstance(schema, UnionSchema) else (schema.ref,):
                if ref not in reached:
                    reached.add(ref)
                    _reach(catalog.definition(ref), catalog, reached)


def _definition_changes(old: Definition, new: Definition, where: str, use: _Use) -> Iterator[str]:
    match old, new:
        case RecordSchema(), RecordSchema():
            if old.key != new.key:
                yield f"{where}: the keys of its records were {old.key}"
            yield from _object_changes(old.record, new.record, where, _Use(written=True, read=False))
        case MethodSchema(), MethodSchema():
            if old.kind is not new.kind:
                yield f"{where}: was a {old.kind}"
            yield from _object_changes(old.parameters, new.parameters, where, _Use(written=True, read=False))
            for was, now, role in ((old.input, new.input, "input"), (old.output, new.output, "output")):
                use_of_body = _Use(written=role == "input", read=role == "output")
                yield from _body_changes(was, now, f"{where}/{role}", use_of_body)
        case (RecordSchema() | MethodSchema(), _) | (_, RecordSchema() | MethodSchema()):
            yield f"{where}: became another kind of thing"
        case _:
            yield from _schema_changes(old, new, where, use)


def _body_changes(old: BodySchema | None, new: BodySchema | None, where: str, use: _Use) -> Iterator[str]:
    if (old and old.encoding) != (new and new.encoding):
        yield f"{where}: had another encoding"
    elif old is not None and new is not None and old.schema is not None:
        if new.schema is None:
            yield f"{where}: its schema was taken away"
        else:
            yield from _schema_changes(old.schema, new.schema, where, use)


def _schema_changes(old: Definition, new: Definition, where: str, use: _Use) -> Iterator[str]:
    if type(old) is not type(new):
        yield f"{where}: was of another type"
        return
    match old, new:
        case ObjectSchema(), ObjectSchema():
            yield from _object_changes(old, new, where, use)
        case ArraySchema(), ArraySchema():
            yield from _bound_changes(old, new, where, use, "min_length", "max_length")
            yield from _schema_changes(old.items, new.items, f"{where}/items", use)
        case StringSchema(), StringSchema():
            if old.format != new.format:
                yield f"{where}: its format was {old.format}"
            yield from _value_changes(old, new, where, use)
            yield from _bound_changes(old, new, where, use, "min_length", "max_length")
            yield from _bound_changes(old, new, where, use, "min_graphemes", "max_graphemes")
            # Of what is only read, a value that is given no more breaks nobody.
            for value in sorted({*old.known_values} - {*new.known_values} if use.written else ()):
                yield f"{where}: {value} is known no more"
        case IntegerSchema(), IntegerSchema():
            yield from _value_changes(old, new, where, use)
            yield from _bound_changes(old, new, where, use, "minimum", "maximum")
        case BooleanSchema(), BooleanSchema():
            if old.const != new.const:
                yield f"{where}: its only value was {old.const}"
        case BytesSchema(), BytesSchema():
            yield from _bound_changes(old, new, where, use, "min_length", "max_length")
        case BlobSchema(), BlobSchema():
            yield from _bound_changes(old, new, where, use, None, "max_size")
            if new.accept is not None and not {*(old.accept or ("*/*",))} <= {*new.accept}:
                yield f"{where}: accepts fewer kinds"
        case RefSchema(), RefSchema():
            if old.ref != new.ref:
                yield f"{where}: referred to {old.ref}"
        case UnionSchema(), UnionSchema():
            for ref in sorted({*old.refs} - {*new.refs}):
                yield f"{where}: {ref} is no member any more"
            if new.closed and not old.closed:
                yield f"{where}: was open"


def _object_changes(
    old: ObjectSchema | ParametersSchema, new: ObjectSchema | ParametersSchema, where: str, use: _Use
) -> Iterator[str]:
    for name, child in old.properties.items():
        if name not in new.properties:
            # Of what is only read, a value that could always be absent may be so for ever.
            if use.written or name in old.required:
                yield f"{where}/{name}: was taken away"
        else:
            yield from _schema_changes(child, new.properties[name], f"{where}/{name}", use)
    for name in new.required:
        if name not in old.required and (name in old.properties or use.written):
            yield f"{where}/{name}: was not required"
    if use.read:
        for name in old.required:
            if name in new.properties and name not in new.required:
                yield f"{where}/{name}: was always there"
    if isinstance(old, ObjectSchema) and isinstance(new, ObjectSchema):
        for name in sorted(old.nullable - new.nullable if use.written else ()):
            yield f"{where}/{name}: could be null"
        for name in sorted((new.nullable - old.nullable) & old.properties.keys() if use.read else ()):
            yield f"{where}/{name}: was never null"


def _value_changes(
    old: StringSchema | IntegerSchema, new: StringSchema | IntegerSchema, where: str, use: _Use
) -> Iterator[str]:
    if old.const != new.const:
        yield f"{where}: its only value was {old.const}"
    if use.written and new.enum is not None and (old.enum is None or not {*old.enum} <= {*new.enum}):
        yield f"{where}: had more values"
    if use.read and old.enum is not None and (new.enum is None or not {*new.enum} <= {*old.enum}):
        yield f"{where}: had fewer values"


def _bound_changes(old: Schema, new: Schema, where: str, use: _Use, least: str | None, most: str) -> Iterator[str]:
    """Yield bounds that exclude what was within them, where strangers write by them."""
    if not use.written:
        return
    if least is not None:
        before, after = getattr(old, least), getattr(new, least)
        if after is not None and (before is None or after > before):
            yield f"{where}: {least} was {before}, is {after}"
    before, after = getattr(old, most), getattr(new, most)
    if after is not None and (before is None or after < before):
        yield f"{where}: {most} was {before}, is {after}"
