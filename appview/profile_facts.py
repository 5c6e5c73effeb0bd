"""What only the page about one thing needs: the counts of an account, the lists that contain a track.

Each count is of what a listing of the same things would show.
"""

import asyncpg

from appview.asking import Statement
from appview.rows import ActorRow, ProfileFacts, TrackRow
from appview.viewer import Asker
from appview.visibility import Seen, SqlRules, sql_not_taken_down


def _facts(rules: SqlRules) -> str:
    like_uri = "'at://' || $2::text || '/' || u.path"
    return f"""
    WITH mine AS (
        SELECT l.purpose FROM network.lists l JOIN network.repos r USING (actor_id)
        WHERE l.actor_id = $1 AND {rules.record("r", "$2::text", "l.uri", "l.uri_id")}
    ), published AS (
        SELECT t.uri FROM network.tracks t JOIN network.repos r USING (actor_id)
        WHERE t.actor_id = $1 AND {rules.track("t", "r", "$2::text")}
    )
    SELECT
        (SELECT count(*) FROM published) AS tracks_count,
        (SELECT count(*) FROM mine WHERE purpose = 'album') AS albums_count,
        (SELECT count(*) FROM mine WHERE purpose = 'playlist') AS playlists_count,
        (SELECT count(*)
            FROM network.likes l
            JOIN network.uris u ON u.uri_id = l.uri_id
            JOIN network.tracks t ON t.uri_id = l.subject_uri_id
            JOIN network.repos r ON r.actor_id = t.actor_id
            JOIN network.actors a ON a.actor_id = t.actor_id
            WHERE l.actor_id = $1 AND l.counted AND {sql_not_taken_down(like_uri)}
                AND {rules.track("t", "r", "a.did")}) AS likes_given_count,
        (SELECT coalesce(sum(coalesce(p.play_count, 0) + coalesce(o.play_count, 0)), 0)::bigint
            FROM published
            LEFT JOIN plyr.play_counters p ON p.subject = published.uri
            LEFT JOIN plyr.track_overlays o ON o.uri = published.uri) AS plays_count,
        profile.created_at, profile.indexed_at
    FROM (VALUES (1)) AS one
    LEFT JOIN LATERAL (
        SELECT p.created_at, d.indexed_at
        FROM network.profiles p
        JOIN network.records d ON d.uri_id = p.uri_id
        JOIN network.uris u ON u.uri_id = p.uri_id
        WHERE p.actor_id = $1 AND {sql_not_taken_down(like_uri)}
        ORDER BY p.source = 'own' DESC
        LIMIT 1
    ) profile ON true
    """


_PROFILE_FACTS = Statement(Seen.LISTING, _facts)
# Lists that contain a track, an album of the track's own author first. What somebody likes is told by likes.
_CONTAINING_LISTS = Statement(
    Seen.LISTING,
    lambda rules: (
        f"""
    SELECT DISTINCT l.uri_id, l.purpose IS NOT DISTINCT FROM 'album' AND l.actor_id = $2 AS is_album, l.sort_at, l.uri
    FROM network.list_items i
    JOIN network.lists l ON l.uri_id = i.uri_id
    JOIN network.repos r ON r.actor_id = l.actor_id
    JOIN network.actors a ON a.actor_id = l.actor_id
    WHERE i.subject_uri_id = $1 AND l.purpose IS DISTINCT FROM 'liked'
        AND {rules.record("r", "a.did", "l.uri", "l.uri_id")}
    ORDER BY is_album DESC, l.sort_at DESC, l.uri DESC
    LIMIT $3
    """
    ),
)


async def profile_facts(connection: asyncpg.Connection, asker: Asker, actor: ActorRow) -> ProfileFacts:
    """Return the counts of an account and the times of its profile."""
    return ProfileFacts(**await connection.fetchrow(_PROFILE_FACTS.of(asker), actor.actor_id, actor.did))


async def containing_lists(
    connection: asyncpg.Connection, asker: Asker, track: TrackRow, limit: int
) -> tuple[int | None, list[int]]:
    """Return the author's album that contains a track, if there is one, and other lists that do, newest first."""
    rows = await connection.fetch(_CONTAINING_LISTS.of(asker), track.uri_id, track.actor_id, limit)
    album = rows[0]["uri_id"] if rows and rows[0]["is_album"] else None
    return album, [row["uri_id"] for row in rows if row["uri_id"] != album]
