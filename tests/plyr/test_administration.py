"""`hide`, `unhide`, `status`, `resync`, `reindex` and `migrate` on a database of the operator's."""

import asyncio
import signal
import subprocess

import asyncpg
import pytest
from plyr_command import json_of, lines_until, run_plyr, start_plyr
from postgres import PostgresForTests

from indexer.leadership import leadership

DID = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
URI = f"at://{DID}/fm.plyr.track/3lunpublished2"


async def plyr(database_url: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command beside the test's own event loop."""
    return await asyncio.to_thread(run_plyr, *arguments, PLYR_DATABASE_URL=database_url, **variables)


async def fetch(database_url: str, query: str) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(database_url)
    try:
        return [tuple(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()


@pytest.mark.parametrize("subject", [DID, URI])
async def test_hiding_and_showing_say_what_changed_and_end_with_1_when_nothing_did(
    database_url: str, subject: str
) -> None:
    first = await plyr(database_url, "hide", subject, "--reason", "spam")
    again = await plyr(database_url, "hide", subject, "--reason", "other", "--json")
    assert (first.returncode, again.returncode) == (0, 1)
    assert "is hidden" in first.stdout
    assert json_of(again) == {"subject": subject, "changed": False, "hidden": True, "reason": "spam"}
    assert await fetch(database_url, "SELECT subject, reason FROM plyr.takedowns") == [(subject, "spam")]

    shown = await plyr(database_url, "unhide", subject, "--json")
    nothing = await plyr(database_url, "unhide", subject)
    assert (shown.returncode, nothing.returncode) == (0, 1)
    assert json_of(shown) == {"subject": subject, "changed": True, "hidden": False, "reason": "spam"}
    assert await fetch(database_url, "SELECT 1 FROM plyr.takedowns") == []


async def test_the_uri_of_an_account_hides_the_account(database_url: str) -> None:
    await plyr(database_url, "hide", f"at://{DID}", "--reason", "spam")
    assert await fetch(database_url, "SELECT subject FROM plyr.takedowns") == [(DID,)]


@pytest.mark.parametrize(
    "subject", ["at://alice.example.com/fm.plyr.track/3lunpublished2", f"at://{DID}/fm.plyr.track"]
)
async def test_a_handle_or_a_whole_collection_cannot_be_hidden(database_url: str, subject: str) -> None:
    assert (await plyr(database_url, "hide", subject, "--reason", "spam")).returncode == 2


async def test_status_is_json_of_a_fixed_shape(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("""
            INSERT INTO network.actors (did) VALUES ('did:web:a.example.com'), ('did:web:b.example.com'), ('did:web:c.example.com');
            INSERT INTO network.repos (actor_id, sync_status, cause, active, upstream_status)
                SELECT actor_id, CASE did WHEN 'did:web:a.example.com' THEN 'synchronized' ELSE 'desynchronized' END,
                       CASE did WHEN 'did:web:b.example.com' THEN 'pds-unreachable' END, did <> 'did:web:c.example.com',
                       CASE did WHEN 'did:web:c.example.com' THEN 'deactivated' END
                FROM network.actors;
            INSERT INTO network.cursors (host, endpoint, seq, event_time) VALUES ('relay.example.com', 'subscribe', 7, now() - interval '1 minute');
            INSERT INTO network.collection_totals VALUES ('fm.plyr.track', 1, 1);
            INSERT INTO network.uris (actor_id, path) SELECT actor_id, 'fm.plyr.track/one' FROM network.actors LIMIT 1;
            INSERT INTO network.records (uri_id, rev, cid, raw, verdict, problems, indexed_at, sort_at)
                SELECT uri_id, '3a', 'c', 'r', 'rejected', '[{"path": "/title", "rule": "type", "message": "m"}]', now(), now() FROM network.uris;
        """)
    finally:
        await connection.close()

    finished = await plyr(database_url, "status", "--json")
    found = json_of(finished)

    assert finished.returncode == 0
    assert found["indexer_running"] is False
    assert found["idle"] is False
    assert found["repos"] == {
        "total": 3,
        "desynchronized": 1,
        "hidden": 0,
        "by_status": {"desynchronized": 1, "inactive:deactivated": 1, "synchronized": 1},
        "by_cause": {"pds-unreachable": 1},
    }
    assert found["records"] == {"fm.plyr.track": {"accepted": 1, "rejected": 1}}
    assert found["rejected"] == [{"collection": "fm.plyr.track", "rule": "type", "path": "/title", "count": 1}]
    (upstream,) = found["upstreams"]
    assert (upstream["host"], upstream["seq"]) == ("relay.example.com", 7)
    assert 60 <= upstream["lag_seconds"] < 120

    shown = (await plyr(database_url, "status")).stdout
    assert "relay.example.com  cursor 7" in shown
    assert "pds-unreachable" in shown


async def test_a_resync_is_left_for_the_indexer_and_asked_for_again_if_repeated(database_url: str) -> None:
    asked = await plyr(database_url, "resync", DID, "--json")
    assert asked.returncode == 0
    assert json_of(asked) == {"did": DID, "requested": True, "indexer_running": False}
    assert "no indexer is running" in asked.stderr
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("UPDATE plyr.sync_requests SET taken_at = now()")
    finally:
        await connection.close()
    await plyr(database_url, "resync", DID)
    assert await fetch(database_url, "SELECT did, taken_at FROM plyr.sync_requests") == [(DID, None)]


async def test_waiting_for_a_resync_that_never_comes_ends_with_1(database_url: str) -> None:
    finished = await plyr(database_url, "resync", DID, "--wait", "--timeout", "0.3")
    assert finished.returncode == 1
    assert "not synchronized after 0.3 s" in finished.stderr


async def test_reindexing_is_refused_while_an_indexer_runs(database_url: str) -> None:
    async with leadership(database_url, lambda: None):
        refused = await plyr(database_url, "reindex")
    assert refused.returncode == 4
    assert "an indexer is running" in refused.stderr
    done = await plyr(database_url, "reindex", "--json")
    assert (done.returncode, json_of(done)["records"]) == (0, 0)


async def test_a_second_indexer_waits_says_so_and_can_be_stopped(database_url: str) -> None:
    network = ("--relay", "http://localhost:9", "--plc", "http://localhost:9")
    async with leadership(database_url, lambda: None):
        process = start_plyr("index", *network, PLYR_DATABASE_URL=database_url)
        try:
            said = await asyncio.to_thread(lines_until, process, "another indexer works on this database")
        finally:
            process.send_signal(signal.SIGTERM)
            rest, _ = await asyncio.to_thread(process.communicate, timeout=20)
    assert process.returncode == 0, rest
    assert "plyr.index relay" not in "".join([*said, rest])


async def test_reindexing_names_the_collections_that_there_are(database_url: str) -> None:
    finished = await plyr(database_url, "reindex", "fm.plyr.sonnet")
    assert finished.returncode == 2
    assert "fm.plyr.track" in finished.stderr


async def test_a_database_of_an_older_schema_is_refused_until_it_is_migrated(
    postgres: PostgresForTests,
) -> None:
    url = postgres.create_database()
    try:
        for command in (["index"], ["reindex"], ["serve", "--port", "0"]):
            refused = await plyr(url, *command)
            assert refused.returncode == 1
            assert "plyr migrate" in refused.stderr
        first, second = await plyr(url, "migrate", "--json"), await plyr(url, "migrate", "--json")
        assert json_of(first)["before"] is None
        assert json_of(second)["before"] == json_of(second)["after"] == json_of(first)["after"]
    finally:
        postgres.drop_database(url)
