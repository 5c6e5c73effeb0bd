"""What a database says when it is in trouble is no verdict on the data: the same batch is tried again, and told."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
import world
from harness import OTHER, TRACK, Harness, harness, publish, synchronized, track

TROUBLES = {
    "disk full": "53100",
    "out of memory": "53200",
    "too many connections": "53300",
    "statement timeout": "57014",
    "shut down by an administrator": "57P01",
    "starting up": "57P03",
    "deadlock": "40P01",
    "serialization failure": "40001",
    "lock timeout": "55P03",
    "input and output error": "58030",
}


@pytest.fixture
async def indexer(database_url: str) -> AsyncIterator[Harness]:
    async with harness(database_url, world.World(91)) as made:
        yield made


async def let_the_next_write_meet(database_url: str, code: str) -> None:
    """Have the first insertion of a track fail with this code; a sequence is not rolled back, so later ones succeed."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(f"""
        CREATE SEQUENCE network.attempts; GRANT USAGE ON SEQUENCE network.attempts TO plyr_indexer;
        CREATE FUNCTION network.trouble() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF nextval('network.attempts') = 1 THEN RAISE EXCEPTION 'trouble' USING ERRCODE = '{code}'; END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER trouble BEFORE INSERT ON network.tracks FOR EACH STATEMENT EXECUTE FUNCTION network.trouble();
    """)
    await connection.close()


@pytest.mark.parametrize("code", TROUBLES.values(), ids=TROUBLES.keys())
async def test_a_database_in_trouble_costs_time_and_nothing_else(
    indexer: Harness, database_url: str, code: str
) -> None:
    account = await synchronized(indexer)
    await let_the_next_write_meet(database_url, code)
    indexer.feed(
        publish(indexer, account, ("update", TRACK, track("Two"))),
        publish(indexer, account, ("create", OTHER, track("Three"))),
    )
    await indexer.write()

    assert await indexer.titles() == ["Three", "Two"]
    assert indexer.metrics.events["indexer.database_failed"] == 1, "and it is told"
    row = await indexer.repo(account)
    assert (row["sync_status"], row["rev"]) == ("synchronized", account.rev)
