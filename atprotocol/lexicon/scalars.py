"""Checks of booleans, integers, bytes, links, tokens and unknown objects.

A boolean is never an integer, though Python says so. Integers stay within the 53 bits that every
client's JSON keeps. Source: https://atproto.com/specs/lexicon, https://atproto.com/specs/data-model
"""

from collections.abc import Sequence

from atprotocol.cid import CID
from atprotocol.data_model import Value
from atprotocol.lexicon.problems import NO_PROBLEMS, Check, Problem, wrong_type
from atprotocol.lexicon.schema import BooleanSchema, BytesSchema, IntegerSchema, TokenSchema
from atprotocol.syntax.excerpt import excerpt

SAFE_INTEGER = (1 << 53) - 1


def boolean_check(schema: BooleanSchema) -> Check:
    """Return the check of a boolean."""
    const = schema.const

    def check(value: Value) -> Sequence[Problem]:
        if type(value) is not bool:
            return wrong_type("boolean", value)
        if const is not None and value is not const:
            return (Problem("", "const", f"must be {str(const).lower()}"),)
        return NO_PROBLEMS

    return check


def integer_check(schema: IntegerSchema) -> Check:
    """Return the check of an integer."""
    minimum, maximum, const, enum = schema.minimum, schema.maximum, schema.const, schema.enum

    def check(value: Value) -> Sequence[Problem]:
        if type(value) is not int:
            return wrong_type("integer", value)
        if not -SAFE_INTEGER <= value <= SAFE_INTEGER:
            return (Problem("", "safeInteger", "must be within 53 bits, plus or minus"),)
        problems: list[Problem] = []
        if minimum is not None and value < minimum:
            problems.append(Problem("", "minimum", f"must be at least {minimum}, is {value}"))
        if maximum is not None and value > maximum:
            problems.append(Problem("", "maximum", f"must be at most {maximum}, is {value}"))
        if const is not None and value != const:
            problems.append(Problem("", "const", f"must be {const}, is {value}"))
        if enum is not None and value not in enum:
            problems.append(Problem("", "enum", f"must be one of {', '.join(map(str, enum))}, is {value}"))
        return problems

    return check


def bytes_check(schema: BytesSchema) -> Check:
    """Return the check of a byte string."""
    min_length, max_length = schema.min_length, schema.max_length

    def check(value: Value) -> Sequence[Problem]:
        if type(value) is not bytes:
            return wrong_type("bytes", value)
        if min_length is not None and len(value) < min_length:
            return (Problem("", "minLength", f"must be at least {min_length} bytes, is {len(value)}"),)
        if max_length is not None and len(value) > max_length:
            return (Problem("", "maxLength", f"must be at most {max_length} bytes, is {len(value)}"),)
        return NO_PROBLEMS

    return check


def check_cid_link(value: Value) -> Sequence[Problem]:
    """Check that a value is a link."""
    return NO_PROBLEMS if isinstance(value, CID) else wrong_type("link", value)


def token_check(schema: TokenSchema) -> Check:
    """Return the check of a value that must be this one token."""
    reference = schema.reference

    def check(value: Value) -> Sequence[Problem]:
        if type(value) is not str:
            return wrong_type("string", value)
        if value != reference:
            return (Problem("", "token", f"must be {reference}, is {excerpt(value)}"),)
        return NO_PROBLEMS

    return check


def check_unknown(value: Value) -> Sequence[Problem]:
    """Check that a value is an object, and not one that stands for a blob, a link or bytes."""
    if not isinstance(value, dict):
        return wrong_type("object", value)
    if value.get("$type") == "blob" or "$link" in value or "$bytes" in value:
        return (Problem("", "unknown", "must be an object of its own, not a bare blob, link or bytes"),)
    return NO_PROBLEMS
