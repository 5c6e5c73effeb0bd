"""What all skeletons share: the page, the key it ends with, and SQL that names a record."""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from appview.rows import TrackState
from appview.xrpc.cursor import Key, key_at
from atprotocol.syntax.datetime import LATEST

# The URI of the record whose rows of network.uris and network.actors have the aliases u and a.
NAMED = "CROSS JOIN LATERAL (SELECT 'at://' || a.did || '/' || u.path AS uri) named"
# More than any lexicon lets anybody ask for.
LONGEST_PAGE = 101


@dataclass(frozen=True, slots=True)
class Page:
    """The numbers of the items in order, and the key that the next page follows; None when there is none.

    `states` tell how the tracks stand, where the same statement has found that out.
    """

    uri_ids: list[int]
    last: Key | None
    states: list[TrackState] | None = None


def before(after: Key | None) -> tuple[object, str]:
    """Return the instant and the URI before which a page begins that sorts the newest first."""
    # Nothing sorts at the end of the calendar: an author's date counts only when it is past.
    return (LATEST, "") if after is None else (after.instant, after.uri)


def page_by_time(rows: Sequence[asyncpg.Record], limit: int) -> Page:
    """Return the page of rows with `uri_id`, `sort_at` and `uri`, of which one more was asked for."""
    page = rows[:limit]
    last = key_at(page[-1]["sort_at"], page[-1]["uri"]) if len(rows) > limit else None
    return Page([row["uri_id"] for row in page], last)


def storable(texts: Sequence[str]) -> list[str]:
    """Write texts as the rows have them, which cannot hold U+0000."""
    return [text.replace("\0", "\ufffd") for text in texts]
