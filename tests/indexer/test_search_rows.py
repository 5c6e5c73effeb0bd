"""What search asks follows from what is shown: whatever happened, its rows are those that the other rows call for."""

from pathlib import Path
from typing import Any

import asyncpg
import world
from alembic import command
from harness import Harness, harness, playlist, publish, synchronized, track
from postgres import PostgresForTests
from search_rows import expected_search, stored_search

from database.engine import create_engine
from database.migrate import alembic_config, migrate
from indexer.reindex import reindex

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"
ONE, TWO = "fm.plyr.track/3mbd3542kzc22", "fm.plyr.track/3mbd3542kzc23"
LIST = "fm.plyr.list/3mbd3542kzc22"
OWN, BLUESKY = "fm.plyr.actor.profile/self", "app.bsky.actor.profile/self"


async def _words(indexer: Harness, kind: str) -> list[str]:
    found = [words for (words,) in await indexer.rows(f"SELECT words FROM network.{kind}_search")]
    assert await stored_search(indexer.pool) == await expected_search(indexer.pool)
    return sorted(found)


def _own(name: str) -> dict[str, Any]:
    return {"$type": "fm.plyr.actor.profile", "displayName": name, "createdAt": "2026-01-01T00:00:00Z"}


async def test_a_track_and_a_list_are_found_as_long_as_they_are_there(database_url: str) -> None:
    async with harness(database_url, world.World(1)) as indexer:
        account = await synchronized(
            indexer,
            ("create", ONE, track("Löve\0", artist="Somebody", album="Album", tags=["Drum & Bass", "drum&bass", " "])),
            ("create", TWO, track("\u200b", artist=" ")),
        )
        indexer.feed(publish(indexer, account, ("create", LIST, playlist([(account, ONE)], name="Mix", listType="album"))))  # fmt: skip
        await indexer.settle()
        assert await _words(indexer, "track") == [" love\n somebody\n album\n drum bass\n drum bass\n drumbass"]
        assert await indexer.rows("SELECT tag_key, tag FROM network.track_tags") == [("drum bass", "Drum & Bass")]
        assert await _words(indexer, "list") == [" mix"]
        indexer.feed(publish(indexer, account, ("update", ONE, track("Hate", artist="Me")), ("delete", LIST, None)))
        await indexer.settle()
        assert await _words(indexer, "track") == [" hate\n me"]
        assert await _words(indexer, "list") == []
        assert await indexer.rows("SELECT * FROM network.track_tags") == []


async def test_an_account_is_found_by_the_names_that_it_has_now(database_url: str) -> None:
    async with harness(database_url, world.World(1)) as indexer:
        account = await synchronized(indexer, ("create", ONE, track("One")))
        assert await _words(indexer, "actor") == []
        await indexer.verify_handles()
        handle = indexer.repos.by_did[account.did].handle
        assert handle is not None
        [words] = await _words(indexer, "actor")
        assert words.startswith(" " + handle.replace(".", " "))
        for write, name in (
            (("create", BLUESKY, {"$type": "app.bsky.actor.profile", "displayName": "Blue"}), " blue"),
            (("create", OWN, _own("Own")), " own"),
            (("update", OWN, _own("")), " blue"),
            (("delete", OWN, None), " blue"),
            (("delete", BLUESKY, None), ""),
        ):
            indexer.feed(publish(indexer, account, write))  # type: ignore[arg-type]
            await indexer.settle()
            [words] = await _words(indexer, "actor")
            assert words.endswith(name)
            assert ("blue" in words, "own" in words) == (name == " blue", name == " own")
        repo = indexer.repos.by_did[account.did]
        repo.handle_verified_at = None
        indexer.journal.touch(repo)
        await indexer.write()
        assert await _words(indexer, "actor") == []


async def test_nobody_is_found_by_what_was_purged(database_url: str) -> None:
    async with harness(database_url, world.World(1)) as indexer:
        account = await synchronized(indexer, ("create", ONE, track("One", tags=["x"])), ("create", OWN, _own("Own")))
        assert await _words(indexer, "actor") == [" own"]
        account.active, account.status = False, "deleted"
        indexer.feed(indexer.world.account_frame(account, False, "deleted"))
        await indexer.settle(rounds=20)
        assert (await indexer.repo(account))["purged_at"] is not None
        for kind in ("actor", "track", "list"):
            assert await _words(indexer, kind) == []
        assert await indexer.rows("SELECT * FROM network.track_tags") == []


async def test_a_reindex_finds_everything_anew(database_url: str) -> None:
    async with harness(database_url, world.World(1)) as indexer:
        await synchronized(indexer, ("create", ONE, track("One", tags=["x"])), ("create", OWN, _own("Own")))
        await synchronized(indexer, ("create", ONE, track("Two")))
        await indexer.verify_handles()
        before = await stored_search(indexer.pool)
        assert [len(rows) for rows in before.values()] == [2, 1, 0, 2]
        await indexer.pool.execute("UPDATE network.track_search SET words = 'wrong'")
        await indexer.pool.execute("DELETE FROM network.actor_search")
        await indexer.pool.execute("DELETE FROM network.track_tags")
        await reindex(indexer.pool, indexer.reader, None, lambda *_: None)
        assert await stored_search(indexer.pool) == before


async def test_the_migration_finds_what_is_already_there(postgres: PostgresForTests) -> None:
    url = postgres.create_database()
    engine = create_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(lambda sync: command.upgrade(alembic_config(MIGRATIONS, sync), "0004-1"))
    await engine.dispose()
    database = await asyncpg.connect(url)
    await database.execute("""
        INSERT INTO network.actors (did) SELECT 'did:web:' || n || '.test' FROM generate_series(1, 3) n;
        INSERT INTO network.repos (actor_id, sync_status, handle, handle_verified_at) VALUES
            (1, 'synchronized', 'one.test', now()), (2, 'synchronized', 'two.test', NULL), (3, 'synchronized', NULL, NULL);
        INSERT INTO network.profiles (uri_id, actor_id, source, display_name) VALUES
            (1, 2, 'own', 'Two'), (2, 2, 'bluesky', 'Not two'), (3, 3, 'own', '');
        INSERT INTO network.tracks (uri_id, actor_id, uri, sort_at, created_at, title, artist, file_type, visibility, tags)
            SELECT n, 1, 'at://' || n, now() + n * interval '1 s', '', 'Title ' || n, 'Ünbekannt', 'mp3', 'public', ARRAY['Ä', 'b', 'B']
            FROM generate_series(1, 6000) n;
        INSERT INTO network.lists (uri_id, actor_id, uri, sort_at, created_at, name, purpose, item_count)
            VALUES (7001, 1, 'at://x', now(), '', 'Mix', 'album', 0), (7002, 1, 'at://y', now(), '', NULL, NULL, 0)
    """)
    await migrate(url, MIGRATIONS)
    found = await stored_search(database)
    assert [len(rows) for rows in found.values()] == [6000, 12000, 1, 2]
    assert found == await expected_search(database)
    await database.close()
    postgres.drop_database(url)
