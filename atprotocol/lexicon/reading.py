"""Typed access to the JSON of a lexicon document.

Every accessor returns what it promises or raises LexiconError with the place in the document. Absent is
None or empty; of the wrong type is an error, never absent. It knows no lexicon keyword.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from atprotocol.data_model import Json
from atprotocol.lexicon.schema import LexiconError


@dataclass(frozen=True, slots=True)
class Node:
    """A JSON object and where it stands."""

    raw: Mapping[str, Json]
    where: str

    def fault(self, message: str) -> LexiconError:
        """Return the error that says what is wrong here."""
        return LexiconError(f"{self.where}: {message}")

    def text(self, key: str) -> str | None:
        """Return a string, or None where absent."""
        value = self.raw.get(key)
        if value is None or isinstance(value, str):
            return value
        raise self.fault(f"{key} must be a string")

    def required_text(self, key: str) -> str:
        """Return a string that must be there and not be empty."""
        value = self.text(key)
        if not value:
            raise self.fault(f"{key} must be a non-empty string")
        return value

    def integer(self, key: str) -> int | None:
        """Return an integer, or None where absent; a boolean is none."""
        value = self.raw.get(key)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        raise self.fault(f"{key} must be an integer")

    def boolean(self, key: str) -> bool | None:
        """Return a boolean, or None where absent."""
        value = self.raw.get(key)
        if value is None or isinstance(value, bool):
            return value
        raise self.fault(f"{key} must be true or false")

    def texts(self, key: str) -> tuple[str, ...] | None:
        """Return an array of strings, or None where absent."""
        value = self.raw.get(key)
        if value is None:
            return None
        if not isinstance(value, list):
            raise self.fault(f"{key} must be an array of strings")
        texts = [item for item in value if isinstance(item, str)]
        if len(texts) < len(value):
            raise self.fault(f"{key} must be an array of strings")
        return tuple(texts)

    def integers(self, key: str) -> tuple[int, ...] | None:
        """Return an array of integers, or None where absent."""
        value = self.raw.get(key)
        if value is None:
            return None
        if not isinstance(value, list):
            raise self.fault(f"{key} must be an array of integers")
        integers = [item for item in value if isinstance(item, int) and not isinstance(item, bool)]
        if len(integers) < len(value):
            raise self.fault(f"{key} must be an array of integers")
        return tuple(integers)

    def child(self, key: str) -> "Node | None":
        """Return an object, or None where absent."""
        value = self.raw.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.fault(f"{key} must be an object")
        return Node(value, f"{self.where}/{key}")

    def required_child(self, key: str) -> "Node":
        """Return an object that must be there."""
        child = self.child(key)
        if child is None:
            raise self.fault(f"{key} is missing")
        return child

    def children(self, key: str) -> "dict[str, Node]":
        """Return the objects that an object holds, by name; none where it is absent."""
        parent = self.child(key)
        return {} if parent is None else {name: parent.required_child(name) for name in parent.raw}

    def items(self, key: str) -> "list[Node]":
        """Return the objects of an array; none where it is absent."""
        value = self.raw.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.fault(f"{key} must be an array")
        nodes: list[Node] = []
        for index, item in enumerate(value):
            if not isinstance(item, dict):
                raise self.fault(f"{key}/{index} must be an object")
            nodes.append(Node(item, f"{self.where}/{key}/{index}"))
        return nodes
