"""The SQL of network.records, and what a change of records does to projections, counters and totals.

All within the caller's transaction. A record keeps when it was first indexed, through updates, deletion and return.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import orjson

from indexer import media_rows, overlays, projections, search_rows
from indexer.collections.projection import Comment, Like, Track
from indexer.counters import CounterChange, Pair, move_totals, set_hot_scores
from indexer.interning import actor_ids, known_uri_ids, uri_ids
from indexer.media_rows import NO_WISHES, MediaWishes
from indexer.records import Reading

_EXISTING = "SELECT uri_id, verdict, sort_at FROM network.records WHERE uri_id = ANY($1::bigint[])"
_UPSERT = """
    INSERT INTO network.records (uri_id, rev, cid, raw, json, verdict, problems, indexed_at, sort_at)
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::bytea[], $4::bytea[], $5::json[], $6::text[], $7::json[], $8::timestamptz[], $9::timestamptz[])
    ON CONFLICT (uri_id) DO UPDATE SET
        rev = excluded.rev, cid = excluded.cid, raw = excluded.raw, json = excluded.json, verdict = excluded.verdict, problems = excluded.problems
"""
_LIVE_OF_ACTOR = """
    SELECT u.path, r.cid FROM network.uris u JOIN network.records r USING (uri_id)
    WHERE u.actor_id = $1 AND r.cid IS NOT NULL
"""
_NUMBERS_OF_ACTOR = (
    "SELECT r.uri_id, u.path, r.verdict FROM network.uris u JOIN network.records r USING (uri_id) WHERE u.actor_id = $1"
)
_DELETE_RECORDS = "DELETE FROM network.records WHERE uri_id = ANY($1::bigint[])"
SHOWN = ("accepted", "flagged")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one path is to become: a record with its reading, or deleted (both None).

    `was_written` says that the same batch wrote it before: a deletion then leaves a tombstone, as it would in two.
    """

    did: str
    path: str
    rev: str
    cid: bytes | None
    raw: bytes | None
    reading: Reading | None
    was_written: bool = False


async def apply_outcomes(
    connection: asyncpg.Connection,
    outcomes: Sequence[Outcome],
    actors: Mapping[str, int],
    now: datetime,
    wishes: MediaWishes = NO_WISHES,
) -> None:
    """Make the tables say what these outcomes (one for each path) say; `actors` numbers their accounts.

    What is to be done about their blobs is asked for as `wishes` say.
    """
    if not outcomes:
        return
    shown_now = [outcome.reading.projection for outcome in outcomes if outcome.reading and outcome.reading.projection]
    named = {subject.did for projection in shown_now for subject in projections.subjects_of(projection)}
    named |= {did for projection in shown_now for did in projections.credits_of(projection)}
    everybody = dict(actors) | await actor_ids(connection, named - actors.keys())
    subject_paths = {
        (everybody[subject.did], subject.path)
        for projection in shown_now
        for subject in projections.subjects_of(projection)
    }
    own = {(actors[outcome.did], outcome.path): outcome for outcome in outcomes}
    # A deletion of what was never here needs no number and leaves no trace.
    numbers = await known_uri_ids(connection, own.keys())
    written = {path for path, outcome in own.items() if outcome.cid is not None or outcome.was_written}
    numbers |= await uri_ids(connection, (written - numbers.keys()) | subject_paths)
    existing = {
        row["uri_id"]: row
        for row in await connection.fetch(_EXISTING, [numbers[path] for path in own if path in numbers])
    }

    rows: list[tuple[object, ...]] = []
    shown: list[projections.Shown] = []
    accepted: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    cleared: dict[str, list[int]] = {}
    for path, outcome in own.items():
        uri_id = numbers.get(path)
        old = existing.get(uri_id) if uri_id is not None else None
        if uri_id is None or (old is None and outcome.cid is None and not outcome.was_written):
            continue
        collection = outcome.path.partition("/")[0]
        reading = outcome.reading
        created_at = reading.created_at if reading else None
        sort_at = old["sort_at"] if old else min(created_at, now) if created_at else now
        verdict = reading.verdict if reading else "deleted"
        problems = (
            orjson.dumps([{"path": p.path, "rule": p.rule, "message": p.message} for p in reading.problems]).decode()
            if reading and reading.problems
            else None
        )
        rows.append(
            (
                uri_id,
                outcome.rev,
                outcome.cid,
                outcome.raw if reading is None or reading.keeps_raw else None,
                reading.json if reading else None,
                verdict,
                problems,
                now,
                sort_at,
            )
        )
        for counter, verdicts in ((accepted, SHOWN), (rejected, ("rejected",))):
            counter[collection] += (verdict in verdicts) - (old is not None and old["verdict"] in verdicts)
        if old and old["verdict"] in SHOWN:
            cleared.setdefault(collection.rpartition(".")[2], []).append(uri_id)
        if reading and reading.projection:
            shown.append(
                projections.Shown(uri_id, path[0], f"at://{outcome.did}/{outcome.path}", sort_at, reading.projection)
            )
    pairs: list[Pair] = [
        (each.actor_id, numbers[everybody[like.subject.did], like.subject.path])
        for each in shown
        if isinstance(like := each.projection, Like)
    ]

    counters = CounterChange(connection)
    await counters.before(cleared.get("like", []), pairs, cleared.get("comment", []))
    if rows:
        await connection.execute(_UPSERT, *(list(column) for column in zip(*rows, strict=True)))
    all_cleared = [uri_id for some in cleared.values() for uri_id in some]
    if all_cleared:
        await projections.delete_rows(connection, all_cleared)
    await projections.insert_rows(connection, shown, everybody, numbers)
    await media_rows.want(connection, (each.projection for each in shown), wishes)
    tracks = [each.uri_id for each in shown if isinstance(each.projection, Track)]
    await overlays.apply_to(connection, tracks)
    await search_rows.refresh_actors(connection, sorted({actor_id for actor_id, path in own if _is_profile(path)}))
    await counters.after([each.uri_id for each in shown if isinstance(each.projection, Comment)])
    await set_hot_scores(connection, tracks)
    await move_totals(connection, accepted, rejected)


async def live_paths(connection: asyncpg.Connection, actor_id: int) -> dict[str, bytes]:
    """Return the CIDs by path of all records of an account that are not deleted, rejected ones among them."""
    return {row["path"]: row["cid"] for row in await connection.fetch(_LIVE_OF_ACTOR, actor_id)}


async def purge(connection: asyncpg.Connection, actor_id: int) -> None:
    """Remove all records of an account and everything projected from them, tombstones included."""
    rows = await connection.fetch(_NUMBERS_OF_ACTOR, actor_id)
    numbers = [row["uri_id"] for row in rows]
    accepted: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    for row in rows:
        collection = row["path"].partition("/")[0]
        accepted[collection] -= row["verdict"] in SHOWN
        rejected[collection] -= row["verdict"] == "rejected"
    by_name = {
        name: [row["uri_id"] for row in rows if row["path"].partition("/")[0].endswith(f".{name}")]
        for name in ("like", "comment")
    }
    counters = CounterChange(connection)
    await counters.before(by_name["like"], (), by_name["comment"])
    await projections.delete_rows(connection, numbers)
    await search_rows.refresh_actors(connection, [actor_id])
    await connection.execute(_DELETE_RECORDS, numbers)
    await counters.after([])
    await move_totals(connection, accepted, rejected)


def _is_profile(path: str) -> bool:
    """Tell whether a record may say what an account is called."""
    return path.partition("/")[0].endswith(".profile")
