"""The page of the lexicons: every method, record and view, with everything that their JSON says of them."""

import re
from collections.abc import Iterable, Mapping, Sequence

from atprotocol.lexicon.catalog import Catalog
from atprotocol.lexicon.schema import (
    ArraySchema,
    BodySchema,
    Definition,
    MethodKind,
    MethodSchema,
    ObjectSchema,
    RecordSchema,
    Schema,
    TokenSchema,
    reference,
)
from atprotocol.lexicon.words import type_words

_VERBS = {MethodKind.QUERY: "GET", MethodKind.PROCEDURE: "POST", MethodKind.SUBSCRIPTION: "WebSocket"}


def lexicons_page(catalog: Catalog, notice: str) -> str:
    """Return the page; what it is made of says everything else."""
    methods: list[str] = []
    records: list[str] = []
    others: list[str] = []
    for nsid in sorted(catalog.documents):
        for name, definition in catalog.documents[nsid].definitions.items():
            where = reference(nsid, name)
            match definition:
                case MethodSchema():
                    methods.append(_method(definition))
                case RecordSchema():
                    records.append(_record(definition))
                case _:
                    others.append(_definition(where, definition))
    parts = [
        notice,
        "# The lexicons",
        "Everything that `lexicons/` says, to be read; the JSON there is what counts. How to ask: `/docs` of any running "
        "service, which also has all this as OpenAPI at `/openapi.json`. What is not marked as required may be absent; "
        "fields that are not named here may come.",
        "## Methods",
        *methods,
        "## Records",
        *records,
        "## What they are made of",
        *others,
    ]
    return "\n\n".join(parts) + "\n"


def _method(method: MethodSchema) -> str:
    parts = [f"### {method.nsid}", f"{_VERBS[method.kind]}. {method.description}"]
    parameters = method.parameters
    parts += _fields("parameter", parameters.properties, parameters.required)
    if method.input is not None:
        parts += _body("Body", method.input)
    if method.output is not None:
        parts += _body("Answer", method.output)
    parts += ["\n".join(f"- error `{error.name}`: {error.description}" for error in method.errors)]
    return "\n\n".join(filter(None, parts))


def _body(title: str, body: BodySchema) -> list[str]:
    schema = body.schema
    if isinstance(schema, ObjectSchema):
        return [f"{title} ({body.encoding}):", *_fields("field", schema.properties, schema.required)]
    return [f"{title} ({body.encoding}): {'' if schema is None else type_words(schema, _link)}"]


def _record(record: RecordSchema) -> str:
    parts = [f"### {record.nsid}", f"{record.description} Its key is of type `{record.key}`."]
    return "\n\n".join([*parts, *_fields("field", record.record.properties, record.record.required)])


def _definition(where: str, definition: Definition) -> str:
    parts = [f"### {where}", definition.description]
    match definition:
        case ObjectSchema():
            parts += _fields("field", definition.properties, definition.required)
        case MethodSchema() | RecordSchema() | TokenSchema():
            pass
        case _:
            parts.append(f"Is: {type_words(definition, _link)}.")
    return "\n\n".join(parts)


def _fields(kind: str, fields: Mapping[str, Schema], required: Sequence[str]) -> list[str]:
    if not fields:
        return []
    rows = [f"| {kind} | required | type | meaning |", "|---|---|---|---|"]
    rows += [
        f"| `{name}` | {'yes' if name in required else ''} | {_escaped(type_words(schema, _link))} | {_meaning(schema)} |"
        for name, schema in fields.items()
    ]
    return ["\n".join(rows)]


def _meaning(schema: Schema) -> str:
    sentences: Iterable[str] = [schema.description]
    if isinstance(schema, ArraySchema) and schema.items.description:
        sentences = [schema.description, f"Each: {schema.items.description}"]
    return _escaped(" ".join(sentences))


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _link(where: str) -> str:
    anchor = re.sub(r"[^a-z0-9-]", "", where.lower())
    return f"[{'.'.join(where.split('.')[-2:])}](#{anchor})"
