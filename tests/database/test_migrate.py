import asyncio
from pathlib import Path

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from postgres import PostgresForTests
from sqlalchemy import Connection

from database.connect import create_pool
from database.engine import create_engine
from database.migrate import migrate
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
