"""Checks of strings: length in bytes of UTF-8, graphemes, fixed values and formats.

Python's own length is neither bytes nor graphemes; it only serves to skip the counting where it
cannot matter. Source: https://atproto.com/specs/lexicon#string
"""

from collections.abc import Callable, Mapping, Sequence

import regex

from atprotocol.data_model import Value
from atprotocol.errors import InvalidSyntax
from atprotocol.lexicon.problems import NO_PROBLEMS, Check, Problem, Severities, wrong_type
from atprotocol.lexicon.schema import StringSchema
from atprotocol.syntax.at_identifier import parse_at_identifier
from atprotocol.syntax.at_uri import parse_at_uri
from atprotocol.syntax.cid_text import parse_cid_text
from atprotocol.syntax.datetime import parse_datetime
from atprotocol.syntax.did import parse_did
from atprotocol.syntax.excerpt import excerpt
from atprotocol.syntax.handle import parse_handle
from atprotocol.syntax.language import parse_language
from atprotocol.syntax.nsid import parse_nsid
from atprotocol.syntax.record_key import parse_record_key
from atprotocol.syntax.tid import parse_tid
from atprotocol.syntax.uri import parse_uri

FORMATS: Mapping[str, Callable[[str], object]] = {
    "at-identifier": parse_at_identifier,
    "at-uri": parse_at_uri,
    "cid": parse_cid_text,
    "datetime": parse_datetime,
    "did": parse_did,
    "handle": parse_handle,
    "language": parse_language,
    "nsid": parse_nsid,
    "record-key": parse_record_key,
    "tid": parse_tid,
    "uri": parse_uri,
}
_MAX_UTF8 = 4  # bytes of one code point
_GRAPHEME = regex.compile(r"\X")


def utf8_length(text: str) -> int:
    """Return how many bytes a text is in UTF-8."""
    # A lone surrogate has no UTF-8; counting one must not be what fails.
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def grapheme_length(text: str) -> int:
    """Return how many extended grapheme clusters a text is: what a reader counts as characters."""
    if text.isascii() and "\r" not in text:
        return len(text)
    return sum(1 for _ in _GRAPHEME.finditer(text))


def string_check(schema: StringSchema, severities: Severities) -> Check:
    """Return the check of a string.

    A format that nobody here knows is not checked; `Catalog.check` tells of it.
    """
    constraints: list[Callable[[str], Problem | None]] = [*_lengths(schema, severities), *_values(schema)]
    parse = None if schema.format is None else FORMATS.get(schema.format)
    if parse is not None:
        constraints.append(_format(schema.format or "", parse))

    def check(value: Value) -> Sequence[Problem]:
        if type(value) is not str:
            return wrong_type("string", value)
        problems = NO_PROBLEMS
        for constraint in constraints:
            problem = constraint(value)
            if problem is not None:
                problems = (*problems, problem)
        return problems

    return check


def _lengths(schema: StringSchema, severities: Severities) -> list[Callable[[str], Problem | None]]:
    constraints: list[Callable[[str], Problem | None]] = []
    if (least := schema.min_length) is not None:

        def check_min_length(text: str) -> Problem | None:
            if len(text) >= least or (length := utf8_length(text)) >= least:
                return None
            return Problem("", "minLength", f"must be at least {least} bytes of UTF-8, is {length}")

        constraints.append(check_min_length)
    if (most := schema.max_length) is not None:
        severity = severities.of("string", "maxLength")

        def check_max_length(text: str) -> Problem | None:
            if len(text) * _MAX_UTF8 <= most or (length := utf8_length(text)) <= most:
                return None
            return Problem("", "maxLength", f"must be at most {most} bytes of UTF-8, is {length}", severity)

        constraints.append(check_max_length)
    if (fewest := schema.min_graphemes) is not None:

        def check_min_graphemes(text: str) -> Problem | None:
            if (length := grapheme_length(text)) >= fewest:
                return None
            return Problem("", "minGraphemes", f"must be at least {fewest} graphemes, is {length}")

        constraints.append(check_min_graphemes)
    if (limit := schema.max_graphemes) is not None:

        def check_max_graphemes(text: str) -> Problem | None:
            if len(text) <= limit or (length := grapheme_length(text)) <= limit:
                return None
            return Problem("", "maxGraphemes", f"must be at most {limit} graphemes, is {length}")

        constraints.append(check_max_graphemes)
    return constraints


def _values(schema: StringSchema) -> list[Callable[[str], Problem | None]]:
    constraints: list[Callable[[str], Problem | None]] = []
    if (const := schema.const) is not None:

        def check_const(text: str) -> Problem | None:
            return None if text == const else Problem("", "const", f"must be {const!r}, is {excerpt(text)}")

        constraints.append(check_const)
    if (enum := schema.enum) is not None:

        def check_enum(text: str) -> Problem | None:
            return (
                None if text in enum else Problem("", "enum", f"must be one of {', '.join(enum)}, is {excerpt(text)}")
            )

        constraints.append(check_enum)
    return constraints


def _format(name: str, parse: Callable[[str], object]) -> Callable[[str], Problem | None]:
    rule = f"format:{name}"

    def check_format(text: str) -> Problem | None:
        try:
            parse(text)
        except InvalidSyntax as error:
            return Problem("", rule, str(error))
        return None

    return check_format
