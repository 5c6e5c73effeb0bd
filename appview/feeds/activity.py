"""What happens: tracks, likes, comments and lists, all in one order, by everybody or by one account.

Of likes and comments both sides must be shown: whoever did it, and the track that it was done to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import asyncpg

from appview.asking import Statement
from appview.feeds.pages import NAMED, before
from appview.viewer import Asker
from appview.visibility import Seen, SqlRules, sql_without_unwanted_tags
from appview.xrpc.cursor import Key, key_at

KINDS = ("track", "like", "comment", "list")
_SUBJECT = """
    JOIN network.tracks t ON t.uri_id = x.subject_uri_id
    JOIN network.repos tr ON tr.actor_id = t.actor_id
    JOIN network.actors ta ON ta.actor_id = t.actor_id
"""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that somebody did; `subject_uri_id` is the track that it was done to."""

    kind: str
    uri_id: int
    subject_uri_id: int | None


def _of_tracks(rules: SqlRules) -> str:
    return f"""
    SELECT 'track' AS kind, x.uri_id, NULL::bigint AS subject_uri_id, x.sort_at, x.uri
    FROM network.tracks x
    JOIN network.repos r ON r.actor_id = x.actor_id
    JOIN network.actors a ON a.actor_id = x.actor_id
    WHERE (x.sort_at, x.uri) < ($1, $2) AND {rules.track("x", "r", "a.did")} AND {sql_without_unwanted_tags("x")}
    """


def _of_lists(rules: SqlRules) -> str:
    # What somebody likes is told by likes.
    return f"""
    SELECT 'list', x.uri_id, NULL::bigint, x.sort_at, x.uri
    FROM network.lists x
    JOIN network.repos r ON r.actor_id = x.actor_id
    JOIN network.actors a ON a.actor_id = x.actor_id
    WHERE (x.sort_at, x.uri) < ($1, $2) AND x.purpose IS DISTINCT FROM 'liked'
        AND {rules.record("r", "a.did", "x.uri", "x.uri_id")}
    """


def _of_reactions(kind: str, condition: str, rules: SqlRules) -> str:
    return f"""
    SELECT '{kind}', x.uri_id, x.subject_uri_id, x.sort_at, named.uri
    FROM network.{kind}s x
    JOIN network.uris u ON u.uri_id = x.uri_id
    JOIN network.actors a ON a.actor_id = x.actor_id
    JOIN network.repos r ON r.actor_id = x.actor_id
    {NAMED} {_SUBJECT}
    WHERE {condition} AND x.sort_at <= $1 AND (x.sort_at, named.uri) < ($1, $2)
        AND {rules.record("r", "a.did", "named.uri", "x.uri_id")}
        AND {rules.track("t", "tr", "ta.did")} AND {sql_without_unwanted_tags("t")}
    """


_PARTS = {
    "track": _of_tracks,
    "like": lambda rules: _of_reactions("like", "x.counted", rules),
    "comment": lambda rules: _of_reactions("comment", "true", rules),
    "list": _of_lists,
}


@cache
def _statement(kinds: tuple[str, ...], of_one: bool) -> Statement:
    """Return the statement for some kinds; each kind costs a page at most."""
    whose = "AND x.actor_id = $4" if of_one else ""

    def write(rules: SqlRules) -> str:
        # The first part names the columns of all.
        parts = " UNION ALL ".join(
            f"(SELECT * FROM ({_PARTS[kind](rules)} {whose} ORDER BY 4 DESC, 5 DESC LIMIT $3)"
            " AS part (kind, uri_id, subject_uri_id, sort_at, uri))"
            for kind in kinds
        )
        return f"SELECT * FROM ({parts}) AS done ORDER BY sort_at DESC, uri DESC LIMIT $3"

    return Statement(Seen.DISCOVERY, write)


async def activity(
    connection: asyncpg.Connection,
    asker: Asker,
    kinds: Sequence[str],
    actor_id: int | None,
    limit: int,
    after: Key | None,
) -> tuple[list[Event], Key | None]:
    """Return what happened of these kinds (of all, when there is none), the latest first, and the key of the next page."""
    wanted = tuple(kind for kind in KINDS if not kinds or kind in kinds)
    arguments = (*before(after), limit + 1) if actor_id is None else (*before(after), limit + 1, actor_id)
    rows = await connection.fetch(_statement(wanted, actor_id is not None).of(asker), *arguments)
    page = rows[:limit]
    last = key_at(page[-1]["sort_at"], page[-1]["uri"]) if len(rows) > limit else None
    return [Event(row["kind"], row["uri_id"], row["subject_uri_id"]) for row in page], last
