"""Read decisions out of bytes, so that whatever mutates bytes mutates structures."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Choices:
    """A stream of decisions; an exhausted one decides for the first of everything."""

    def __init__(self, data: bytes) -> None:
        """Decide by these bytes, from the first on."""
        self._data = data
        self._position = 0

    def byte(self) -> int:
        """Return the next byte."""
        position = self._position
        if position >= len(self._data):
            return 0
        self._position = position + 1
        return self._data[position]

    def below(self, limit: int) -> int:
        """Return a number from 0 to limit - 1."""
        if limit <= 256:
            return self.byte() % limit
        return (self.byte() << 8 | self.byte()) % limit

    def one_of(self, items: Sequence[T]) -> T:
        """Return one of the items."""
        return items[self.below(len(items))]

    def some(self, most: int) -> bytes:
        """Return up to so many bytes."""
        taken = self._data[self._position : self._position + self.below(most + 1)]
        self._position += len(taken)
        return taken

    def edited(self, content: bytes) -> bytes:
        """Return the content with a few bytes of it changed, left out, inserted or repeated."""
        edited = bytearray(content)
        for _ in range(1 + self.below(3)):
            at = self.below(len(edited)) if edited else 0
            match self.below(5):
                case 0 if edited:
                    edited[at] ^= 1 << self.below(8)
                case 1 if edited:
                    edited[at] = self.byte()
                case 2:
                    del edited[at : at + 1 + self.below(8)]
                case 3:
                    edited[at:at] = self.some(8)
                case _:
                    edited[at:at] = edited[at : at + 1 + self.below(40)]
        return bytes(edited)
