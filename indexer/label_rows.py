"""The rows of one labeler: its labels, and how far its stream is stored, in one transaction.

These transactions are not the journal's: labels change no repository, and whatever comes twice, late or in any order
leaves the same rows. The cursor is moved from where this process left it only; a process that finds it elsewhere was
overtaken, or the database has forgotten what it wrote, and ends (docs/decisions/0013-labels.md).
"""

import asyncio
from collections.abc import Sequence

import asyncpg

from atprotocol.labels import Label
from atprotocol.syntax.did import DID
from indexer.label_scope import Key, key_of, precedence
from indexer.label_takedowns import TAKEDOWNS, LabelTakedowns
from indexer.leadership import Superseded

_FORGET_LABELS = "DELETE FROM network.labels WHERE uri_id = 0 AND src <> ALL($1::text[])"
_FORGET_CURSORS = "DELETE FROM network.label_cursors WHERE src <> ALL($1::text[]) RETURNING src"
_BEGIN_CURSORS = """
    INSERT INTO network.label_cursors (src, seq) SELECT src, 0 FROM unnest($1::text[]) AS src ON CONFLICT (src) DO NOTHING
"""
_LOAD_CURSOR = "SELECT seq FROM network.label_cursors WHERE src = $1"
_MOVE_CURSOR = """
    UPDATE network.label_cursors SET seq = $2, updated_at = now() WHERE src = $1 AND seq IN ($3, $2) RETURNING seq
"""
# Which of two holds is said by `label_scope.precedence`, too.
_UPSERT = """
    INSERT INTO network.labels AS stored (src, uri_id, uri, val, cid, negated, created_at, sort_at, expires_at)
    SELECT $1, 0, * FROM unnest($2::text[], $3::text[], $4::bytea[], $5::bool[], $6::text[], $7::timestamptz[], $8::timestamptz[])
    ON CONFLICT (uri, src, val, cid, uri_id) DO UPDATE SET
        negated = excluded.negated, created_at = excluded.created_at, sort_at = excluded.sort_at, expires_at = excluded.expires_at
    WHERE (excluded.sort_at, excluded.negated, coalesce(excluded.expires_at, 'infinity'), excluded.expires_at IS NULL,
           excluded.created_at COLLATE "C")
        > (stored.sort_at, stored.negated, coalesce(stored.expires_at, 'infinity'), stored.expires_at IS NULL,
           stored.created_at COLLATE "C")
    RETURNING 1
"""


async def begin(connection: asyncpg.Connection, labelers: Sequence[DID]) -> list[str]:
    """Forget every labeler but these, which all have a cursor from then on; return whom."""
    async with connection.transaction():
        await connection.execute(_FORGET_LABELS, labelers)
        forgotten = await connection.fetch(_FORGET_CURSORS, labelers)
        await connection.execute(_BEGIN_CURSORS, labelers)
    return [row["src"] for row in forgotten]


class LabelRows:
    """What is stored of one labeler."""

    def __init__(self, pool: asyncpg.Pool, did: DID, takedowns: LabelTakedowns) -> None:
        """Take the parts; `load` finds the cursor."""
        self._pool = pool
        self._did = did
        self._takedowns = takedowns
        # Its stream and its repair must not wait for one another's rows.
        self._turn = asyncio.Lock()
        self.seq = 0

    async def load(self) -> int:
        """Return the seq that is covered; 0 is none. Raises Superseded when the labeler was forgotten by another."""
        async with self._turn:
            stored: int | None = await self._pool.fetchval(_LOAD_CURSOR, self._did)
            if stored is None:
                raise Superseded(f"the cursor of the labeler {self._did} is gone")
            self.seq = stored
        return stored

    async def store(self, labels: Sequence[Label], seq: int | None) -> int:
        """Write labels of this source, verified, and move the cursor to `seq`; None leaves it. Return how many rows changed.

        Raises Superseded, and asyncpg's errors.
        """
        latest: dict[Key, Label] = {}
        for label in labels:
            key = key_of(label)
            if key not in latest or precedence(latest[key]) < precedence(label):
                latest[key] = label
        judged = {label.uri for label in labels if label.val in TAKEDOWNS and label.uri.startswith("did:")}
        async with self._turn:
            async with self._pool.acquire() as connection, connection.transaction():
                if seq is not None and await connection.fetchval(_MOVE_CURSOR, self._did, seq, self.seq) is None:
                    raise Superseded(f"the cursor of the labeler {self._did} is not where it was left ({self.seq})")
                changed = await self._upsert(connection, latest) if latest else 0
                standing = await self._takedowns.read(connection, judged) if judged else {}
            if seq is not None:
                self.seq = seq
            self._takedowns.replace(judged, standing)
        return changed

    async def _upsert(self, connection: asyncpg.Connection, latest: dict[Key, Label]) -> int:
        rows = [
            (*key, label.negated, label.created_at, label.instant, label.expires_at)
            for key, label in sorted(latest.items(), key=lambda pair: pair[0])
        ]
        return len(await connection.fetch(_UPSERT, self._did, *(list(column) for column in zip(*rows, strict=True))))
