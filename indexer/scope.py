"""Which frames concern us: those of tracked accounts, and commits that touch our collections.

Pure, and the hottest function of the indexer: every frame of the network passes here once, decoded. A commit of
a stranger with no operation in our collections moves the cursor and nothing else. Collections are compared
as whole NSIDs, so `fm.plyr.stg.track` is none of `fm.plyr`'s.
"""

from collections.abc import Container, Set
from typing import Any

from atprotocol.frames import COMMIT


def in_scope(kind: str, payload: dict[str, Any], tracked: Container[str], collections: Set[str]) -> bool:
    """Tell whether a split frame must be parsed: its account is tracked, or it makes one worth tracking.

    `collections` are the NSIDs whose records make an account ours.
    """
    if kind != COMMIT:
        return payload["did"] in tracked
    if payload["repo"] in tracked:
        return True
    for operation in payload["ops"]:
        if operation["path"].partition("/")[0] in collections:
            return True
    return False
