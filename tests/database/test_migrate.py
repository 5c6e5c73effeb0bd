import asyncio
from pathlib import Path

import asyncpg
import pytest
import world
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from postgres import PostgresForTests
from sqlalchemy import Connection

from atprotocol.cid import RAW, cid_of
from atprotocol.syntax.datetime import parse_datetime
from database.connect import create_pool
from database.engine import create_engine
from database.migrate import alembic_config, migrate
from database.own_tables import all_tables
from database.roles import APPVIEW, INDEXER

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"


async def test_the_migrations_make_exactly_the_declared_tables(database_url: str) -> None:
    def differences(connection: Connection) -> list[object]:
        options = {
            "include_schemas": True,
            "compare_server_default": True,
            "version_table": "migrations",
            "version_table_schema": "public",
        }
        return [
            found
            for found in compare_metadata(MigrationContext.configure(connection, opts=options), all_tables())
            if "migrations" not in str(found)
        ]

    engine = create_engine(database_url)
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


async def test_a_second_migration_finds_nothing_to_do(database_url: str) -> None:
    again = await migrate(database_url, MIGRATIONS)

    assert again.before == again.after is not None


async def test_concurrent_migrations_of_an_empty_database_all_succeed(postgres: PostgresForTests) -> None:
    url = postgres.create_database()
    results = await asyncio.gather(*(migrate(url, MIGRATIONS) for _ in range(3)))

    assert sorted(result.before is None for result in results) == [False, False, True]
    assert len({result.after for result in results}) == 1
    postgres.drop_database(url)


@pytest.mark.parametrize(
    ("role", "allowed", "denied"),
    [
        (
            INDEXER,
            [
                "INSERT INTO network.actors (did) VALUES ('did:plc:a')",
                "SELECT * FROM plyr.takedowns",
                "UPDATE plyr.sync_requests SET taken_at = now()",
            ],
            [
                "INSERT INTO plyr.takedowns (subject, reason) VALUES ('x', 'y')",
                "DELETE FROM plyr.sync_requests",
                "CREATE TABLE network.x ()",
            ],
        ),
        (
            APPVIEW,
            [
                "SELECT * FROM network.records",
                "INSERT INTO plyr.takedowns (subject, reason) VALUES ('x', 'y')",
                "INSERT INTO plyr.sync_requests (did) VALUES ('x')",
            ],
            [
                "INSERT INTO network.actors (did) VALUES ('did:plc:b')",
                "DELETE FROM network.records",
                "UPDATE network.repos SET active = false",
            ],
        ),
    ],
)
async def test_each_program_may_do_what_it_needs_and_nothing_else(
    database_url: str, role: str, allowed: list[str], denied: list[str]
) -> None:
    pool = await create_pool(database_url, role=role, maximum=1)
    for statement in allowed:
        await pool.execute(statement)
    for statement in denied:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute(statement)
    await pool.close()


async def test_without_the_right_to_make_roles_the_owner_is_told_and_the_schema_is_made(
    postgres: PostgresForTests,
) -> None:
    url = postgres.create_database()
    admin = await asyncpg.connect(url)
    await admin.execute(
        f"CREATE ROLE poor_owner LOGIN; GRANT ALL ON DATABASE {url.split('?')[0].rsplit('/', 1)[1]} TO poor_owner; GRANT ALL ON SCHEMA public TO poor_owner"
    )

    result = await migrate(url.replace("plyr@", "poor_owner@", 1), MIGRATIONS)

    assert result.after is not None
    assert result.role_notice is not None
    assert "denies" in result.role_notice
    await admin.close()
    postgres.drop_database(url)


def test_the_newest_migration_is_the_one_with_the_highest_number() -> None:
    """Programs tell the schema that they need by the names of the files, without loading what applies them."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    script = ScriptDirectory.from_config(config)
    numbers = sorted(path.name[:4] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))
    assert script.get_heads() == [numbers[-1]]
    assert sorted(revision.revision for revision in script.walk_revisions()) == numbers


async def test_what_records_of_revision_2_said_already_is_there_after_the_migration(postgres: PostgresForTests) -> None:
    url = postgres.create_database()
    engine = create_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(lambda sync: command.upgrade(alembic_config(MIGRATIONS, sync), "0002"))
    await engine.dispose()
    database = await asyncpg.connect(url)
    await database.execute("""
        INSERT INTO network.actors (did) VALUES ('did:web:a.test');
        INSERT INTO network.repos (actor_id, sync_status) VALUES (1, 'synchronized');
        INSERT INTO network.uris (actor_id, path) VALUES (1, 'x.y.track/1'), (1, 'app.bsky.actor.profile/self'), (1, 'x.y.list/1');
        INSERT INTO network.tracks (uri_id, actor_id, uri, sort_at, created_at, title, artist, file_type, visibility, tags)
            VALUES (1, 1, 'at://did:web:a.test/x.y.track/1', '-infinity', '', 'One', 'A', 'mp3', 'public', '{}');
        INSERT INTO network.lists (uri_id, actor_id, uri, sort_at, created_at, name, purpose, item_count)
            VALUES (3, 1, 'at://did:web:a.test/x.y.list/1', now(), '', 'First Nights', 'album', 0)
    """)
    for uri_id, values in ((1, ["porn", "!hide"]), (2, ["!no-unauthenticated", "spam"])):
        raw = world.encode({"labels": {"values": [{"val": value} for value in values]}})
        statement = """INSERT INTO network.records (uri_id, rev, cid, raw, json, verdict, indexed_at, sort_at)
            VALUES ($1, '3', 'x', $2, '{}', 'accepted', now(), CASE WHEN $1::bigint = 1 THEN '-infinity' ELSE now() END)"""
        await database.execute(statement, uri_id, raw)
    await migrate(url, MIGRATIONS)
    rows = await database.fetch("SELECT uri, src, val, uri_id FROM network.labels ORDER BY uri_id, val")
    account = "did:web:a.test"
    assert [tuple(row) for row in rows] == [
        (f"at://{account}/x.y.track/1", account, "porn", 1),
        (account, account, "!no-unauthenticated", 2),
        (f"at://{account}/app.bsky.actor.profile/self", account, "spam", 2),
    ]
    times = await database.fetch("SELECT created_at FROM network.labels")
    assert all(parse_datetime(row["created_at"]) for row in times)
    assert await database.fetchval("SELECT slug FROM network.lists") == "first-nights"
    await database.close()
    postgres.drop_database(url)


async def test_a_database_of_revision_2_with_any_text_is_migrated(postgres: PostgresForTests) -> None:
    url = postgres.create_database()
    engine = create_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(lambda sync: command.upgrade(alembic_config(MIGRATIONS, sync), "0002"))
    await engine.dispose()
    database = await asyncpg.connect(url)
    await database.execute(r"""
        INSERT INTO network.actors (did) VALUES ('did:web:a.test');
        INSERT INTO network.repos (actor_id, sync_status, handle) VALUES (1, 'synchronized', 'a.test');
        INSERT INTO network.tracks (uri_id, actor_id, uri, sort_at, created_at, title, artist, file_type, visibility, tags) VALUES
            (1, 1, 'at://1', now(), '', 'One', 'A', 'mp3', 'public', ARRAY['x']),
            (2, 1, 'at://2', '0001-01-01', '', 'Two', 'A', 'mp3', 'public', '{}');
        INSERT INTO network.records (uri_id, rev, cid, raw, json, verdict, indexed_at, sort_at) VALUES
            (1, '3', '\x01', '\x01', '{"title": "a\u0000b", "visibility": "public"}', 'accepted', now(), now()),
            (2, '3', '\x01', '\x01', '{"title": "a\\u0000b", "visibility\u0000": "public"}', 'accepted', now(), now())
    """)
    await migrate(url, MIGRATIONS)
    assert await database.fetch("SELECT says_visibility, hot_score <> 0 FROM network.tracks ORDER BY uri_id") == [
        (True, True), (False, True)
    ]  # fmt: skip
    assert await database.fetchval("SELECT sync_status FROM network.repos") == "desynchronized"
    await database.close()
    postgres.drop_database(url)


async def test_what_tracks_of_revision_4_name_is_referred_to_if_it_is_a_file(postgres: PostgresForTests) -> None:
    url = postgres.create_database()
    engine = create_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(lambda sync: command.upgrade(alembic_config(MIGRATIONS, sync), "0004"))
    await engine.dispose()
    database = await asyncpg.connect(url)
    file, block = str(cid_of(b"file", RAW)), str(cid_of(b"block"))
    await database.execute("INSERT INTO network.actors (did) VALUES ('did:web:a.test')")
    await database.executemany(
        """INSERT INTO network.tracks (uri_id, actor_id, uri, sort_at, created_at, title, artist, file_type, visibility, tags,
               audio_cid, image_cid)
           VALUES ($1, 1, 'at://' || $1::bigint, now(), '', 'One', 'A', 'mp3', 'public', '{}', $2, $3)""",
        [(1, file, block), (2, block, file), (3, None, None)],
    )
    await migrate(url, MIGRATIONS)
    rows = await database.fetch("SELECT uri_id, role, cid FROM network.blob_references ORDER BY uri_id")
    assert [tuple(row) for row in rows] == [(1, "audio", file), (2, "image", file)]
    await database.close()
    postgres.drop_database(url)
