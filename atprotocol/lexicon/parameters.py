"""Query strings of XRPC, read strictly by a method's lexicon.

Nothing is coerced or clamped: `limit=abc` and `limit=0` are errors, not defaults. Repeated keys are
arrays, an empty string is absent, unknown names are ignored, defaults are filled in. Only the first
problem is told. Source: https://atproto.com/specs/xrpc#lexicon-http-endpoints
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from atprotocol.data_model import Value
from atprotocol.errors import ProtocolError
from atprotocol.lexicon.problems import STRICT, Check, Problem
from atprotocol.lexicon.scalars import boolean_check, integer_check
from atprotocol.lexicon.schema import (
    ArraySchema,
    BooleanSchema,
    IntegerSchema,
    ParametersSchema,
    StringSchema,
)
from atprotocol.lexicon.strings import string_check
from atprotocol.syntax.excerpt import excerpt

_INTEGER = re.compile(r"-?[0-9]+")
# More digits than 2^53 has are out of range whatever they say, and Python refuses to read very many.
_MAX_DIGITS = 16
_BOOLEANS = {"true": True, "false": False}


class InvalidParameter(ProtocolError):
    """A query parameter is missing or wrong; `name` says which."""

    def __init__(self, name: str, message: str) -> None:
        """Keep the name of the parameter and what is wrong with it."""
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message


@dataclass(frozen=True, slots=True)
class Parameter:
    """One declared parameter; for an array, `item` and `check` are those of its items."""

    name: str
    item: BooleanSchema | IntegerSchema | StringSchema
    check: Check
    is_required: bool
    default: bool | int | str | None
    array: ArraySchema | None


@dataclass(frozen=True, slots=True)
class Parameters:
    """The declared parameters of a method, ready to read query strings with."""

    declared: tuple[Parameter, ...]
    names: frozenset[str]


def compile_parameters(schema: ParametersSchema) -> Parameters:
    """Return what `parse_parameters` needs of a method's parameters."""
    declared: list[Parameter] = []
    for name, definition in schema.properties.items():
        array = definition if isinstance(definition, ArraySchema) else None
        item = definition if array is None else array.items
        match item:
            case BooleanSchema():
                check = boolean_check(item)
            case IntegerSchema():
                check = integer_check(item)
            case StringSchema():
                check = string_check(item, STRICT)
            case _:
                raise TypeError(f"no parameter is a {type(item).__name__}")
        default = item.default if array is None else None
        declared.append(Parameter(name, item, check, name in schema.required, default, array))
    return Parameters(tuple(declared), frozenset(schema.properties))


def parse_parameters(definition: Parameters, pairs: Sequence[tuple[str, str]]) -> dict[str, Value]:
    """Return the parameters that the decoded pairs of a query string give, with defaults.

    Absent ones without default are absent from the result. Raises InvalidParameter for the first
    problem, in the order of declaration.
    """
    given: dict[str, list[str]] = {}
    for name, text in pairs:
        if text and name in definition.names:
            given.setdefault(name, []).append(text)
    parameters: dict[str, Value] = {}
    for parameter in definition.declared:
        texts = given.get(parameter.name)
        if texts is not None:
            parameters[parameter.name] = _read(parameter, texts)
        elif parameter.default is not None:
            parameters[parameter.name] = parameter.default
        elif parameter.is_required:
            raise InvalidParameter(parameter.name, "is required")
    return parameters


def _read(parameter: Parameter, texts: list[str]) -> Value:
    array = parameter.array
    if array is None:
        if len(texts) > 1:
            raise InvalidParameter(parameter.name, f"must be given once, is given {len(texts)} times")
        return _read_item(parameter, texts[0])
    if array.max_length is not None and len(texts) > array.max_length:
        raise InvalidParameter(parameter.name, f"must be given at most {array.max_length} times, is {len(texts)}")
    if array.min_length is not None and len(texts) < array.min_length:
        raise InvalidParameter(parameter.name, f"must be given at least {array.min_length} times, is {len(texts)}")
    return [_read_item(parameter, text) for text in texts]


def _read_item(parameter: Parameter, text: str) -> bool | int | str:
    value: bool | int | str
    match parameter.item:
        case BooleanSchema():
            if text not in _BOOLEANS:
                raise InvalidParameter(parameter.name, f"must be true or false, is {excerpt(text)}")
            value = _BOOLEANS[text]
        case IntegerSchema():
            if _INTEGER.fullmatch(text) is None:
                raise InvalidParameter(parameter.name, f"must be an integer, is {excerpt(text)}")
            if len(text.lstrip("-").lstrip("0")) > _MAX_DIGITS:
                raise InvalidParameter(parameter.name, "must be within 53 bits, plus or minus")
            # Leading zeros are legal and many: they are cut before Python counts digits.
            value = int(text.lstrip("-").lstrip("0") or "0") * (-1 if text.startswith("-") else 1)
        case StringSchema():
            value = text
    problems: Sequence[Problem] = parameter.check(value)
    if problems:
        raise InvalidParameter(parameter.name, problems[0].message)
    return value
