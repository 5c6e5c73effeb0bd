"""What records of tracks say, kept in memory for as long as the rows stay as they are.

A row's version is the transaction that wrote it (xmin): whatever the indexer writes is written anew, so that what is
kept under a version never has to be thrown away for being old. How many are kept is bounded.
"""

from collections.abc import Iterable

from appview.rows import TrackContent

MAXIMUM = 10_000


class TrackContents:
    """The contents of some tracks, by number."""

    def __init__(self, maximum: int = MAXIMUM) -> None:
        """Keep so many at most."""
        self._maximum = maximum
        self._contents: dict[int, TrackContent] = {}

    def get(self, uri_id: int, version: int) -> TrackContent | None:
        """Return the content of a row of this version, None where it is not kept."""
        content = self._contents.get(uri_id)
        return content if content is not None and content.version == version else None

    def put(self, contents: Iterable[TrackContent]) -> None:
        """Keep these; of too many those go that came first."""
        for content in contents:
            self._contents.pop(content.uri_id, None)
            self._contents[content.uri_id] = content
        while len(self._contents) > self._maximum:
            del self._contents[next(iter(self._contents))]
