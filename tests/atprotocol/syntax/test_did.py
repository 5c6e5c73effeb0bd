"""DID syntax, against the protocol's fixtures and our own edges."""

import pytest
from interop import interop_lines

from atprotocol.errors import InvalidSyntax
from atprotocol.syntax.did import did_method, parse_did


@pytest.mark.parametrize("text", interop_lines("syntax/did_syntax_valid.txt"))
def test_a_valid_did_is_parsed(text: str) -> None:
    assert str(parse_did(text)) == text


@pytest.mark.parametrize("text", interop_lines("syntax/did_syntax_invalid.txt"))
def test_an_invalid_did_is_refused(text: str) -> None:
    with pytest.raises(InvalidSyntax):
        parse_did(text)


def test_the_method_is_the_second_part() -> None:
    assert did_method(parse_did("did:plc:7iza6de2dwap2sbkpav7c6c6")) == "plc"
    assert did_method(parse_did("did:web:localhost%3A1234")) == "web"


@pytest.mark.parametrize("text", ["did:plc:abc\n", "did:plc:äbc", "did:pl\u0441:abc", "did:plc:" + "a" * 2041])
def test_line_ends_other_alphabets_and_excess_length_are_refused(text: str) -> None:
    with pytest.raises(InvalidSyntax):
        parse_did(text)


def test_the_error_shows_only_the_beginning_of_a_long_text() -> None:
    with pytest.raises(InvalidSyntax) as caught:
        parse_did("did:plc:" + "a" * 100_000)
    assert len(str(caught.value)) < 300
