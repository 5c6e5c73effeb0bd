"""One call of a method, as its handler gets it: everything checked, nothing of HTTP left.

The handler answers with a JSON object as a dictionary, or raises XrpcError.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from appview.xrpc.cursor import Key, Rest, binding_of, decode_cursor, decode_rest, encode_cursor, encode_rest
from appview.xrpc.labelers import AcceptedLabelers
from atprotocol.data_model import Value
from atprotocol.syntax.did import DID
from atprotocol.syntax.nsid import Nsid

Output: TypeAlias = dict[str, object]


@dataclass(frozen=True, slots=True)
class Call:
    """A method's name, its checked parameters and body, when it was called (UTC), and by whom.

    `viewer_did` is proved, None for anonymous calls; `accepted_labelers` None asks for the defaults. `address` is the one that rate limits count by. `reply_headers`
    is for the handler to fill: they go with the answer, or the error.
    """

    nsid: Nsid
    parameters: Mapping[str, Value]
    body: Mapping[str, Value]
    called_at: datetime
    viewer_did: DID | None = None
    accepted_labelers: AcceptedLabelers | None = None
    address: str | None = None
    reply_headers: dict[str, str] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """Return a text parameter that is required or has a default."""
        value = self.parameters[name]
        assert isinstance(value, str)
        return value

    def texts(self, name: str) -> list[str]:
        """Return an array of texts; absent is empty."""
        value = self.parameters.get(name, [])
        assert isinstance(value, list)
        return [str(item) for item in value]

    def optional_text(self, name: str) -> str | None:
        """Return a text parameter, None where it is absent."""
        return self.text(name) if name in self.parameters else None

    def integer(self, name: str) -> int:
        """Return an integer parameter that is required or has a default."""
        value = self.parameters[name]
        assert isinstance(value, int)
        return value

    def after(self) -> Key | None:
        """Return the key after which the page begins, None for the first page.

        Raises MalformedCursor.
        """
        if "cursor" not in self.parameters:
            return None
        return decode_cursor(self.text("cursor"), binding_of(self.nsid, self.parameters))

    def cursor(self, key: Key | None) -> str | None:
        """Return the cursor of the next page, None where there is none."""
        return None if key is None else encode_cursor(key, binding_of(self.nsid, self.parameters))

    def rest(self) -> Rest | None:
        """Return what is left of an order that was made for the asker, None for the first page.

        Raises MalformedCursor.
        """
        if "cursor" not in self.parameters:
            return None
        return decode_rest(self.text("cursor"), binding_of(self.nsid, self.parameters))

    def rest_cursor(self, rest: Rest) -> str | None:
        """Return the cursor that goes on with the rest, None where nothing is left."""
        return encode_rest(rest, binding_of(self.nsid, self.parameters)) if rest.uri_ids else None


Handler: TypeAlias = Callable[[Call], Awaitable[Output]]
