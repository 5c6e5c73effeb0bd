"""The same stream gives the same tables, whenever batches are written, repairs are done and processes die."""

import asyncio
import os
from collections import Counter
from typing import Any

import asyncpg
import world
from harness import harness
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stories import KEYS, TABLES, Story, step
from table_hash import TableContent, read_tables

EXAMPLES = int(os.environ.get("PLYR_MODEL_EXAMPLES") or (60 if os.environ.get("CI") == "true" else 20))
WORK = ("write", "mend", "restart")
# What is done after each event of the stream: nothing, or some of the work, in this order.
schedule = st.lists(st.lists(st.sampled_from(WORK), max_size=3), min_size=50, max_size=50)


def rows_of(content: TableContent) -> list[dict[str, str | None]]:
    """The rows of a table; without commits, which are signed anew, and differently, in every world."""
    rows = [dict(zip(content.columns, row, strict=True)) for row in content.rows]
    return [{name: value for name, value in row.items() if name != "commit_cid"} for row in rows]


def test_the_same_stream_gives_the_same_tables_whenever_the_work_is_done(database_url: str) -> None:
    compared: Counter[str] = Counter()
    with asyncio.Runner() as runner:
        context = harness(database_url, world.World())
        indexer = runner.run(context.__aenter__())
        admin = runner.run(asyncpg.connect(database_url))

        async def told(steps: list[tuple[Any, ...]], work: list[list[str]]) -> dict[str, TableContent]:
            await admin.execute(f"TRUNCATE {', '.join('network.' + name for name in TABLES.split(', '))}")
            indexer.world = indexer.server.world = world.World(1)
            await indexer.load()
            story = Story(indexer)
            story.accounts = [indexer.world.account(pds=indexer.server.url) for _ in range(4)]
            for number, account in enumerate(story.accounts):
                account.commit([])
                await story.tell("commit", number, [("track", KEYS[0], {})])
            await indexer.settle()
            for (kind, *parts), to_do in zip(steps, work, strict=False):
                await story.tell(kind, *parts)
                for each in to_do:
                    await story.tell(each)
            await story.end()
            return await read_tables(admin)

        async def compare(steps: list[tuple[Any, ...]], one: list[list[str]], other: list[list[str]]) -> None:
            first, second = await told(steps, one), await told(steps, other)
            for name, content in first.items():
                assert rows_of(second[name]) == rows_of(content), name
                compared[name] += len(content.rows)

        @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.lists(step.filter(lambda each: each[0] not in WORK), min_size=10, max_size=40), schedule, schedule)
        def schedules(steps: list[tuple[Any, ...]], one: list[list[str]], other: list[list[str]]) -> None:
            runner.run(compare(steps, one, other))

        try:
            schedules()
        finally:
            runner.run(admin.close())
            runner.run(context.__aexit__(None, None, None))
    for name in ("repos", "records", "tracks", "likes", "comments", "track_counters"):
        assert compared[f"network.{name}"] > 0, f"no row of {name} was ever compared"
