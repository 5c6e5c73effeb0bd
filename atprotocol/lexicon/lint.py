"""What a set of lexicons would be told by a careful reviewer: rules of style, beyond what is wrong by the language.

Everything says what it is; lists are paged in one way; sets that may grow stay open; views carry records as unknown
values, which code made from lexicons can then read. What lexicons may not change any more is in `evolution`.
Source: https://atproto.com/guides/lexicon-style-guide
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator

from atprotocol.lexicon.schema import (
    ArraySchema,
    BodySchema,
    Definition,
    Document,
    IntegerSchema,
    MethodKind,
    MethodSchema,
    ObjectSchema,
    ParametersSchema,
    RecordSchema,
    RefSchema,
    Schema,
    StringSchema,
    TokenSchema,
    UnionSchema,
    reference,
)

Resolve = Callable[[str], Definition]

VERBS = {
    MethodKind.QUERY: ("get", "list", "search", "resolve", "query"),
    MethodKind.PROCEDURE: ("create", "update", "delete", "put", "record", "request"),
    MethodKind.SUBSCRIPTION: ("subscribe",),
}
_CAMEL_CASE = re.compile(r"[a-z][a-zA-Z0-9]*")
_ERROR_NAME = re.compile(r"[A-Z][a-zA-Z0-9]*")


def lint(documents: Iterable[Document], resolve: Resolve, *, unpaged: Collection[str] = ()) -> list[str]:
    """Return what a reviewer would say of documents, each with the place; empty is right.

    `unpaged` are the methods that take a limit and give no cursor, by NSID; one that does not is told too.
    """
    found: list[str] = []
    for document in documents:
        if not document.description:
            found.append(f"{document.nsid}: says nothing of itself")
        for name, definition in document.definitions.items():
            where = reference(document.nsid, name)
            if _CAMEL_CASE.fullmatch(name) is None:
                found.append(f"{where}: a definition's name begins small and has no signs in it")
            found += _definition_smells(definition, where, resolve, unpaged)
    return found


def _definition_smells(definition: Definition, where: str, resolve: Resolve, unpaged: Collection[str]) -> Iterator[str]:
    if not definition.description:
        yield f"{where}: says nothing of itself"
    match definition:
        case MethodSchema():
            yield from _method_smells(definition, resolve, unpaged)
        case RecordSchema():
            yield from _schema_smells(definition.record, where, resolve)
        case TokenSchema():
            pass
        case _:
            yield from _schema_smells(definition, where, resolve)


def _method_smells(method: MethodSchema, resolve: Resolve, unpaged: Collection[str]) -> Iterator[str]:
    where = method.nsid
    name = where.rpartition(".")[2]
    verbs = VERBS[method.kind]
    if not any(name.startswith(verb) and name[len(verb) : len(verb) + 1].isupper() for verb in verbs):
        yield f"{where}: the name of a {method.kind} begins with one of {', '.join(verbs)}"
    for error in method.errors:
        if not error.description:
            yield f"{where}: the error {error.name} says nothing of itself"
        if _ERROR_NAME.fullmatch(error.name) is None:
            yield f"{where}: {error.name!r} is no name of an error"
    for body, role in ((method.input, "input"), (method.output, "output")):
        if body is not None:
            yield from _body_smells(body, f"{where}/{role}", resolve)
    if method.kind is not MethodKind.SUBSCRIPTION and method.output is None:
        yield f"{where}: answers nothing"
    yield from _parameter_smells(method.parameters, where, resolve)
    yield from _paging_smells(method, resolve, method.nsid in unpaged)


def _body_smells(body: BodySchema, where: str, resolve: Resolve) -> Iterator[str]:
    if body.encoding == "application/json" and body.schema is None:
        yield f"{where}: is JSON of any shape"
    if body.schema is not None:
        yield from _schema_smells(body.schema, where, resolve)


def _parameter_smells(parameters: ParametersSchema, where: str, resolve: Resolve) -> Iterator[str]:
    for name, schema in parameters.properties.items():
        yield from _property_smells(name, schema, f"{where}/{name}", resolve)
        if isinstance(schema, ArraySchema) and schema.max_length is None:
            yield f"{where}/{name}: may be given any number of times"


def _paging_smells(method: MethodSchema, resolve: Resolve, is_unpaged: bool) -> Iterator[str]:
    """Yield what is wrong with limit, cursor in and cursor out, which come together or not at all."""
    where, parameters = method.nsid, method.parameters
    schema = None if method.output is None else method.output.schema
    output = resolve(schema.ref) if isinstance(schema, RefSchema) else schema
    given = output.properties.get("cursor") if isinstance(output, ObjectSchema) else None
    taken, limit = parameters.properties.get("cursor"), parameters.properties.get("limit")
    if (taken is None) != (given is None):
        yield f"{where}: a cursor is taken and given, or neither"
    if taken is not None and limit is None:
        yield f"{where}: takes a cursor and no limit"
    if limit is not None and (taken is None) != is_unpaged:
        yield f"{where}: takes a limit, and a cursor exactly when it is not said to have one page only"
    if limit is None and is_unpaged:
        yield f"{where}: is said to have one page only, and takes no limit"
    for name in ("cursor", "limit"):
        if name in parameters.required:
            yield f"{where}: requires {name}"
    for cursor in (taken, given):
        if cursor is not None and (not isinstance(cursor, StringSchema) or cursor.format or cursor.max_length):
            yield f"{where}: a cursor is a string of which nothing is known"
    if isinstance(output, ObjectSchema) and "cursor" in output.required:
        yield f"{where}: promises a next page for ever"
    if limit is not None:
        if not isinstance(limit, IntegerSchema) or limit.maximum is None or limit.default is None:
            yield f"{where}: limit is an integer with a maximum and a default"
        elif limit.minimum != 1 or not 1 <= limit.default <= limit.maximum:
            yield f"{where}: limit begins at 1, and its default is within its bounds"


def _schema_smells(schema: Schema, where: str, resolve: Resolve) -> Iterator[str]:
    match schema:
        case ObjectSchema():
            for name, child in schema.properties.items():
                yield from _property_smells(name, child, f"{where}/{name}", resolve)
        case ArraySchema():
            yield from _schema_smells(schema.items, f"{where}/items", resolve)
        case StringSchema() | IntegerSchema():
            if schema.enum is not None:
                yield f"{where}: an enum can never grow: say knownValues"
        case UnionSchema():
            if schema.closed:
                yield f"{where}: a closed union can never grow"
            for ref in schema.refs:
                yield from _reference_smells(ref, where, resolve)
        case RefSchema():
            yield from _reference_smells(schema.ref, where, resolve)


def _property_smells(name: str, schema: Schema, where: str, resolve: Resolve) -> Iterator[str]:
    if not schema.description:
        yield f"{where}: says nothing of itself"
    if _CAMEL_CASE.fullmatch(name) is None:
        yield f"{where}: a name begins small and has no signs in it"
    yield from _schema_smells(schema, where, resolve)


def _reference_smells(ref: str, where: str, resolve: Resolve) -> Iterator[str]:
    if isinstance(resolve(ref), RecordSchema):
        yield f"{where}: refers to the record {ref}: a view has records as unknown"
