"""What an operator imported is laid over the rows that records made, where the records are silent."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
import world
from harness import Harness, harness, publish, synchronized, track

KEY = "3mbd3542kzc22"
PATH = f"fm.plyr.track/{KEY}"


@pytest.fixture
async def indexer(database_url: str) -> AsyncIterator[Harness]:
    async with harness(database_url, world.World(44)) as made:
        yield made


async def _import(database_url: str, uri: str, visibility: str | None, tags: list[str] | None) -> None:
    statement = """INSERT INTO plyr.track_overlays (uri, visibility, tags) VALUES ($1, $2, $3)
        ON CONFLICT (uri) DO UPDATE SET visibility = excluded.visibility, tags = excluded.tags, imported_at = clock_timestamp()"""
    owner = await asyncpg.connect(database_url)
    await owner.execute(statement, uri, visibility, tags)
    await owner.close()


async def _told(indexer: Harness) -> list[tuple[str, list[str]]]:
    rows = await indexer.rows("SELECT visibility, tags FROM network.tracks WHERE uri LIKE '%/' || $1", KEY)
    return [(row[0], row[1]) for row in rows]


async def test_an_overlay_that_is_there_first_is_laid_over_what_comes(indexer: Harness, database_url: str) -> None:
    account = await synchronized(indexer)
    await _import(database_url, f"at://{account.did}/{PATH}", "unlisted", ["old"])
    indexer.feed(publish(indexer, account, ("create", PATH, track())))
    await indexer.settle()
    assert await _told(indexer) == [("unlisted", ["old"])]


async def test_a_record_with_a_zero_character_does_not_stop_the_writer(indexer: Harness, database_url: str) -> None:
    account = await synchronized(indexer)
    await _import(database_url, f"at://{account.did}/{PATH}", "unlisted", ["old"])
    for tags, expected in ((None, ["old"]), (["new"], ["new"])):
        record = track(description="a\0b and \\u0000", **({} if tags is None else {"tags": tags}))
        indexer.feed(publish(indexer, account, ("create" if tags is None else "update", PATH, record)))
        await indexer.settle()
        assert await _told(indexer) == [("unlisted", expected)]


async def test_an_import_is_taken_up_by_a_running_indexer(indexer: Harness, database_url: str) -> None:
    account = await synchronized(indexer, ("create", PATH, track()))
    uri = f"at://{account.did}/{PATH}"
    for visibility, tags, expected in (
        ("unlisted", ["old"], ("unlisted", ["old"])),
        ("public", None, ("public", [])),
        (None, ["x"], ("public", ["x"])),
    ):
        await _import(database_url, uri, visibility, tags)
        await indexer.requests.take()
        await indexer.settle()
        assert await _told(indexer) == [expected]


async def test_what_a_record_says_itself_is_believed(indexer: Harness, database_url: str) -> None:
    account = await synchronized(indexer)
    await _import(database_url, f"at://{account.did}/{PATH}", "unlisted", ["old"])
    indexer.feed(publish(indexer, account, ("create", PATH, track(visibility="public", tags=["new"]))))
    await indexer.settle()
    assert await _told(indexer) == [("public", ["new"])]
    indexer.feed(publish(indexer, account, ("update", PATH, track())))
    await indexer.settle()
    assert await _told(indexer) == [("unlisted", ["old"])]
