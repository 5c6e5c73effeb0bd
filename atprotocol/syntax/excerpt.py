"""How an error message shows a string that it refuses.

Input comes from strangers and may be megabytes: only its beginning is shown, quoted, so that white
space and control characters can be seen.
"""

_SHOWN_CHARACTERS = 80


def excerpt(text: str) -> str:
    """Return the quoted beginning of a text, with its length where it was cut."""
    if len(text) <= _SHOWN_CHARACTERS:
        return repr(text)
    return f"{text[:_SHOWN_CHARACTERS]!r}… ({len(text)} characters)"
