"""Record key syntax, against the protocol's fixtures and our own edges."""

import pytest
from interop import interop_lines

from atprotocol.errors import InvalidSyntax
from atprotocol.syntax.record_key import parse_record_key


@pytest.mark.parametrize("text", interop_lines("syntax/recordkey_syntax_valid.txt"))
def test_a_valid_record_key_is_parsed(text: str) -> None:
    assert str(parse_record_key(text)) == text


@pytest.mark.parametrize("text", interop_lines("syntax/recordkey_syntax_invalid.txt"))
def test_an_invalid_record_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidSyntax):
        parse_record_key(text)


@pytest.mark.parametrize("text", ["", "self\n", "ключ"])
def test_empty_keys_line_ends_and_other_alphabets_are_refused(text: str) -> None:
    with pytest.raises(InvalidSyntax):
        parse_record_key(text)
