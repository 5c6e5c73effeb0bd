"""Read one lexicon document: JSON in, typed definitions out, or LexiconError.

Definition types that are not known here (`space`, `permission-set`, what comes next) are skipped and
named, so that a new kind of lexicon never stops an old program. Inside a known definition everything
must be right. References are put into one form but not followed. Source: https://atproto.com/specs/lexicon
"""

from collections.abc import Mapping

from atprotocol.data_model import Json
from atprotocol.errors import InvalidSyntax
from atprotocol.lexicon.reading import Node
from atprotocol.lexicon.schema import (
    ArraySchema,
    BlobSchema,
    BodySchema,
    BooleanSchema,
    BytesSchema,
    CidLinkSchema,
    DeclaredError,
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
    UnknownSchema,
    reference,
)
from atprotocol.syntax.nsid import Nsid, parse_nsid

_METHODS = frozenset(MethodKind)
_PRIMARY = frozenset(("record", "permission-set", *_METHODS))
_NAMED = frozenset(("token", "boolean", "integer", "string", "bytes", "cid-link", "blob", "array", "object"))
_NEVER_NAMED = frozenset(("ref", "union", "unknown", "params"))
_RECORD_KEYS = frozenset(("tid", "nsid", "any"))
_LANGUAGE_VERSION = 1


def parse_document(raw: Mapping[str, Json]) -> Document:
    """Return the document that a JSON object is.

    Raises LexiconError, with the place, when it breaks the lexicon language.
    """
    document_id = raw.get("id")
    root = Node(raw, document_id if isinstance(document_id, str) else "a lexicon without id")
    if root.integer("lexicon") != _LANGUAGE_VERSION:
        raise root.fault(f"lexicon must be {_LANGUAGE_VERSION}, the version of the language")
    try:
        nsid = parse_nsid(root.required_text("id"))
    except InvalidSyntax as error:
        raise root.fault(f"id: {error}") from error
    root.required_child("defs")
    definitions: dict[str, Definition] = {}
    skipped: list[str] = []
    for name, node in root.children("defs").items():
        definition = _parse_definition(node, nsid, name)
        if definition is None:
            skipped.append(name)
        else:
            definitions[name] = definition
    return Document(nsid, root.text("description") or "", definitions, tuple(skipped), raw)


def _parse_definition(node: Node, nsid: Nsid, name: str) -> Definition | None:
    kind = node.required_text("type")
    if kind in _PRIMARY and name != "main":
        raise node.fault(f"a {kind} can only be the main definition")
    if kind in _NEVER_NAMED:
        raise node.fault(f"a definition cannot be a bare {kind}")
    if kind == "record":
        return _parse_record(node, nsid)
    if kind in _METHODS:
        return _parse_method(node, nsid, MethodKind(kind))
    if kind == "token":
        return TokenSchema(node.text("description") or "", reference(nsid, name))
    return parse_schema(node, nsid) if kind in _NAMED else None


def _parse_record(node: Node, nsid: Nsid) -> RecordSchema:
    key = node.required_text("key")
    if key not in _RECORD_KEYS and not (key.startswith("literal:") and key != "literal:"):
        raise node.fault(f"key must be tid, nsid, any or literal:…, not {key!r}")
    body = node.required_child("record")
    if body.text("type") != "object":
        raise body.fault("a record must be an object")
    return RecordSchema(node.text("description") or "", nsid, key, _parse_object(body, nsid))


def _parse_method(node: Node, nsid: Nsid, kind: MethodKind) -> MethodSchema:
    input_node = node.child("input")
    if input_node is not None and kind is not MethodKind.PROCEDURE:
        raise node.fault(f"a {kind} takes no input")
    output_node = node.child("output")
    message_node = node.child("message")
    message_schema = None if message_node is None else message_node.child("schema")
    return MethodSchema(
        description=node.text("description") or "",
        nsid=nsid,
        kind=kind,
        parameters=_parse_parameters(node.child("parameters"), nsid),
        input=None if input_node is None else _parse_body(input_node, nsid),
        output=None if output_node is None else _parse_body(output_node, nsid),
        message=None if message_schema is None else parse_schema(message_schema, nsid),
        errors=tuple(
            DeclaredError(item.required_text("name"), item.text("description") or "") for item in node.items("errors")
        ),
    )


def _parse_body(node: Node, nsid: Nsid) -> BodySchema:
    schema_node = node.child("schema")
    schema = None if schema_node is None else parse_schema(schema_node, nsid)
    if schema is not None and not isinstance(schema, ObjectSchema | RefSchema | UnionSchema):
        raise node.fault("the schema of a body must be an object, a ref or a union")
    return BodySchema(node.text("description") or "", node.required_text("encoding"), schema)


def _parse_parameters(node: Node | None, nsid: Nsid) -> ParametersSchema:
    if node is None:
        return ParametersSchema("", {})
    if node.text("type") != "params":
        raise node.fault("parameters must be of type params")
    properties: dict[str, BooleanSchema | IntegerSchema | StringSchema | ArraySchema] = {}
    for name, child in node.children("properties").items():
        schema = parse_schema(child, nsid)
        item = schema.items if isinstance(schema, ArraySchema) else schema
        if not isinstance(item, BooleanSchema | IntegerSchema | StringSchema):
            raise child.fault("a parameter is a boolean, an integer, a string or an array of one of them")
        properties[name] = schema if isinstance(schema, ArraySchema) else item
    return ParametersSchema(node.text("description") or "", properties, node.texts("required") or ())


def _parse_object(node: Node, nsid: Nsid) -> ObjectSchema:
    return ObjectSchema(
        node.text("description") or "",
        {name: parse_schema(child, nsid) for name, child in node.children("properties").items()},
        node.texts("required") or (),
        frozenset(node.texts("nullable") or ()),
    )


def parse_schema(node: Node, nsid: Nsid) -> Schema:
    """Return the schema that an object of a document is; `nsid` is the document that `#name` refers into.

    Raises LexiconError.
    """
    description = node.text("description") or ""
    kind = node.required_text("type")
    match kind:
        case "boolean":
            return BooleanSchema(description, node.boolean("const"), node.boolean("default"))
        case "integer":
            return IntegerSchema(
                description,
                node.integer("minimum"),
                node.integer("maximum"),
                node.integers("enum"),
                node.integer("const"),
                node.integer("default"),
            )
        case "string":
            return StringSchema(
                description,
                node.text("format"),
                node.integer("minLength"),
                node.integer("maxLength"),
                node.integer("minGraphemes"),
                node.integer("maxGraphemes"),
                node.texts("enum"),
                node.texts("knownValues") or (),
                node.text("const"),
                node.text("default"),
            )
        case "bytes":
            return BytesSchema(description, node.integer("minLength"), node.integer("maxLength"))
        case "cid-link":
            return CidLinkSchema(description)
        case "blob":
            return BlobSchema(description, node.texts("accept"), node.integer("maxSize"))
        case "array":
            items = parse_schema(node.required_child("items"), nsid)
            return ArraySchema(description, items, node.integer("minLength"), node.integer("maxLength"))
        case "object":
            return _parse_object(node, nsid)
        case "ref":
            return RefSchema(description, _absolute(node, node.required_text("ref"), nsid))
        case "union":
            refs = node.texts("refs")
            if refs is None:
                raise node.fault("a union must list its refs")
            absolute = tuple(_absolute(node, ref, nsid) for ref in refs)
            return UnionSchema(description, absolute, node.boolean("closed") or False)
        case "unknown":
            return UnknownSchema(description)
    raise node.fault(f"{kind!r} is no type of a schema")


def _absolute(node: Node, ref: str, nsid: Nsid) -> str:
    authority, _, name = ref.removeprefix("lex:").partition("#")
    if authority:
        try:
            parse_nsid(authority)
        except InvalidSyntax as error:
            raise node.fault(f"ref: {error}") from error
    elif not name:
        raise node.fault(f"an empty ref: {ref!r}")
    return reference(authority or nsid, name or "main")
