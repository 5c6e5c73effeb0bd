"""Of the labels about one thing the latest holds, whatever the order and however often they come."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import asyncpg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atprotocol.cid import cid_of
from atprotocol.labels import Label
from atprotocol.syntax.datetime import LATEST
from atprotocol.syntax.did import DID
from database.connect import create_pool
from indexer import label_rows
from indexer.label_rows import LabelRows
from indexer.label_scope import Key, key_of, precedence
from indexer.label_takedowns import LabelTakedowns

SOURCE = DID("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")
ACCOUNT = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
START = datetime(2026, 1, 1, tzinfo=UTC)
ROWS = (
    "SELECT uri, val, cid, negated, created_at, sort_at, expires_at FROM network.labels WHERE src = $1 ORDER BY 1, 2, 3"
)


def _label(uri: str, cid: bytes | None, negated: bool, minute: int, zone: str, expires_at: datetime | None) -> Label:
    instant = START + timedelta(minutes=minute)
    text = f"{instant:%Y-%m-%dT%H:%M:%S}{zone}"
    version = None if cid is None else cid_of(cid)
    return Label(SOURCE, uri, version, "!takedown", negated, text, instant, expires_at, 1, b"")


labels = st.lists(
    st.builds(
        _label,
        st.sampled_from([ACCOUNT, "at://did:web:a.test/fm.plyr.track/3jzfcijpj2z2a"]),
        st.sampled_from([None, None, b"one"]),
        st.booleans(),
        st.integers(0, 2),
        # One instant may be written in more than one way.
        st.sampled_from(["Z", "+00:00", ".0Z"]),
        st.sampled_from([None, START, START + timedelta(days=1), LATEST]),
    ),
    min_size=1,
    max_size=8,
)


@given(labels)
@settings(max_examples=200, deadline=None)
def test_the_order_of_labels_is_total(said: list[Label]) -> None:
    ordered = sorted(said, key=precedence)
    for lower, higher in pairwise(ordered):
        same = (lower.negated, lower.created_at, lower.instant, lower.expires_at) == (
            higher.negated,
            higher.created_at,
            higher.instant,
            higher.expires_at,
        )
        assert (precedence(lower) == precedence(higher)) is same


async def _stored(pool: asyncpg.Pool, batches: list[list[Label]]) -> tuple[list[tuple[Any, ...]], LabelTakedowns]:
    """Store batches one after the other; return the rows, and what was learned of takedowns meanwhile."""
    await pool.execute("TRUNCATE network.labels, network.label_cursors")
    async with pool.acquire() as connection:
        await label_rows.begin(connection, [SOURCE])
    takedowns = LabelTakedowns([SOURCE])
    rows = LabelRows(pool, SOURCE, takedowns)
    for seq, batch in enumerate(batches, await rows.load() + 1):
        await rows.store(batch, seq)
    return [tuple(row) for row in await pool.fetch(ROWS, SOURCE)], takedowns


async def _check(pool: asyncpg.Pool, said: list[Label], batches: list[list[Label]]) -> None:
    expected: dict[Key, Label] = {}
    for label in sorted(said, key=precedence):
        expected[key_of(label)] = label
    one, _ = await _stored(pool, [said])
    other, learned = await _stored(pool, batches)
    assert one == other
    assert {(uri, val, cid): (negated, at) for uri, val, cid, negated, at, *_ in one} == {
        key: (label.negated, label.created_at) for key, label in expected.items()
    }
    loaded = LabelTakedowns([SOURCE])
    async with pool.acquire() as connection:
        await loaded.load(connection)
    about = expected.get((ACCOUNT, "!takedown", b""))
    for now in (START - timedelta(1), START, START + timedelta(hours=1), START + timedelta(days=400)):
        holds = about is not None and not about.negated and (about.expires_at is None or about.expires_at > now)
        assert learned.holds(ACCOUNT, now) is loaded.holds(ACCOUNT, now) is holds


def test_any_order_and_any_repetition_ends_with_the_same_rows(database_url: str) -> None:
    with asyncio.Runner() as runner:
        pool = runner.run(create_pool(database_url, role="plyr_indexer", maximum=2))

        @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
        @given(labels, st.data())
        def told_in_any_order(said: list[Label], data: st.DataObject) -> None:
            again = data.draw(st.permutations(said + data.draw(st.lists(st.sampled_from(said), max_size=4))))
            size = data.draw(st.integers(1, 5))
            batches = [list(again[start : start + size]) for start in range(0, len(again), size)]
            runner.run(_check(pool, said, batches))

        try:
            told_in_any_order()
        finally:
            runner.run(pool.close())
