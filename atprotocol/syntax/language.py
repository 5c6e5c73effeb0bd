"""Language tags of BCP 47: `ja`, `pt-BR`, `zh-Hant`.

Well-formed tags whose primary language is lower case, without repeated variants or extensions. Whether
a subtag is registered is not looked up. Source: https://atproto.com/specs/lexicon#language, RFC 5646
"""

import re
from typing import NewType

from atprotocol.errors import InvalidSyntax
from atprotocol.syntax.excerpt import excerpt

Language = NewType("Language", str)

_PRIVATE = r"[xX](?:-[a-zA-Z0-9]{1,8})+"
_TAG = re.compile(
    r"[a-z]{2,3}(?:-[a-zA-Z]{3}){0,3}"
    r"(?:-[a-zA-Z]{4})?"
    r"(?:-(?:[a-zA-Z]{2}|[0-9]{3}))?"
    r"(?P<variants>(?:-(?:[a-zA-Z0-9]{5,8}|[0-9][a-zA-Z0-9]{3}))*)"
    r"(?P<extensions>(?:-[0-9a-wy-zA-WY-Z](?:-[a-zA-Z0-9]{2,8})+)*)"
    rf"(?:-{_PRIVATE})?"
)
# Old registrations that fit no other form, and tags of private use alone.
_OTHER_TAG = re.compile(rf"i-[a-zA-Z]{{2,8}}|en-GB-oed|sgn-BE-FR|sgn-BE-NL|sgn-CH-DE|{_PRIVATE}")


def parse_language(text: str) -> Language:
    """Return the language tag that a text is.

    Raises InvalidSyntax when it is malformed, or repeats a variant or an extension.
    """
    if _OTHER_TAG.fullmatch(text) is not None:
        return Language(text)
    match = _TAG.fullmatch(text)
    if match is None:
        raise InvalidSyntax(f"not a language tag (like ja or pt-BR): {excerpt(text)}")
    variants = match["variants"].lower().split("-")[1:]
    singletons = [subtag for subtag in match["extensions"].lower().split("-") if len(subtag) == 1]
    if len(set(variants)) < len(variants) or len(set(singletons)) < len(singletons):
        raise InvalidSyntax(f"a language tag that repeats a variant or an extension: {excerpt(text)}")
    return Language(text)
