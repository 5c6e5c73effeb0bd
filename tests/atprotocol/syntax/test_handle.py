"""Handle syntax, against the protocol's fixtures and our own edges."""

import pytest
from interop import interop_lines

from atprotocol.errors import InvalidSyntax
from atprotocol.syntax.handle import is_reserved_handle, normalize_handle, parse_handle


@pytest.mark.parametrize("text", interop_lines("syntax/handle_syntax_valid.txt"))
def test_a_valid_handle_is_parsed(text: str) -> None:
    assert str(parse_handle(text)) == text


@pytest.mark.parametrize("text", interop_lines("syntax/handle_syntax_invalid.txt"))
def test_an_invalid_handle_is_refused(text: str) -> None:
    with pytest.raises(InvalidSyntax):
        parse_handle(text)


def test_handles_are_compared_in_lower_case() -> None:
    assert parse_handle("XX.LCS.MIT.EDU") == "XX.LCS.MIT.EDU"
    assert normalize_handle(parse_handle("XX.LCS.MIT.EDU")) == "xx.lcs.mit.edu"


@pytest.mark.parametrize(
    "text", ["a.local", "a.ARPA", "a.invalid", "a.localhost", "a.internal", "a.example", "a.onion", "a.alt"]
)
def test_a_reserved_top_level_domain_is_told(text: str) -> None:
    assert is_reserved_handle(parse_handle(text))


def test_an_ordinary_domain_is_not_reserved_and_dot_test_only_in_production() -> None:
    assert not is_reserved_handle(parse_handle("local.example.com"))
    assert is_reserved_handle(parse_handle("alice.test"))
    assert not is_reserved_handle(parse_handle("alice.test"), allow_test=True)


def test_a_line_end_is_refused() -> None:
    with pytest.raises(InvalidSyntax):
        parse_handle("john.test\n")
