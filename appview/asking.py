"""Statements that depend on whether somebody is signed in: written once, made for both, chosen by who asks."""

from collections.abc import Callable
from typing import TypeAlias

from appview.viewer import Asker
from appview.visibility import Seen, SqlRules

Write: TypeAlias = Callable[[SqlRules], str]


class Statement:
    """One statement for each kind of asker."""

    def __init__(self, seen: Seen, write: Write) -> None:
        """Write it with the rules for whoever comes by this way."""
        self._anonymous = write(SqlRules(seen, is_anonymous=True))
        self._signed_in = write(SqlRules(seen, is_anonymous=False))

    def of(self, asker: Asker) -> str:
        """Return the statement for whoever asks."""
        return self._anonymous if asker.is_anonymous else self._signed_in
