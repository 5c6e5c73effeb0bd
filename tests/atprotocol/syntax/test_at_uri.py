"""AT URI syntax, against the protocol's fixtures and our own edges."""

import pytest
from interop import interop_lines

from atprotocol.errors import InvalidSyntax
from atprotocol.syntax.at_uri import AtUri, parse_at_uri
from atprotocol.syntax.did import parse_did
from atprotocol.syntax.nsid import parse_nsid
from atprotocol.syntax.record_key import parse_record_key


@pytest.mark.parametrize("text", interop_lines("syntax/aturi_syntax_valid.txt"))
def test_a_valid_at_uri_is_parsed(text: str) -> None:
    assert str(parse_at_uri(text)) == text


@pytest.mark.parametrize("text", interop_lines("syntax/aturi_syntax_invalid.txt"))
def test_an_invalid_at_uri_is_refused(text: str) -> None:
    with pytest.raises(InvalidSyntax):
        parse_at_uri(text)


def test_the_parts_are_told_apart_and_written_again() -> None:
    uri = parse_at_uri("at://did:plc:asdf123/com.example.post/self")
    assert uri == AtUri(parse_did("did:plc:asdf123"), parse_nsid("com.example.post"), parse_record_key("self"))
    assert str(uri) == "at://did:plc:asdf123/com.example.post/self"
