"""URI syntax, against the protocol's fixtures and our own edges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from interop import interop_lines

from atprotocol.errors import InvalidSyntax
from atprotocol.syntax.uri import is_at_origin, parse_uri


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


ORIGIN = "https://audio.example.com"


@given(st.text(max_size=60))
def test_no_text_makes_another_origin_an_allowed_one(rest: str) -> None:
    for url in (f"{ORIGIN}{rest}", f"{ORIGIN}@{rest}", f"https://{rest}", rest):
        if is_at_origin(url, {ORIGIN}):
            assert url == ORIGIN or (url.startswith(ORIGIN) and url[len(ORIGIN)] in "/?#")


@pytest.mark.parametrize(
    ("url", "is_there"),
    [
        (f"{ORIGIN}/a.mp3", True),
        (ORIGIN, True),
        (f"{ORIGIN}?a", True),
        (f"{ORIGIN}:8443/a.mp3", False),
        (f"{ORIGIN}.evil.example/a.mp3", False),
        (f"{ORIGIN}@evil.example/a.mp3", False),
        ("https://audio.example.com\\@evil.example/a", False),
        (f"{ORIGIN}/\n", False),
        (f"{ORIGIN}/" + "a" * 2000, False),
        ("http://audio.example.com/a.mp3", False),
        (None, False),
    ],
)
def test_a_url_is_at_an_origin_only_as_it_is_written(url: str | None, is_there: bool) -> None:
    assert is_at_origin(url, {ORIGIN}) is is_there
