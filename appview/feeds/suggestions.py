"""Tracks for somebody: what those like who like what they like, newer likes first, fame counting against.

Bounded by how many likes are looked at, whoever asks. At most two tracks of one artist. Whoever likes nothing that
others like gets no suggestions, and the caller says so.
"""

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from appview.asking import Statement
from appview.viewer import Asker
from appview.visibility import Seen, SqlRules, sql_without_unwanted_tags

LONGEST = 200
# A like half as much every fortnight; a track that a thousand like weighs an eighth of its likes.
_HALF_LIFE_SECONDS = 14 * 86_400
_FAME = 0.3
_BY_ONE_ARTIST = 2
_SEEDS, _FANS, _OF_EACH_FAN = 50, 30, 20
# Beyond a thousand half-lives a weight is nothing, and a number that Postgres refuses. An instant at the beginning of the
# calendar is infinitely long ago, and only numbers can be taken from one another then: before Postgres 17 times cannot.
_AGE_SECONDS = "greatest(extract(epoch FROM $2::timestamptz) - extract(epoch FROM l.sort_at), 0)"
_WEIGHT = f"exp(-least({_AGE_SECONDS} / {_HALF_LIFE_SECONDS} * ln(2.0), 500.0))"


def _best(rules: SqlRules, besides: str) -> str:
    """Return the end of a statement that chooses among `weighted` (uri_id, weight)."""
    return f"""
    SELECT uri_id FROM (
        SELECT t.uri_id, t.uri, w.weight / power(1 + coalesce(c.like_count, 0), {_FAME}) AS score,
            row_number() OVER (
                PARTITION BY t.actor_id ORDER BY w.weight / power(1 + coalesce(c.like_count, 0), {_FAME}) DESC, t.uri DESC
            ) AS rank
        FROM weighted w
        JOIN network.tracks t ON t.uri_id = w.uri_id
        JOIN network.repos r ON r.actor_id = t.actor_id
        JOIN network.actors a ON a.actor_id = t.actor_id
        LEFT JOIN network.track_counters c ON c.uri_id = t.uri_id
        WHERE {rules.track("t", "r", "a.did")} AND {sql_without_unwanted_tags("t")} {besides}
    ) best
    WHERE rank <= {_BY_ONE_ARTIST}
    ORDER BY score DESC, uri DESC
    LIMIT $3
    """


_FOR_VIEWER = Statement(
    Seen.DISCOVERY,
    lambda rules: (
        f"""
    WITH seeds AS MATERIALIZED (
        SELECT subject_uri_id FROM network.likes
        WHERE actor_id = $1 AND counted ORDER BY sort_at DESC LIMIT {_SEEDS}
    ), fans AS MATERIALIZED (
        SELECT fan.actor_id, count(*) AS shared
        FROM seeds CROSS JOIN LATERAL (
            SELECT l.actor_id FROM network.likes l
            WHERE l.subject_uri_id = seeds.subject_uri_id AND l.counted AND l.actor_id <> $1
            ORDER BY l.sort_at DESC LIMIT {_FANS}
        ) fan
        JOIN network.repos r ON r.actor_id = fan.actor_id AND r.visible
        GROUP BY fan.actor_id
    ), weighted AS MATERIALIZED (
        SELECT l.subject_uri_id AS uri_id, sum(fans.shared * {_WEIGHT}) AS weight
        FROM fans CROSS JOIN LATERAL (
            SELECT l.subject_uri_id, l.sort_at FROM network.likes l
            WHERE l.actor_id = fans.actor_id AND l.counted ORDER BY l.sort_at DESC LIMIT {_OF_EACH_FAN}
        ) l
        GROUP BY l.subject_uri_id
    )
    {
            _best(
                rules,
                '''AND t.actor_id <> $1 AND NOT EXISTS (
        SELECT FROM network.likes mine WHERE mine.actor_id = $1 AND mine.subject_uri_id = t.uri_id)''',
            )
        }
    """
    ),
)
_RELATED = Statement(
    Seen.DISCOVERY,
    lambda rules: (
        f"""
    WITH fans AS MATERIALIZED (
        SELECT l.actor_id FROM network.likes l
        JOIN network.repos r ON r.actor_id = l.actor_id AND r.visible
        WHERE l.subject_uri_id = $1 AND l.counted ORDER BY l.sort_at DESC LIMIT {_SEEDS * 4}
    ), weighted AS MATERIALIZED (
        SELECT l.subject_uri_id AS uri_id, sum({_WEIGHT}) AS weight
        FROM fans CROSS JOIN LATERAL (
            SELECT l.subject_uri_id, l.sort_at FROM network.likes l
            WHERE l.actor_id = fans.actor_id AND l.counted ORDER BY l.sort_at DESC LIMIT {_OF_EACH_FAN}
        ) l
        WHERE l.subject_uri_id <> $1
        GROUP BY l.subject_uri_id
    )
    {_best(rules, "")}
    """
    ),
)
# What can be said of a track that nobody likes: whose it is, and what it is tagged with.
_ALIKE = Statement(
    Seen.DISCOVERY,
    lambda rules: (
        f"""
    WITH weighted AS MATERIALIZED (
        (SELECT uri_id, 1.0 AS weight FROM network.tracks
            WHERE tags && (SELECT tags FROM network.tracks WHERE uri_id = $1) AND uri_id <> $1 AND visibility = 'public'
            ORDER BY sort_at DESC, uri DESC LIMIT {LONGEST})
        UNION
        (SELECT uri_id, 1.0 FROM network.tracks
            WHERE actor_id = (SELECT actor_id FROM network.tracks WHERE uri_id = $1) AND uri_id <> $1
            ORDER BY sort_at DESC, uri DESC LIMIT {LONGEST})
    )
    {_best(rules, "AND $2::timestamptz IS NOT NULL")}
    """
    ),
)
_STILL_SHOWN = Statement(
    Seen.DISCOVERY,
    lambda rules: (
        f"""
    SELECT t.uri_id
    FROM unnest($1::bigint[]) WITH ORDINALITY AS asked (uri_id, place)
    JOIN network.tracks t ON t.uri_id = asked.uri_id
    JOIN network.repos r ON r.actor_id = t.actor_id
    JOIN network.actors a ON a.actor_id = t.actor_id
    WHERE {rules.track("t", "r", "a.did")}
    ORDER BY asked.place
    """
    ),
)


async def for_viewer(connection: asyncpg.Connection, asker: Asker, now: datetime) -> list[int]:
    """Return the numbers of what the viewer may like, best first; empty when nothing is known of their taste."""
    if asker.actor_id is None:
        return []
    rows = await connection.fetch(_FOR_VIEWER.of(asker), asker.actor_id, now, LONGEST)
    return [row["uri_id"] for row in rows]


async def related(connection: asyncpg.Connection, asker: Asker, uri_id: int, now: datetime, limit: int) -> list[int]:
    """Return the numbers of what those like who like a track, best first; empty when nobody else's likes tell."""
    return [row["uri_id"] for row in await connection.fetch(_RELATED.of(asker), uri_id, now, limit)]


async def alike(connection: asyncpg.Connection, asker: Asker, uri_id: int, now: datetime, limit: int) -> list[int]:
    """Return the numbers of tracks with a tag of a track, or of its artist."""
    return [row["uri_id"] for row in await connection.fetch(_ALIKE.of(asker), uri_id, now, limit)]


async def still_shown(connection: asyncpg.Connection, asker: Asker, uri_ids: Sequence[int]) -> list[int]:
    """Return those of the numbers that are tracks which are shown, in their order."""
    return [row["uri_id"] for row in await connection.fetch(_STILL_SHOWN.of(asker), list(uri_ids))]
