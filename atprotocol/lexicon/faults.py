"""What is wrong with a set of lexicons taken together.

Each document was right by itself; here references are followed, and what no reader could obey is found:
missing definitions, union members that are no objects, required fields that are not there, defaults
that break their own rules, formats nobody knows. Run at start-up and in tests.
"""

from collections.abc import Callable, Iterator

from atprotocol.lexicon.problems import STRICT
from atprotocol.lexicon.schema import (
    ArraySchema,
    BooleanSchema,
    Definition,
    Document,
    IntegerSchema,
    LexiconError,
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
from atprotocol.lexicon.strings import FORMATS
from atprotocol.lexicon.validation import Compiler

Resolve = Callable[[str], Definition]


def document_faults(document: Document, resolve: Resolve) -> Iterator[str]:
    """Yield what is wrong with a document among the others, each with the place."""
    for name, definition in document.definitions.items():
        yield from _definition_faults(definition, reference(document.nsid, name), resolve)


def _definition_faults(definition: Definition, where: str, resolve: Resolve) -> Iterator[str]:
    match definition:
        case RecordSchema():
            yield from _schema_faults(definition.record, where, resolve)
        case MethodSchema():
            yield from _parameter_faults(definition.parameters, where, resolve)
            bodies = (definition.input, definition.output)
            schemas = [body.schema for body in bodies if body is not None] + [definition.message]
            for schema in schemas:
                if schema is not None:
                    yield from _schema_faults(schema, where, resolve)
        case TokenSchema():
            pass
        case _:
            yield from _schema_faults(definition, where, resolve)


def _parameter_faults(parameters: ParametersSchema, where: str, resolve: Resolve) -> Iterator[str]:
    yield from (f"{where}: requires the parameter {name}, which it does not define" for name in _undefined(parameters))
    for name, schema in parameters.properties.items():
        yield from _schema_faults(schema, f"{where}/{name}", resolve)


def _schema_faults(schema: Schema, where: str, resolve: Resolve) -> Iterator[str]:
    match schema:
        case ObjectSchema():
            yield from (f"{where}: requires {name}, which it does not define" for name in _undefined(schema))
            for name in schema.nullable - set(schema.properties):
                yield f"{where}: calls {name} nullable, which it does not define"
            for name, item in schema.properties.items():
                yield from _schema_faults(item, f"{where}/{name}", resolve)
        case ArraySchema():
            yield from _schema_faults(schema.items, f"{where}/items", resolve)
        case RefSchema():
            yield from _reference_faults(schema.ref, where, resolve)
        case UnionSchema():
            for ref in schema.refs:
                yield from _member_faults(ref, where, resolve)
        case StringSchema() | IntegerSchema() | BooleanSchema():
            if isinstance(schema, StringSchema) and schema.format is not None and schema.format not in FORMATS:
                yield f"{where}: nobody knows the format {schema.format}"
            if schema.default is not None:
                for problem in Compiler(resolve, STRICT).compile(schema)(schema.default):
                    yield f"{where}: the default breaks its own rule: {problem.message}"


def _undefined(schema: ObjectSchema | ParametersSchema) -> list[str]:
    return [name for name in schema.required if name not in schema.properties]


def _reference_faults(ref: str, where: str, resolve: Resolve) -> Iterator[str]:
    try:
        definition = resolve(ref)
    except LexiconError as error:
        yield f"{where}: {error}"
        return
    if isinstance(definition, MethodSchema):
        yield f"{where}: refers to {ref}, a {definition.kind}, which no value can be"


def _member_faults(ref: str, where: str, resolve: Resolve) -> Iterator[str]:
    faults = list(_reference_faults(ref, where, resolve))
    yield from faults
    if not faults and not isinstance(resolve(ref), ObjectSchema | RecordSchema):
        yield f"{where}: the union's member {ref} is no object"
