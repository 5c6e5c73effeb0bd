"""A word for what became of an input."""


def said(error: Exception) -> str:
    """Return what distinguishes a refusal from others."""
    words = "".join(letter for letter in str(error) if letter.isalpha() or letter == " ")
    return f"{type(error).__name__} {words[:40]}"
