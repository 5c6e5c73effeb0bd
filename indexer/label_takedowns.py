"""The accounts that configured labelers have taken down, so that they count no more than those that an operator hides.

Kept in memory beside the rows: whoever writes labels of these values says afterwards what has become of the accounts, and
time does the rest. Only labels about an account as such count here; those about its records are the appview's.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

import asyncpg

TAKEDOWNS: Final = ("!takedown", "!suspend")

_STANDING = """
    SELECT uri, bool_or(expires_at IS NULL OR NOT isfinite(expires_at)) AS is_for_ever,
           max(expires_at) FILTER (WHERE isfinite(expires_at)) AS expires_at
    FROM network.labels
    WHERE uri_id = 0 AND cid = '' AND NOT negated AND src = ANY($1::text[]) AND val = ANY($2::text[]) AND %s
    GROUP BY uri
"""
_ALL = _STANDING % "uri LIKE 'did:%'"
_OF = _STANDING % "uri = ANY($3::text[])"

Until = datetime | None  # None: for ever


class LabelTakedowns:
    """Knows which accounts are taken down by a label that holds."""

    def __init__(self, labelers: Sequence[str]) -> None:
        """Name the labelers that are believed; nothing is known before load()."""
        self._labelers = list(labelers)
        self._until: dict[str, Until] = {}

    async def load(self, connection: asyncpg.Connection) -> None:
        """Take what the database knows."""
        if self._labelers:
            rows = await connection.fetch(_ALL, self._labelers, TAKEDOWNS)
            self._until = {row["uri"]: _until(row) for row in rows}

    async def read(self, connection: asyncpg.Connection, dids: Collection[str]) -> Mapping[str, Until]:
        """Return those of these accounts about which such a label stands, as the connection sees it."""
        rows = await connection.fetch(_OF, self._labelers, TAKEDOWNS, sorted(dids))
        return {row["uri"]: _until(row) for row in rows}

    def replace(self, dids: Collection[str], standing: Mapping[str, Until]) -> None:
        """Forget what was known of these accounts and take this, which is committed."""
        for did in dids:
            self._until.pop(did, None)
        self._until.update(standing)

    def holds(self, did: str, now: datetime) -> bool:
        """Tell whether an account is taken down at this time."""
        if did not in self._until:
            return False
        until = self._until[did]
        return until is None or until > now


def _until(row: asyncpg.Record) -> Until:
    until: Until = None if row["is_for_ever"] else row["expires_at"]
    return until
