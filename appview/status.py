"""What the index knows of a record, of a repository and of itself, as rows.

Whatever is hidden is left out here already: no row of an account that is not shown, nothing of a record that is taken
down. So it cannot be told from what was never there.
"""

from datetime import datetime

import asyncpg

from appview.asking import Statement
from appview.status_rows import CollectionStatus, RecordStatus, RepoStatus, Stats, Upstream
from appview.viewer import Asker
from appview.visibility import SQL_LABEL_HOLDS, Seen, sql_not_taken_down

_URI = "'at://' || a.did || '/' || u.path"
_NOT_TAKEN_DOWN = sql_not_taken_down(_URI)
_RECORD = Statement(
    Seen.DIRECT,
    lambda rules: (
        f"""
    SELECT r.sync_status, r.cause, d.verdict, d.problems, d.cid, d.rev, d.indexed_at, false AS is_taken_down,
        '{{}}'::text[] AS labels
    FROM network.actors a
    JOIN network.repos r ON r.actor_id = a.actor_id
    LEFT JOIN network.uris u ON u.actor_id = a.actor_id AND u.path = $2 AND {rules.record("r", "a.did", _URI, "u.uri_id")}
    LEFT JOIN network.records d ON d.uri_id = u.uri_id AND d.verdict <> 'deleted'
    WHERE a.did = $1 AND {rules.account("r", "a.did")}
    """
    ),
)
_OWN_RECORD = f"""
    SELECT r.sync_status, r.cause, d.verdict, d.problems, d.cid, d.rev, d.indexed_at,
        NOT r.visible OR NOT ({sql_not_taken_down("a.did")} AND {_NOT_TAKEN_DOWN}) AS is_taken_down,
        ARRAY(
            SELECT DISTINCT l.val FROM network.labels l
            WHERE l.uri IN (a.did, {_URI}) AND (l.cid = '' OR l.cid = d.cid) AND {SQL_LABEL_HOLDS}
            ORDER BY l.val
        ) AS labels
    FROM network.actors a
    JOIN network.repos r ON r.actor_id = a.actor_id
    LEFT JOIN network.uris u ON u.actor_id = a.actor_id AND u.path = $2
    LEFT JOIN network.records d ON d.uri_id = u.uri_id
    WHERE a.did = $1
"""
_REPO_OF_ALL = """
    SELECT r.actor_id, r.sync_status, r.cause, r.rev, r.tracked_at, r.synchronized_at, r.retry_at,
        CASE WHEN NOT r.active THEN coalesce(r.upstream_status, 'deactivated') WHEN r.takendown THEN 'takendown' END
            AS account_status
    FROM network.actors a
    JOIN network.repos r ON r.actor_id = a.actor_id
    WHERE a.did = $1
"""
_REPO = Statement(Seen.DIRECT, lambda rules: f"{_REPO_OF_ALL} AND {rules.account('r', 'a.did')}")


_AUDIO = """
    SELECT t.audio_cid, t.audio_url FROM network.actors a
    JOIN network.uris u ON u.actor_id = a.actor_id AND u.path = $2
    JOIN network.tracks t ON t.uri_id = u.uri_id
    WHERE a.did = $1
"""


def _collections(condition: str) -> str:
    return f"""
    SELECT split_part(u.path, '/', 1) AS collection,
        count(*) FILTER (WHERE d.verdict IN ('accepted', 'flagged')) AS accepted,
        count(*) FILTER (WHERE d.verdict = 'rejected') AS rejected,
        max(d.indexed_at) AS last_indexed_at
    FROM network.uris u
    JOIN network.actors a ON a.actor_id = u.actor_id
    JOIN network.records d ON d.uri_id = u.uri_id AND d.verdict <> 'deleted'
    WHERE u.actor_id = $1 AND {condition}
    GROUP BY 1
    ORDER BY 1
    """


_OWN_COLLECTIONS = _collections(_NOT_TAKEN_DOWN)
_COLLECTIONS = Statement(Seen.DIRECT, lambda rules: _collections(rules.record_of_shown(_URI, "u.uri_id")))
_TOTALS = "SELECT collection, accepted, rejected FROM network.collection_totals"
_REPOS = "SELECT sync_status, count(*) FROM network.repos GROUP BY sync_status ORDER BY sync_status"
# A source that names a time at the end of the calendar has named none.
_EVENT_TIME = "CASE WHEN isfinite(event_time) THEN event_time END"
_UPSTREAMS = f"SELECT host, seq, {_EVENT_TIME} AS event_time FROM network.cursors ORDER BY host, endpoint"
_LAST_EVENT = f"SELECT min({_EVENT_TIME}) FROM network.cursors"


async def record_status(connection: asyncpg.Connection, asker: Asker, did: str, path: str) -> RecordStatus | None:
    """Return what is known at a path of a repository; None when the account is not known, or hidden from the asker.

    To its owner everything is told.
    """
    statement = _OWN_RECORD if _is_owner(asker, did) else _RECORD.of(asker)
    row = await connection.fetchrow(statement, did, path)
    return None if row is None else RecordStatus(**row)


async def audio_of(connection: asyncpg.Connection, did: str, path: str) -> tuple[str | None, str | None]:
    """Return the CID of the blob, and the URL, that a record at a path names as its audio."""
    row = await connection.fetchrow(_AUDIO, did, path)
    return (None, None) if row is None else (row["audio_cid"], row["audio_url"])


async def repo_status(connection: asyncpg.Connection, asker: Asker, did: str) -> RepoStatus | None:
    """Return what is known of a repository; None when it is not known, or hidden from the asker."""
    is_owner = _is_owner(asker, did)
    row = await connection.fetchrow(_REPO_OF_ALL if is_owner else _REPO.of(asker), did)
    if row is None:
        return None
    fields = dict(row)
    statement = _OWN_COLLECTIONS if is_owner else _COLLECTIONS.of(asker)
    collections = await connection.fetch(statement, fields.pop("actor_id"))
    return RepoStatus(**fields, collections=tuple(CollectionStatus(**each) for each in collections))


def _is_owner(asker: Asker, did: str) -> bool:
    return asker.viewer is not None and asker.viewer.did == did


async def stats(connection: asyncpg.Connection) -> Stats:
    """Return the figures of the whole index."""
    totals = await connection.fetch(_TOTALS)
    repos = await connection.fetch(_REPOS)
    upstreams = await connection.fetch(_UPSTREAMS)
    return Stats(
        collections={row["collection"]: (row["accepted"], row["rejected"]) for row in totals},
        repos={row["sync_status"]: row["count"] for row in repos},
        upstreams=tuple(Upstream(**row) for row in upstreams),
    )


async def last_event_at(connection: asyncpg.Connection) -> datetime | None:
    """Return when the last fully indexed event of the slowest source happened; None when no source told."""
    found: datetime | None = await connection.fetchval(_LAST_EVENT)
    return found
