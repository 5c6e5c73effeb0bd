"""Rebuild projections and counters from the records that are kept, without the network.

For a change of a projection or a lexicon: every record's own bytes are read again by the present rules, so rejected ones may
become accepted and the reverse. Runs only while no indexer does; each slice is one transaction, and doing it twice
changes nothing more.
"""

from collections.abc import Callable, Collection
from datetime import UTC, datetime

import asyncpg

from indexer import search_rows
from indexer.record_rows import Outcome, apply_outcomes
from indexer.records import RecordReader

SLICE = 1000

_COUNT = """
    SELECT count(*) FROM network.records r JOIN network.uris u USING (uri_id)
    WHERE r.raw IS NOT NULL AND split_part(u.path, '/', 1) = ANY($1::text[])
"""
_NEXT = """
    SELECT r.uri_id, a.did, u.actor_id, u.path, r.rev, r.cid, r.raw
    FROM network.records r JOIN network.uris u USING (uri_id) JOIN network.actors a USING (actor_id)
    WHERE r.uri_id > $1 AND r.raw IS NOT NULL AND split_part(u.path, '/', 1) = ANY($2::text[])
    ORDER BY r.uri_id
    LIMIT $3
"""


async def reindex(
    pool: asyncpg.Pool,
    reader: RecordReader,
    collections: Collection[str] | None,
    on_progress: Callable[[int, int], None],
) -> int:
    """Read all records of these collections again (None: of all), and return how many that were.

    `on_progress` is called with (done, total). Raises ValueError for a collection that is not indexed.
    """
    known = reader.reread_collections
    wanted = sorted(known if collections is None else collections)
    if unknown := [name for name in wanted if name not in known]:
        raise ValueError(
            f"no collection of which records are kept: {', '.join(unknown)} (there are {', '.join(sorted(known))})"
        )
    done = last = 0
    async with pool.acquire() as connection:
        total = await connection.fetchval(_COUNT, wanted)
        while True:
            async with connection.transaction():
                rows = await connection.fetch(_NEXT, last, wanted, SLICE)
                if not rows:
                    break
                actors = {row["did"]: row["actor_id"] for row in rows}
                outcomes = [
                    Outcome(
                        row["did"],
                        row["path"],
                        row["rev"],
                        row["cid"],
                        row["raw"],
                        reader.read(row["path"], row["raw"]),
                    )
                    for row in rows
                ]
                await apply_outcomes(connection, outcomes, actors, datetime.now(UTC))
            last = rows[-1]["uri_id"]
            done += len(rows)
            on_progress(done, total)
        # Those without a profile have a handle.
        actors_after = 0
        while numbers := await search_rows.next_actors(connection, actors_after, SLICE):
            async with connection.transaction():
                await search_rows.refresh_actors(connection, numbers)
            actors_after = numbers[-1]
    return done
