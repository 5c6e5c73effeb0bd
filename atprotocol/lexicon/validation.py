"""Compile schemas to checks, once for each definition.

A check takes a value of the data model and returns every problem it has, up to a limit that no honest
value meets. Unknown fields, unknown members of open unions and unknown known values are no problem.
Paths are built only where a problem was found. Source: https://atproto.com/specs/lexicon
"""

from collections.abc import Callable, Sequence

from atprotocol.data_model import Value
from atprotocol.lexicon.blobs import blob_check
from atprotocol.lexicon.problems import (
    NO_PROBLEMS,
    PROBLEM_LIMIT,
    Check,
    Problem,
    Severities,
    Validator,
    wrong_type,
)
from atprotocol.lexicon.scalars import (
    boolean_check,
    bytes_check,
    check_cid_link,
    check_unknown,
    integer_check,
    token_check,
)
from atprotocol.lexicon.schema import (
    ArraySchema,
    BlobSchema,
    BooleanSchema,
    BytesSchema,
    CidLinkSchema,
    Definition,
    IntegerSchema,
    LexiconError,
    MethodSchema,
    ObjectSchema,
    RecordSchema,
    RefSchema,
    Schema,
    StringSchema,
    TokenSchema,
    UnionSchema,
    UnknownSchema,
)
from atprotocol.lexicon.strings import string_check
from atprotocol.syntax.excerpt import excerpt


class Compiler:
    """Turns schemas into checks under one policy; a definition is compiled when it is first referred to.

    `resolve` returns the definition of a reference, or raises LexiconError.
    """

    def __init__(self, resolve: Callable[[str], Definition], severities: Severities) -> None:
        """Compile nothing yet."""
        self._resolve = resolve
        self._severities = severities
        self._checks: dict[str, Check | None] = {}

    def compile(self, schema: Schema | TokenSchema | RecordSchema) -> Check:
        """Return the check of a schema.

        Raises LexiconError when it refers to what is not there.
        """
        match schema:
            case BooleanSchema():
                return boolean_check(schema)
            case IntegerSchema():
                return integer_check(schema)
            case StringSchema():
                return string_check(schema, self._severities)
            case BytesSchema():
                return bytes_check(schema)
            case CidLinkSchema():
                return check_cid_link
            case BlobSchema():
                return blob_check(schema, self._severities)
            case ArraySchema():
                return self._array(schema)
            case ObjectSchema():
                return self._object(schema)
            case RefSchema():
                return self.referenced(schema.ref)
            case UnionSchema():
                return self._union(schema)
            case UnknownSchema():
                return check_unknown
            case TokenSchema():
                return token_check(schema)
            case RecordSchema():
                return self._record(schema)

    def referenced(self, ref: str) -> Check:
        """Return the check of the definition that a reference names.

        Raises LexiconError when there is none, or when it is a method, which no value can be.
        """
        if ref in self._checks:
            # None marks a definition that is being compiled: it refers to itself, so it is looked up when called.
            return self._checks[ref] or (lambda value: self.referenced(ref)(value))
        definition = self._resolve(ref)
        if isinstance(definition, MethodSchema):
            raise LexiconError(f"{ref} is a {definition.kind}, which no value can be")
        self._checks[ref] = None
        try:
            check = self.compile(definition)
        except LexiconError:
            del self._checks[ref]
            raise
        self._checks[ref] = check
        return check

    def _array(self, schema: ArraySchema) -> Check:
        check_item = self.compile(schema.items)
        min_length, max_length = schema.min_length, schema.max_length

        def check(value: Value) -> Sequence[Problem]:
            if not isinstance(value, list):
                return wrong_type("array", value)
            problems: list[Problem] = []
            if min_length is not None and len(value) < min_length:
                problems.append(Problem("", "minLength", f"must have at least {min_length} items, has {len(value)}"))
            if max_length is not None and len(value) > max_length:
                problems.append(Problem("", "maxLength", f"must have at most {max_length} items, has {len(value)}"))
            for index, item in enumerate(value):
                problems.extend(problem.within(index) for problem in check_item(item))
                if len(problems) >= PROBLEM_LIMIT:
                    break
            return problems

        return check

    def _object(self, schema: ObjectSchema) -> Check:
        checks = [(name, self.compile(item), name in schema.nullable) for name, item in schema.properties.items()]
        required = schema.required

        def check(value: Value) -> Sequence[Problem]:
            if not isinstance(value, dict):
                return wrong_type("object", value)
            problems = [Problem(f"/{name}", "required", "is missing") for name in required if name not in value]
            for name, check_property, is_nullable in checks:
                if name not in value:
                    continue
                item = value[name]
                if item is None and is_nullable:
                    continue
                problems.extend(problem.within(name) for problem in check_property(item))
            return problems

        return check

    def _record(self, schema: RecordSchema) -> Check:
        check_object = self._object(schema.record)
        nsid = str(schema.nsid)

        def check(value: Value) -> Sequence[Problem]:
            if not isinstance(value, dict):
                return wrong_type("object", value)
            problems = check_object(value)
            record_type = value.get("$type")
            if record_type == nsid:
                return problems
            if "$type" not in value:
                found = Problem("/$type", "required", f"is missing, must be {nsid}")
            elif isinstance(record_type, str):
                found = Problem("/$type", "const", f"must be {nsid}, is {excerpt(record_type)}")
            else:
                found = Problem("/$type", "type", f"must be the string {nsid}")
            return (found, *problems)

        return check

    def _union(self, schema: UnionSchema) -> Check:
        members = {ref: self.referenced(ref) for ref in schema.refs}
        is_closed = schema.closed

        def check(value: Value) -> Sequence[Problem]:
            if not isinstance(value, dict):
                return wrong_type("object", value)
            member_type = value.get("$type")
            if not isinstance(member_type, str) or not member_type:
                return (Problem("", "union", "a member of a union must say its $type"),)
            member = members.get(member_type)
            if member is not None:
                return member(value)
            if member_type.endswith("#main"):
                return (Problem("/$type", "union", f"#main is never written in a $type: {excerpt(member_type)}"),)
            if is_closed:
                message = f"must be one of {', '.join(members)}, is {excerpt(member_type)}"
                return (Problem("/$type", "union", message),)
            return NO_PROBLEMS

        return check


def validator(check: Check) -> Validator:
    """Return the public form of a check: a list of problems, at most as many as anybody reads."""
    return lambda value: list(check(value)[:PROBLEM_LIMIT])
