"""What only the page about one thing needs: the counts of an account, the lists that contain a track.

Each count is of what a listing of the same things would show.
"""

import asyncpg

from appview.asking import Statement
from appview.rows import ActorRow, ProfileFacts, TrackRow
from appview.viewer import Asker
from appview.visibility import Seen, SqlRules


def _facts(rules: SqlRules) -> str:
    own_uri = "'at://' || $2::text || '/' || u.path"
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
            WHERE l.actor_id = $1 AND l.counted AND {rules.record_of_shown(own_uri, "l.uri_id")}
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
        WHERE p.actor_id = $1 AND {rules.record_of_shown(own_uri, "p.uri_id")}
        ORDER BY p.source = 'own' DESC
        LIMIT 1
    ) profile ON true
    """


_PROFILE_FACTS = Statement(Seen.LISTING, _facts)


# Lists that contain a track: of the track's own author one album at most, and then all. However many there are, a few are
# looked at. What somebody likes is told by likes.
def _containing(rules: SqlRules, is_album: str, condition: str, limit: str) -> str:
    return f"""
    SELECT l.uri_id, {is_album} AS is_album, l.sort_at, l.uri
    FROM network.lists l
    JOIN network.repos r ON r.actor_id = l.actor_id
    JOIN network.actors a ON a.actor_id = l.actor_id
    WHERE l.uri_id IN (SELECT uri_id FROM network.list_items WHERE subject_uri_id = $1)
        AND {condition} AND {rules.record("r", "a.did", "l.uri", "l.uri_id")}
    ORDER BY l.sort_at DESC, l.uri DESC LIMIT {limit}
    """


_CONTAINING_LISTS = Statement(
    Seen.LISTING,
    lambda rules: (
        f"""
    SELECT * FROM (
        ({_containing(rules, "true", "l.purpose = 'album' AND l.actor_id = $2", "1")})
        UNION ALL
        ({_containing(rules, "false", "l.purpose IS DISTINCT FROM 'liked'", "$3")})
    ) found
    ORDER BY is_album DESC, sort_at DESC, uri DESC
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
    album = next((row["uri_id"] for row in rows if row["is_album"]), None)
    others = [row["uri_id"] for row in rows if row["uri_id"] != album]
    return album, others[: limit if album is None else limit - 1]
