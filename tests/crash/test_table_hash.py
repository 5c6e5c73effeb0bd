"""The hash of the tables notices every change of content, and nothing that is given out or measured."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from table_hash import EXCLUDED, HASHED, DanglingNumber, UndecidedColumn, differences, read_tables, read_within

TYPES = """
    SELECT c.table_schema || '.' || c.table_name AS "table", c.column_name AS "column", c.data_type AS type, c.is_generated
    FROM information_schema.columns c JOIN information_schema.tables USING (table_catalog, table_schema, table_name)
    WHERE c.table_schema IN ('network', 'plyr') AND table_type = 'BASE TABLE'
    ORDER BY c.ordinal_position
"""
VALUES = {
    "bigint": ("11", "12"),
    "integer": ("11", "12"),
    "smallint": ("1", "2"),
    "boolean": ("true", "false"),
    "text": ("'one'", "'two'"),
    "bytea": (r"'\x01'", r"'\x02'"),
    "tsvector": ("'one'", "'two'"),
    "json": ("'[1]'", "'[2]'"),
    "ARRAY": ("ARRAY['one']", "ARRAY['two']"),
    "double precision": ("11", "12"),
    "uuid": ("'00000000-0000-0000-0000-000000000001'", "'00000000-0000-0000-0000-000000000002'"),
    "timestamp with time zone": ("'2026-01-01T00:00:00Z'", "'2026-01-02T00:00:00Z'"),
}
HASHED_COLUMNS = [(table, name) for table, names in HASHED.items() for name in names.split() if name != "visible"]
REASONED = [tuple(name.rsplit(".", 1)) for name in EXCLUDED if not name.endswith(("_id", ".*", ".taken_at"))]


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    await connection.execute("""
        INSERT INTO network.actors (actor_id, did) OVERRIDING SYSTEM VALUE VALUES (11, 'did:web:one.test'), (12, 'did:web:two.test');
        INSERT INTO network.uris (uri_id, actor_id, path) OVERRIDING SYSTEM VALUE VALUES (11, 11, 'a.b.c/one'), (12, 12, 'a.b.c/two')
    """)
    tables: dict[str, dict[str, str]] = {}
    for row in await connection.fetch(TYPES):
        if row["is_generated"] == "NEVER" and row["column"] != "purged_at":
            tables.setdefault(row["table"], {})[row["column"]] = VALUES[row["type"]][0]
    for table, values in tables.items():
        if table not in ("network.actors", "network.uris", "network.leadership"):
            await connection.execute(
                f"INSERT INTO {table} ({', '.join(values)}) OVERRIDING SYSTEM VALUE VALUES ({', '.join(values.values())})"
            )
    yield connection
    await connection.close()


async def digests(connection: asyncpg.Connection) -> dict[str, str]:
    return {table: content.digest for table, content in (await read_within(connection)).items()}


async def change(connection: asyncpg.Connection, table: str, column: str) -> None:
    """Give a column of the row that has the first values its second value, or null where only that matters."""
    types = {(row["table"], row["column"]): row for row in await connection.fetch(TYPES)}
    name = column.removesuffix("?")
    value = "NULL" if column.endswith("?") and name != "purged_at" else VALUES[types[table, name]["type"]][1]
    first = (
        " WHERE uri_id = 11" if table == "network.uris" else " WHERE actor_id = 11" if table == "network.actors" else ""
    )
    if (table, name) == ("network.actors", "did"):
        value = "'did:web:three.test'"
    await connection.execute(f"UPDATE {table} SET {name} = {value}{first}")


@asynccontextmanager
async def undone(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """Let the block change the database for its own length."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield
    finally:
        await transaction.rollback()


async def test_it_notices_a_change_of_any_hashed_column(connection: asyncpg.Connection) -> None:
    before = await digests(connection)
    for table, column in HASHED_COLUMNS:
        async with undone(connection):
            await change(connection, table, column)
            assert (await digests(connection))[table] != before[table], f"{table}.{column}"


async def test_it_does_not_notice_what_is_excluded(connection: asyncpg.Connection) -> None:
    before = await digests(connection)
    for table, column in REASONED:
        async with undone(connection):
            await change(connection, table, column)
            assert await digests(connection) == before, f"{table}.{column}"


async def test_it_notices_a_row_that_is_missing(connection: asyncpg.Connection) -> None:
    before = await read_within(connection)
    for table in HASHED.keys() - {"network.actors", "network.uris"}:  # A number without them is an error.
        async with undone(connection):
            await connection.execute(f"DELETE FROM {table}")
            after = await read_within(connection)
        assert after[table].digest != before[table].digest, table
        assert differences(before[table], after[table])[0].startswith("- ")


async def test_numbers_may_be_given_out_in_another_order(connection: asyncpg.Connection) -> None:
    before = await digests(connection)
    await connection.execute("""
        ALTER TABLE network.repos DROP CONSTRAINT repos_actor_id_fkey;
        UPDATE network.actors SET actor_id = DEFAULT;
        DO $$ DECLARE one bigint; two bigint; BEGIN
            SELECT actor_id INTO one FROM network.actors WHERE did = 'did:web:one.test';
            SELECT actor_id INTO two FROM network.actors WHERE did = 'did:web:two.test';
            UPDATE network.uris SET actor_id = CASE actor_id WHEN 11 THEN one ELSE two END;
            UPDATE network.repos SET actor_id = one; UPDATE network.tracks SET actor_id = one;
            UPDATE network.track_features SET actor_id = one; UPDATE network.likes SET actor_id = one;
            UPDATE network.comments SET actor_id = one; UPDATE network.lists SET actor_id = one;
            UPDATE network.profiles SET actor_id = one; UPDATE network.follows SET actor_id = one, subject_actor_id = one;
            UPDATE network.actor_search SET actor_id = one; UPDATE network.blob_references SET actor_id = one;
        END $$
    """)
    assert await digests(connection) == before


async def test_a_number_that_names_nothing_is_an_error(connection: asyncpg.Connection) -> None:
    await connection.execute("UPDATE network.likes SET subject_uri_id = 999")
    with pytest.raises(DanglingNumber, match=r"network.likes.subject_uri_id"):
        await read_tables(connection)


async def test_a_column_that_nobody_decided_about_is_an_error(connection: asyncpg.Connection) -> None:
    await connection.execute("ALTER TABLE network.tracks ADD COLUMN mood text")
    with pytest.raises(UndecidedColumn, match=r"network.tracks.mood"):
        await read_tables(connection)


async def test_a_table_that_nobody_decided_about_is_an_error(connection: asyncpg.Connection) -> None:
    await connection.execute("CREATE TABLE plyr.moods (mood text)")
    with pytest.raises(UndecidedColumn, match=r"plyr.moods.mood"):
        await read_tables(connection)


@pytest.mark.parametrize("column", ["network.cursors.event_time", "network.cursors.updated_at"])
async def test_a_decision_about_what_no_longer_exists_is_an_error(connection: asyncpg.Connection, column: str) -> None:
    table, _, name = column.rpartition(".")
    await connection.execute(f"ALTER TABLE {table} DROP COLUMN {name}")
    with pytest.raises(UndecidedColumn, match=column):
        await read_tables(connection)
