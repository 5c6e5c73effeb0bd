"""CID text syntax, against the protocol's fixtures and our own edges."""

import pytest
from interop import interop_lines

from atprotocol.errors import InvalidSyntax
from atprotocol.syntax.cid_text import parse_cid_text


@pytest.mark.parametrize("text", interop_lines("syntax/cid_syntax_valid.txt"))
def test_a_valid_cid_text_is_parsed(text: str) -> None:
    assert str(parse_cid_text(text)) == text


@pytest.mark.parametrize("text", interop_lines("syntax/cid_syntax_invalid.txt"))
def test_an_invalid_cid_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidSyntax):
        parse_cid_text(text)


def test_a_line_end_is_refused() -> None:
    with pytest.raises(InvalidSyntax):
        parse_cid_text("bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi\n")
