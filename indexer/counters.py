"""Counts that travel with the rows they count, in the same transaction.

Likes and comments count while their author's account is visible. A like counts by its subject's URI, and of one
person's several likes of one subject the one with the lowest URI: an order that no replay can change. Counts are moved
by the difference between before and after, so a batch costs what it touches.
"""

from collections import Counter
from collections.abc import Collection, Sequence

import asyncpg

Pair = tuple[int, int]  # (actor_id, subject_uri_id)

_PAIRS_OF_LIKES = "SELECT actor_id, subject_uri_id FROM network.likes WHERE uri_id = ANY($1::bigint[])"
_LIKED_PAIRS = """
    SELECT p.subject_uri_id, count(*) AS likes
    FROM unnest($1::bigint[], $2::bigint[]) AS p (actor_id, subject_uri_id)
    JOIN network.repos r ON r.actor_id = p.actor_id AND r.visible
    WHERE EXISTS (SELECT FROM network.likes l WHERE l.actor_id = p.actor_id AND l.subject_uri_id = p.subject_uri_id)
    GROUP BY p.subject_uri_id
"""
_COMMENTS_OF = """
    SELECT c.subject_uri_id, count(*) AS comments
    FROM network.comments c JOIN network.repos r ON r.actor_id = c.actor_id AND r.visible
    WHERE c.uri_id = ANY($1::bigint[])
    GROUP BY c.subject_uri_id
"""
# All likes of a pair are one person's, so their URIs differ in the path alone.
_CHOOSE_COUNTED = """
    UPDATE network.likes l
    SET counted = NOT l.counted
    FROM (
        SELECT l.uri_id, row_number() OVER (PARTITION BY l.actor_id, l.subject_uri_id ORDER BY u.path) = 1 AS counted
        FROM unnest($1::bigint[], $2::bigint[]) AS p (actor_id, subject_uri_id)
        JOIN network.likes l ON l.actor_id = p.actor_id AND l.subject_uri_id = p.subject_uri_id
        JOIN network.uris u ON u.uri_id = l.uri_id
    ) AS right_one
    WHERE l.uri_id = right_one.uri_id AND l.counted <> right_one.counted
"""
_MOVE_COUNTERS = """
    INSERT INTO network.track_counters (uri_id, like_count, comment_count)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])
    ON CONFLICT (uri_id) DO UPDATE SET
        like_count = track_counters.like_count + excluded.like_count,
        comment_count = track_counters.comment_count + excluded.comment_count
"""
# Twice the likes weigh as much as being two days newer. Migration 0003 says the same once.
_SET_HOT_SCORES = """
    UPDATE network.tracks t
    SET hot_score = log(2, 1 + coalesce(c.like_count, 0)) + extract(epoch FROM t.sort_at) / 172800
    FROM unnest($1::bigint[]) AS moved (uri_id) LEFT JOIN network.track_counters c USING (uri_id)
    WHERE t.uri_id = moved.uri_id
"""
_DROP_ZEROES = (
    "DELETE FROM network.track_counters WHERE uri_id = ANY($1::bigint[]) AND like_count = 0 AND comment_count = 0"
)
_OF_ACTORS = """
    SELECT subject_uri_id, sum(likes)::bigint AS likes, sum(comments)::bigint AS comments
    FROM (
        SELECT subject_uri_id, 1 AS likes, 0 AS comments FROM network.likes WHERE actor_id = ANY($1::bigint[]) AND counted
        UNION ALL
        SELECT subject_uri_id, 0, 1 FROM network.comments WHERE actor_id = ANY($1::bigint[])
    ) AS contributions
    GROUP BY subject_uri_id
"""
_MOVE_TOTALS = """
    INSERT INTO network.collection_totals (collection, accepted, rejected)
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[])
    ON CONFLICT (collection) DO UPDATE SET
        accepted = collection_totals.accepted + excluded.accepted,
        rejected = collection_totals.rejected + excluded.rejected
"""


class CounterChange:
    """What a batch does to the counters: `before` its changes, then `after` them."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        """Work within the connection's open transaction."""
        self._connection = connection
        self._pairs: list[Pair] = []
        self._likes: Counter[int] = Counter()
        self._comments: Counter[int] = Counter()

    async def before(self, old_likes: Sequence[int], new_pairs: Collection[Pair], old_comments: Sequence[int]) -> None:
        """Take away what the touched likes and comments count now; `old_*` are their numbers."""
        old_pairs = await self._connection.fetch(_PAIRS_OF_LIKES, old_likes) if old_likes else []
        self._pairs = sorted({(row["actor_id"], row["subject_uri_id"]) for row in old_pairs} | set(new_pairs))
        if self._pairs:
            self._likes.subtract(await self._liked())
        if old_comments:
            self._comments.subtract(await self._commented(old_comments))

    async def after(self, new_comments: Sequence[int]) -> None:
        """Add what they count after the change, choose the like that counts, and move the counters."""
        if self._pairs:
            await self._connection.execute(_CHOOSE_COUNTED, *_columns(self._pairs))
            self._likes.update(await self._liked())
        if new_comments:
            self._comments.update(await self._commented(new_comments))
        await move(self._connection, self._likes, self._comments)

    async def _liked(self) -> dict[int, int]:
        rows = await self._connection.fetch(_LIKED_PAIRS, *_columns(self._pairs))
        return {row["subject_uri_id"]: row["likes"] for row in rows}

    async def _commented(self, comments: Sequence[int]) -> dict[int, int]:
        rows = await self._connection.fetch(_COMMENTS_OF, comments)
        return {row["subject_uri_id"]: row["comments"] for row in rows}


async def move(connection: asyncpg.Connection, likes: Counter[int], comments: Counter[int]) -> None:
    """Add these differences, by subject, to the counters."""
    moved = sorted(subject for subject in likes.keys() | comments.keys() if likes[subject] or comments[subject])
    if moved:
        await connection.execute(
            _MOVE_COUNTERS, moved, [likes[subject] for subject in moved], [comments[subject] for subject in moved]
        )
        await connection.execute(_DROP_ZEROES, moved)
        await set_hot_scores(connection, [subject for subject in moved if likes[subject]])


async def set_hot_scores(connection: asyncpg.Connection, uri_ids: Sequence[int]) -> None:
    """Say how hot tracks are that are new, or whose likes have changed.

    A score grows with the time of the track and is never lowered by time, so that it can be kept and sorted by.
    """
    if uri_ids:
        await connection.execute(_SET_HOT_SCORES, uri_ids)


async def count_actors(connection: asyncpg.Connection, actors: Sequence[int], sign: int) -> None:
    """Add (sign 1) or take away (sign -1) all that these accounts contribute: they became visible, or ceased to be."""
    if not actors:
        return
    likes: Counter[int] = Counter()
    comments: Counter[int] = Counter()
    for row in await connection.fetch(_OF_ACTORS, actors):
        likes[row["subject_uri_id"]] = sign * row["likes"]
        comments[row["subject_uri_id"]] = sign * row["comments"]
    await move(connection, likes, comments)


async def move_totals(connection: asyncpg.Connection, accepted: Counter[str], rejected: Counter[str]) -> None:
    """Add these differences, by collection, to the totals."""
    moved = sorted(name for name in accepted.keys() | rejected.keys() if accepted[name] or rejected[name])
    if moved:
        await connection.execute(
            _MOVE_TOTALS, moved, [accepted[name] for name in moved], [rejected[name] for name in moved]
        )


def _columns(pairs: Sequence[Pair]) -> tuple[list[int], list[int]]:
    return [actor_id for actor_id, _ in pairs], [subject for _, subject in pairs]
