"""Parameters that are one of a few words. A lexicon leaves them open for later versions; this one takes its own."""

from collections.abc import Collection

from appview.xrpc.call import Call
from appview.xrpc.errors import InvalidRequest


def known_word(call: Call, name: str, words: Collection[str]) -> str:
    """Return the word that a parameter is.

    Raises InvalidRequest when it is none of those that are understood.
    """
    word = call.text(name)
    if word not in words:
        raise InvalidRequest(f"Parameter {name}: must be one of {', '.join(words)}")
    return word
