"""Account identifier syntax, against the protocol's fixtures and our own edges."""

import pytest
from interop import interop_lines

from atprotocol.errors import InvalidSyntax
from atprotocol.syntax.at_identifier import is_did, parse_at_identifier


@pytest.mark.parametrize("text", interop_lines("syntax/atidentifier_syntax_valid.txt"))
def test_a_valid_at_identifier_is_parsed(text: str) -> None:
    assert str(parse_at_identifier(text)) == text


@pytest.mark.parametrize("text", interop_lines("syntax/atidentifier_syntax_invalid.txt"))
def test_an_invalid_at_identifier_is_refused(text: str) -> None:
    with pytest.raises(InvalidSyntax):
        parse_at_identifier(text)


def test_a_did_and_a_handle_are_told_apart() -> None:
    assert is_did(parse_at_identifier("did:web:example.com"))
    assert not is_did(parse_at_identifier("did.example.com"))
