"""Over a hundred thousand tracks: every plan goes by an index, and every way to a page leads to the same one."""

import json
import random
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from postgres import PostgresForTests
from running_appview import REPOSITORY

from appview import searches, tags
from appview.feeds.pages import Page
from appview.searches import ACTORS, FEW, LISTS, TRACKS, TRACKS_OF_ACTOR, WINDOW, Statements
from appview.viewer import ANONYMOUS, Asker, Viewer
from appview.xrpc.cursor import Key
from bench.names import names
from database.migrate import migrate
from database.search_text import query_of

TRACK_COUNT, OTHER_COUNT, ZEBRAS, DIFFERENT = 100_000, 20_000, 3_000, 2_000
_NAMED = "CREATE TEMP TABLE named (number bigint PRIMARY KEY, words text, terms tsvector, tags text[])"
_NAME = "INSERT INTO named VALUES ($1, $2, array_to_tsvector($3::text[]), ARRAY['tag ' || $1::bigint % 50])"
_STATEMENTS = (
    f"""INSERT INTO network.actors (actor_id, did) OVERRIDING SYSTEM VALUE
        SELECT n, 'did:plc:' || translate(lpad(n::text, 24, '0'), '0189', 'wxyz') FROM generate_series(1, {OTHER_COUNT}) n""",
    """INSERT INTO network.repos (actor_id, sync_status, active)
       SELECT actor_id, 'synchronized', actor_id % 40 > 0 FROM network.actors""",
    # Times have nothing to do with numbers; those beyond the hundred thousand are older than all others.
    f"""INSERT INTO network.tracks (uri_id, actor_id, uri, sort_at, created_at, title, artist, file_type, visibility, tags)
        SELECT n, 1 + n % {OTHER_COUNT // 2}, 'at://' || a.did || '/t/' || n,
            timestamptz '2026-01-01Z' + CASE WHEN n > {TRACK_COUNT} THEN -n ELSE n * 7919 % 50021 END * interval '1 s',
            '', 'title', 'artist', 'mp3', CASE WHEN n % 20 = 0 THEN 'unlisted' ELSE 'public' END, m.tags
        FROM generate_series(1, {TRACK_COUNT + ZEBRAS}) n JOIN named m ON m.number = n % {DIFFERENT}
        JOIN network.actors a ON a.actor_id = 1 + n % {OTHER_COUNT // 2}""",
    # An index is made faster than it is added to.
    "DROP INDEX network.track_search_terms_idx, network.list_search_terms_idx, network.actor_search_terms_idx",
    f"""INSERT INTO network.track_search (uri_id, sort_at, uri, words, terms)
        SELECT t.uri_id, t.sort_at, t.uri, m.words, m.terms FROM network.tracks t JOIN named m ON m.number = t.uri_id % {DIFFERENT}
        WHERE t.uri_id <= {TRACK_COUNT}""",
    f"""INSERT INTO network.track_search (uri_id, sort_at, uri, words, terms)
        SELECT uri_id, sort_at, uri, ' zebra', array_to_tsvector(ARRAY['= zebra ' || uri_id, ' ze', ' z', 'zeb', 'ebr', 'bra'])
        FROM network.tracks WHERE uri_id > {TRACK_COUNT}""",
    "INSERT INTO network.track_tags SELECT uri_id, tags[1], tags[1] FROM network.tracks",
    f"""INSERT INTO network.uris (uri_id, actor_id, path) OVERRIDING SYSTEM VALUE
        SELECT n, n, 'l' FROM generate_series(1, {OTHER_COUNT}) n""",
    f"""INSERT INTO network.list_search (uri_id, sort_at, uri, words, terms)
        SELECT u.uri_id, now() - u.uri_id * interval '1 s', 'at://' || u.uri_id, m.words, m.terms
        FROM network.uris u JOIN named m ON m.number = u.uri_id % {DIFFERENT}""",
    f"""INSERT INTO network.actor_search (actor_id, words, terms)
        SELECT a.actor_id, m.words, m.terms FROM network.actors a JOIN named m ON m.number = a.actor_id % {DIFFERENT}""",
    *(
        f"CREATE INDEX {table}_terms_idx ON network.{table} USING gin (terms) WITH (fastupdate = off)"
        for table in ("track_search", "list_search", "actor_search")
    ),
    "ANALYZE network.tracks, network.track_search, network.track_tags, network.list_search, network.actor_search, network.actors, network.repos, network.uris",
)
BIG = {"tracks", "track_search", "track_tags", "list_search", "actor_search", "actors", "repos", "uris"}
SIGNED_IN = Asker(Viewer("did:plc:x", 1, None))
SEARCHES = {"tracks": TRACKS, "of an actor": TRACKS_OF_ACTOR, "lists": LISTS, "actors": ACTORS}
STATEMENTS: dict[str, str] = {
    **{
        f"{name} {part} {asker.is_anonymous}": getattr(search.of(asker), part)
        for name, search in SEARCHES.items()
        for asker in (ANONYMOUS, SIGNED_IN)
        for part in ("find", "walk")
    },
    "tag keys": tags.KEYS,
    "tag counts": tags.COUNTS.of(ANONYMOUS),
}  # fmt: skip
# One letter, two, a word that is everywhere, several, one that is rare, one mistyped, characters, and none at all.
QUERIES = ("s", "lo", "the", "love night", "remix the", "nihgt", "夜", "夜東", "zzzq", "the zzzq")


@pytest.fixture(scope="module")
async def large(postgres: PostgresForTests) -> AsyncIterator[asyncpg.Connection]:
    url = postgres.create_database()
    await migrate(url, REPOSITORY / "migrations")
    # As the connections of the application are set.
    connection = await asyncpg.connect(url, server_settings={"random_page_cost": "1.1", "jit": "off"})
    rows = [name.row() for name in names(DIFFERENT)]
    await connection.execute(_NAMED)
    await connection.executemany(_NAME, [(number, row.words, row.terms) for number, row in enumerate(rows)])
    for statement in _STATEMENTS:
        await connection.execute(statement)
    yield connection
    await connection.close()
    postgres.drop_database(url)


def _scanned(plan: Any) -> set[str]:
    """Return the large tables that a plan reads from end to end, and those whose index it reads so."""
    found = set()
    whole_index = plan["Node Type"] in ("Index Scan", "Index Only Scan") and not (
        {"Index Cond", "Order By"} & plan.keys()
    )
    if plan["Node Type"] == "Seq Scan" or (whole_index and plan.get("Index Name", "").endswith("_pkey")):
        found.add(plan["Relation Name"])
    for below in plan.get("Plans", []):
        found |= _scanned(below)
    return found & BIG


@pytest.mark.parametrize("name", STATEMENTS)
async def test_the_plan_that_is_kept_goes_by_an_index(large: asyncpg.Connection, name: str) -> None:
    """Asyncpg prepares every statement, so Postgres makes a plan that knows no parameter, and keeps it."""
    statement = STATEMENTS[name]
    count = next(number for number in range(20, 0, -1) if f"${number}" in statement)
    await large.execute(f"SET plan_cache_mode = force_generic_plan; PREPARE asked AS {statement}")
    try:
        answer = await large.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE asked({', '.join(['NULL'] * count)})")
    finally:
        await large.execute("DEALLOCATE asked; RESET plan_cache_mode")
    assert _scanned(json.loads(answer)[0]["Plan"]) == set(), answer


@pytest.mark.parametrize("kind", ["tracks", "of an actor", "lists", "actors"])
async def test_the_plan_for_a_known_question_goes_by_an_index_too(large: asyncpg.Connection, kind: str) -> None:
    """As behind a pooler, where nothing is prepared."""
    for q in QUERIES:
        query = query_of(q)
        assert query is not None
        search = searches._Question(large, _of(kind), query, None, 7)
        for part in ("find", "walk"):
            for tier, asked in enumerate(search._tiers):
                explained = f"EXPLAIN (FORMAT JSON) {getattr(_of(kind), part)}"
                [row] = await search._fetch(explained, None, 50, tier, asked, tier)
                assert _scanned(json.loads(row[0])[0]["Plan"]) == set(), row[0]


async def test_a_plan_is_made_once_and_kept(large: asyncpg.Connection) -> None:
    for _ in range(12):
        for q in QUERIES:
            await _tracks(large, q, None)
    for statement in (TRACKS.of(ANONYMOUS).find, TRACKS.of(ANONYMOUS).walk):
        kept = await large.fetchval("SELECT generic_plans FROM pg_prepared_statements WHERE statement = $1", statement)
        assert kept > 0


def _of(kind: str) -> Statements:
    return SEARCHES[kind].of(ANONYMOUS)


async def _tracks(connection: asyncpg.Connection, q: str, after: Key | None, limit: int = 50, **chosen: Any) -> Page:
    query = query_of(q)
    assert query is not None
    return await searches.tracks(connection, ANONYMOUS, query, limit, after, **chosen)


async def _everything(connection: asyncpg.Connection, q: str, actor_id: int | None = None) -> list[tuple[Key, int]]:
    """Return all that is found, by looking at every row there is."""
    query = query_of(q)
    assert query is not None
    kind = (TRACKS if actor_id is None else TRACKS_OF_ACTOR).kinds[True]
    search = searches._Question(connection, TRACKS.of(ANONYMOUS), query, None, actor_id)
    rows = await search._fetch(
        f"""{searches._ASKED.format(place=kind.place)} SELECT * FROM (
                SELECT s.number, s.place, s.uri, CASE {searches._TIER} END AS tier FROM ({kind.rows}) s
            ) s WHERE tier IS NOT NULL AND EXISTS (SELECT FROM {kind.shown})
            ORDER BY tier, {kind.order}""",
        None, 0, 0, None, 0,
    )  # fmt: skip
    return [(search._key(row), row["number"]) for row in rows]


@pytest.mark.parametrize("q", QUERIES)
@pytest.mark.parametrize("actor_id", [None, 7])
async def test_every_page_is_what_looking_at_everything_gives(
    large: asyncpg.Connection, q: str, actor_id: int | None
) -> None:
    expected = await _everything(large, q, actor_id)
    chosen = {} if actor_id is None else {"actor_id": actor_id}
    chance = random.Random(q)
    tiers = [key.number >> 59 for key, _ in expected]
    # From the start, from anywhere, around where one tier ends and the next begins, and near the end.
    places = {-1, len(expected) - 1, len(expected) - 2, *(chance.randrange(len(expected) or 1) for _ in range(5))}
    places |= {
        index + move for index in range(1, len(tiers)) if tiers[index] != tiers[index - 1] for move in (-2, -1, 0)
    }
    for place in sorted(each for each in places if -1 <= each < len(expected)):
        found, after = list[int](), None if place < 0 else expected[place][0]
        while True:
            page = await _tracks(large, q, after, 50, **chosen)
            found += page.uri_ids
            after = page.last
            if after is None or page.uri_ids:
                break
        assert found == [number for _, number in expected[place + 1 : place + 1 + len(found)]]
        assert len(found) == min(50, len(expected) - place - 1) or (page.last is not None and found)


async def test_both_ways_were_gone(large: asyncpg.Connection) -> None:
    """Else the test above would prove little."""
    counts = {}
    for q in QUERIES:
        query = query_of(q)
        assert query is not None
        counts[q] = await large.fetchval("SELECT count(*) FROM network.track_search WHERE terms @@ $1::tsquery", query.words)  # fmt: skip
    assert {count > FEW for count in counts.values()} == {True, False}
    assert counts["the"] > FEW
    assert counts["nihgt"] == 0


async def test_a_page_ends_where_enough_was_looked_at_in_vain_and_the_next_goes_on_there(
    large: asyncpg.Connection,
) -> None:
    expected = [number for _, number in await _everything(large, "zebra")]
    assert len(expected) > FEW
    found, sizes, after = list[int](), list[int](), None
    while True:
        page = await _tracks(large, "zebra", after, 100)
        found += page.uri_ids
        sizes.append(len(page.uri_ids))
        after = page.last
        if after is None:
            break
    assert found == expected
    # Three windows for a request, and more than that before the first that is found: one page is empty, and no other.
    assert 3 * WINDOW < TRACK_COUNT * 0.95 < 6 * WINDOW
    assert [number for number, size in enumerate(sizes) if size == 0] == [0]


async def test_counting_tags_ends_at_its_bound(large: asyncpg.Connection) -> None:
    found, last = await tags.tags(large, ANONYMOUS, "tag 1", 100, None)
    assert [tag.tag for tag in found] == ["tag 1", *(f"tag {number}" for number in range(10, 20))]
    assert {tag.track_count for tag in found} == {tags.COUNTED}
    assert last is None
