"""URI syntax, against the protocol's fixtures and our own edges."""

import pytest
from interop import interop_lines

from atprotocol.errors import InvalidSyntax
from atprotocol.syntax.uri import parse_uri


@pytest.mark.parametrize("text", interop_lines("syntax/uri_syntax_valid.txt"))
def test_a_valid_uri_is_parsed(text: str) -> None:
    assert str(parse_uri(text)) == text


@pytest.mark.parametrize("text", interop_lines("syntax/uri_syntax_invalid.txt"))
def test_an_invalid_uri_is_refused(text: str) -> None:
    with pytest.raises(InvalidSyntax):
        parse_uri(text)


@pytest.mark.parametrize(
    "text", ["https://example.com/a\nb", "https://example.com/\x00", "https:", "https://" + "é" * 4093]
)
def test_control_characters_empty_uris_and_excess_bytes_are_refused(text: str) -> None:
    with pytest.raises(InvalidSyntax):
        parse_uri(text)
