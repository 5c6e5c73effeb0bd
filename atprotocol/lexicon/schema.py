"""What a lexicon says, as typed values.

Plain data: nothing here validates anything. References are in one form, `nsid` for a main definition
and `nsid#name` for any other; a bound of 0, a constant `false` and a default of 0 are bounds, constants
and defaults like any other, so absence is None. Source: https://atproto.com/specs/lexicon
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from atprotocol.data_model import Json
from atprotocol.syntax.nsid import Nsid


class LexiconError(Exception):
    """A lexicon document is wrong, or one was asked for that is not there: our own fault, never the network's."""


@dataclass(frozen=True, slots=True)
class BooleanSchema:
    """`boolean`: true or false."""

    description: str
    const: bool | None = None
    default: bool | None = None


@dataclass(frozen=True, slots=True)
class IntegerSchema:
    """`integer`: bounds are inclusive."""

    description: str
    minimum: int | None = None
    maximum: int | None = None
    enum: tuple[int, ...] | None = None
    const: int | None = None
    default: int | None = None


@dataclass(frozen=True, slots=True)
class StringSchema:
    """`string`: lengths are bytes of UTF-8, graphemes are what a reader counts; known values are a hint only."""

    description: str
    format: str | None = None
    min_length: int | None = None
    max_length: int | None = None
    min_graphemes: int | None = None
    max_graphemes: int | None = None
    enum: tuple[str, ...] | None = None
    known_values: tuple[str, ...] = ()
    const: str | None = None
    default: str | None = None


@dataclass(frozen=True, slots=True)
class BytesSchema:
    """`bytes`: lengths are raw bytes."""

    description: str
    min_length: int | None = None
    max_length: int | None = None


@dataclass(frozen=True, slots=True)
class CidLinkSchema:
    """`cid-link`: a link of the data model, not a string."""

    description: str


@dataclass(frozen=True, slots=True)
class BlobSchema:
    """`blob`: `accept` are media types with `*` as in `audio/*`; the size limit is in bytes."""

    description: str
    accept: tuple[str, ...] | None = None
    max_size: int | None = None


@dataclass(frozen=True, slots=True)
class ArraySchema:
    """`array`: lengths are numbers of items."""

    description: str
    items: "Schema"
    min_length: int | None = None
    max_length: int | None = None


@dataclass(frozen=True, slots=True)
class ObjectSchema:
    """`object`: what is not required may be absent, and only what is nullable may be null."""

    description: str
    properties: Mapping[str, "Schema"]
    required: tuple[str, ...] = ()
    nullable: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RefSchema:
    """`ref`: whatever the definition says; the value needs no `$type`."""

    description: str
    ref: str


@dataclass(frozen=True, slots=True)
class UnionSchema:
    """`union`: objects told apart by `$type`; an open one admits members that nobody has defined yet."""

    description: str
    refs: tuple[str, ...]
    closed: bool = False


@dataclass(frozen=True, slots=True)
class UnknownSchema:
    """`unknown`: any object."""

    description: str


@dataclass(frozen=True, slots=True)
class TokenSchema:
    """`token`: a name with a meaning; as a value it is its own reference."""

    description: str
    reference: str


@dataclass(frozen=True, slots=True)
class RecordSchema:
    """`record`: `key` is `tid`, `nsid`, `any` or `literal:…`."""

    description: str
    nsid: Nsid
    key: str
    record: ObjectSchema


Schema: TypeAlias = (
    BooleanSchema
    | IntegerSchema
    | StringSchema
    | BytesSchema
    | CidLinkSchema
    | BlobSchema
    | ArraySchema
    | ObjectSchema
    | RefSchema
    | UnionSchema
    | UnknownSchema
)


class MethodKind(StrEnum):
    """How a method is called: GET, POST or WebSocket."""

    QUERY = "query"
    PROCEDURE = "procedure"
    SUBSCRIPTION = "subscription"


@dataclass(frozen=True, slots=True)
class ParametersSchema:
    """`params`: booleans, integers, strings and arrays of them."""

    description: str
    properties: Mapping[str, BooleanSchema | IntegerSchema | StringSchema | ArraySchema]
    required: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BodySchema:
    """What a method takes or gives: a media type, and a schema where that is JSON."""

    description: str
    encoding: str
    schema: Schema | None


@dataclass(frozen=True, slots=True)
class DeclaredError:
    """An error that a method may answer with."""

    name: str
    description: str


@dataclass(frozen=True, slots=True)
class MethodSchema:
    """`query`, `procedure` or `subscription`."""

    description: str
    nsid: Nsid
    kind: MethodKind
    parameters: ParametersSchema
    input: BodySchema | None
    output: BodySchema | None
    message: Schema | None
    errors: tuple[DeclaredError, ...]


Definition: TypeAlias = Schema | TokenSchema | RecordSchema | MethodSchema


@dataclass(frozen=True, slots=True)
class Document:
    """One lexicon: its definitions by name, the names that were skipped, and the JSON it was read from."""

    nsid: Nsid
    description: str
    definitions: Mapping[str, Definition]
    skipped: tuple[str, ...]
    raw: Mapping[str, Json]


def reference(nsid: str, name: str) -> str:
    """Return the one form in which a definition is referred to: `nsid`, or `nsid#name` where it is not main."""
    return nsid if name == "main" else f"{nsid}#{name}"
