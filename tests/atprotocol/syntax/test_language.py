"""Language tag syntax, against the protocol's fixtures and our own edges."""

import pytest
from interop import interop_lines

from atprotocol.errors import InvalidSyntax
from atprotocol.syntax.language import parse_language


@pytest.mark.parametrize("text", interop_lines("syntax/language_syntax_valid.txt"))
def test_a_valid_language_is_parsed(text: str) -> None:
    assert str(parse_language(text)) == text


@pytest.mark.parametrize("text", interop_lines("syntax/language_syntax_invalid.txt"))
def test_an_invalid_language_is_refused(text: str) -> None:
    with pytest.raises(InvalidSyntax):
        parse_language(text)


@pytest.mark.parametrize("text", interop_lines("syntax/language_parse_invalid.txt"))
def test_a_well_formed_tag_that_repeats_itself_is_refused(text: str) -> None:
    with pytest.raises(InvalidSyntax):
        parse_language(text)
