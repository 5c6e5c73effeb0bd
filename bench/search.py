"""What a search among a hundred thousand tracks costs: by our terms, by pg_trgm, and by looking at every row.

The three are asked in turns, over one connection to the embedded Postgres. What is measured is the skeleton, which is all that
differs from other lists; only ours leaves out what is hidden. An index is built over rows that are there, and added to a row at a time.
"""

import asyncio
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg

from appview import searches
from appview.viewer import ANONYMOUS
from bench import names
from bench.names import Name
from database.embedded import EmbeddedPostgres
from database.migrate import migrate
from database.search_text import SearchQuery, normalize, query_of

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 50
ROUNDS = 15
SEQUENTIAL_ROUNDS = 3
INSERTED = 500
ASKED = {
    "one letter": "s",
    "two letters": "lo",
    "common word": "love",
    "two common words": "love night",
    "rare word": None,
    "rare word mistyped": None,
    "one character": "夜",
    "two characters": "夜東",
    "nothing": "zzyzx",
}
_TRIGRAMS = """
    SELECT uri_id FROM (
        SELECT uri_id, sort_at, CASE WHEN title = $1 THEN 0 WHEN title LIKE $2 THEN 1 WHEN words LIKE $3 THEN 2
            WHEN words LIKE $4 THEN 3 ELSE 4 END AS tier, word_similarity($1, words) AS likeness
        FROM bench.trigrams WHERE {}
    ) found ORDER BY tier, likeness DESC, sort_at DESC LIMIT 50
"""
# What has no trigram is only found at the beginning of a title.
_LONG, _SHORT = _TRIGRAMS.format("words LIKE $4 OR $1 <% words"), _TRIGRAMS.format("title LIKE $2")
_INDEXES = {
    "terms": "CREATE INDEX ON bench.terms USING gin (terms) WITH (fastupdate = off)",
    "pending": "CREATE INDEX ON bench.pending USING gin (terms) WITH (fastupdate = on)",
    "arrays": "CREATE INDEX ON bench.arrays USING gin (terms) WITH (fastupdate = off)",
    "trigrams": "CREATE INDEX ON bench.trigrams USING gin (words gin_trgm_ops) WITH (fastupdate = off)",
}
_COPIES = (
    "CREATE SCHEMA bench",
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    "CREATE TABLE bench.terms AS SELECT uri_id, words, terms FROM network.track_search",
    "CREATE TABLE bench.pending AS SELECT uri_id, words, terms FROM network.track_search",
    "CREATE TABLE bench.arrays AS SELECT uri_id, words, tsvector_to_array(terms) AS terms FROM network.track_search",
    """CREATE TABLE bench.trigrams AS
       SELECT uri_id, sort_at, ltrim(split_part(words, E'\\n', 1)) AS title, words FROM network.track_search""",
    "CREATE INDEX ON bench.trigrams (title text_pattern_ops)",
)

Ask = Callable[[], Awaitable[Any]]


@contextmanager
def _postgres() -> Iterator[str]:
    root = Path(tempfile.mkdtemp(prefix="plyr-bench-"))
    root.chmod(0o755)
    postgres = EmbeddedPostgres(root, binaries_cache=Path(tempfile.gettempdir()) / f"plyr-test-binaries-{os.geteuid()}")
    try:
        yield postgres.start()
    finally:
        postgres.stop()
        shutil.rmtree(root, ignore_errors=True)


def search() -> dict[str, Any]:
    """Measure sizes, the making of indexes, and every kind of question."""
    with _postgres() as url:
        return asyncio.run(_search(url))


async def _search(url: str) -> dict[str, Any]:
    await migrate(url, ROOT / "migrations")
    connection = await asyncpg.connect(url)
    made = names.names()
    begun = time.perf_counter()
    rows = [name.row() for name in made[:5000]]
    figures: dict[str, Any] = {
        "tracks": len(made),
        "terms_of_a_track": round(statistics.mean(len(row.terms) for row in rows)),
        "python_us_for_each_track": round((time.perf_counter() - begun) / 5000 * 1e6),
    }
    await names.fill(connection, made)
    # Built over what is there, as the migration does; a row is added to the finished index below.
    await connection.execute("DROP INDEX network.track_search_terms_idx")
    await names.fill_search(connection, made)
    await connection.execute(
        "CREATE INDEX track_search_terms_idx ON network.track_search USING gin (terms) WITH (fastupdate = off)"
    )
    for statement in _COPIES:
        await connection.execute(statement)
    figures |= await _sizes(connection)
    await connection.execute("VACUUM ANALYZE")
    return figures | await _times(connection, made)


async def _sizes(connection: asyncpg.Connection) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for table, statement in _INDEXES.items():
        begun = time.perf_counter()
        await connection.execute(statement)
        figures[f"{table}_build_seconds"] = round(time.perf_counter() - begun, 2)
        heap, index = await connection.fetchrow(
            "SELECT pg_table_size($1::regclass) / 1e6, pg_indexes_size($1::regclass) / 1e6", f"bench.{table}"
        )
        figures[f"{table}_heap_mb"], figures[f"{table}_index_mb"] = round(heap), round(index)
        copy = f"INSERT INTO bench.{table} SELECT * FROM bench.{table} WHERE ctid = $1::text::tid"
        begun = time.perf_counter()
        async with connection.transaction():
            for number in range(1, INSERTED + 1):
                await connection.execute(copy, f"({number},1)")
        figures[f"{table}_insert_us"] = round((time.perf_counter() - begun) / INSERTED * 1e6)
    return figures


async def _times(connection: asyncpg.Connection, made: list[Name]) -> dict[str, Any]:
    counts: dict[str, int] = {}
    for name in made:
        for word in set(normalize(name.title).split()):
            counts[word] = counts.get(word, 0) + 1
    rare = next(word for word, count in sorted(counts.items()) if count == 3 and 7 <= len(word) <= 9 and word.isascii())
    asked = {**ASKED, "rare word": rare, "rare word mistyped": f"{rare[:3]}{rare[4]}{rare[3]}{rare[5:]}"}
    figures: dict[str, Any] = {}
    for kind, text in asked.items():
        query = query_of(str(text))
        assert query is not None
        ways: dict[str, Ask] = {
            "terms": partial(searches.tracks, connection, ANONYMOUS, query, LIMIT, None),
            "trigrams": partial(_trigrams, connection, normalize(str(text))),
            "sequential": partial(_sequential, connection, query),
        }
        taken: dict[str, list[float]] = {way: [] for way in ways}
        for number in range(ROUNDS):
            for way, ask in ways.items():
                if way == "sequential" and number >= SEQUENTIAL_ROUNDS:
                    continue
                begun = time.perf_counter()
                await ask()
                taken[way].append(time.perf_counter() - begun)
        medians = {way: statistics.median(times[len(times) // 3 :]) * 1000 for way, times in taken.items()}
        figures |= {f"{kind}: {way}_ms": round(median, 2) for way, median in medians.items()}
        figures[f"{kind}: ratio_to_trigrams"] = round(medians["terms"] / medians["trigrams"], 3)
        figures[f"{kind}: ratio_to_sequential"] = round(medians["terms"] / medians["sequential"], 4)
    return figures


async def _trigrams(connection: asyncpg.Connection, text: str) -> None:
    """Find by pg_trgm, with a plan made for the text: one that is kept would not go by its index."""
    statement = _SHORT if len(text.replace(" ", "")) < 3 else _LONG
    await connection.execute("SET plan_cache_mode = force_custom_plan")
    await connection.fetch(statement, text, f"{text}%", f"% {text}%", f"%{text}%")
    await connection.execute("RESET plan_cache_mode")


async def _sequential(connection: asyncpg.Connection, query: SearchQuery) -> None:
    """Find the same by looking at every row."""
    await connection.fetch(
        """SELECT uri_id FROM (
               SELECT uri_id, sort_at, uri, CASE WHEN terms @@ $1 THEN 0 WHEN terms @@ $2 THEN 1
                   WHEN terms @@ $3 AND words LIKE ALL ($6::text[]) THEN 2
                   WHEN terms @@ $4 AND words LIKE ALL ($7::text[]) THEN 3 WHEN terms @@ $5 THEN 4 END AS tier
               FROM network.track_search
           ) s WHERE tier IS NOT NULL ORDER BY tier, sort_at DESC, uri DESC LIMIT 50""",
        query.exact, query.prefix, query.words, query.within, query.fuzzy, query.words_like, query.within_like,
    )  # fmt: skip
