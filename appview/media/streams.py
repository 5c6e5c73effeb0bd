"""How many listeners stream through us at once: in all, and from one address, so that none takes all there is."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from appview.xrpc.errors import RATE_LIMIT_EXCEEDED, XrpcError

RETRY_AFTER_SECONDS = 5


class Streams:
    """The streams that are open."""

    def __init__(self, in_total: int, per_address: int) -> None:
        """Take the bounds."""
        self._in_total = in_total
        self._per_address = per_address
        self._of: Counter[str] = Counter()
        self.count = 0

    @contextmanager
    def one_more(self, address: str | None) -> Iterator[None]:
        """Count a stream for the length of a block. Raises XrpcError (429) when there are enough."""
        key = address or ""
        if self.count >= self._in_total or self._of[key] >= self._per_address:
            raise XrpcError(
                429,
                RATE_LIMIT_EXCEEDED,
                "Too many streams are open: close one, or try again soon",
                {"Retry-After": str(RETRY_AFTER_SECONDS)},
            )
        self.count += 1
        self._of[key] += 1
        try:
            yield
        finally:
            self.count -= 1
            self._of[key] -= 1
            if not self._of[key]:
                del self._of[key]
