"""NSID syntax, against the protocol's fixtures and our own edges."""

import pytest
from interop import interop_lines

from atprotocol.errors import InvalidSyntax
from atprotocol.syntax.nsid import normalize_nsid, nsid_authority, nsid_name, parse_nsid


@pytest.mark.parametrize("text", interop_lines("syntax/nsid_syntax_valid.txt"))
def test_a_valid_nsid_is_parsed(text: str) -> None:
    assert str(parse_nsid(text)) == text


@pytest.mark.parametrize("text", interop_lines("syntax/nsid_syntax_invalid.txt"))
def test_an_invalid_nsid_is_refused(text: str) -> None:
    with pytest.raises(InvalidSyntax):
        parse_nsid(text)


def test_authority_and_name_are_the_two_parts() -> None:
    nsid = parse_nsid("com.Example.fooBar")
    assert nsid_authority(nsid) == "example.com"
    assert nsid_name(nsid) == "fooBar"


def test_normalising_lowers_the_authority_and_keeps_the_name() -> None:
    assert normalize_nsid(parse_nsid("COM.Example.fooBar")) == "com.example.fooBar"


@pytest.mark.parametrize("text", ["com.example.foo\n", "com.example.foo-bar", "com.example"])
def test_line_ends_hyphens_in_the_name_and_two_segments_are_refused(text: str) -> None:
    with pytest.raises(InvalidSyntax):
        parse_nsid(text)
