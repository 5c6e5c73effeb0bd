"""A labeler that is followed, on real sockets and a real database: what it says is what is stored, whatever happens."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import cbor2
import pytest
import world
from labeler import labels_frame
from labeling import GUARD_SECONDS, RECORD, Labeling, labeling

from indexer.leadership import Superseded

SPAMMER = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
PROFILE = f"at://{SPAMMER}/app.bsky.actor.profile/self"
CID_TEXT = world.cid_text(world.cid_of(b"version"))


@pytest.fixture
async def lab(database_url: str) -> AsyncIterator[Labeling]:
    async with labeling(database_url) as made:
        yield made


async def test_the_whole_history_is_read_and_then_what_comes(lab: Labeling) -> None:
    await lab.server.say(lab.labeler.label(SPAMMER, "spam"))
    await lab.server.say(lab.labeler.label(RECORD, "rude"), lab.labeler.label(RECORD, "loud"))
    async with lab.following():
        await lab.until_stored(2)
        await lab.server.say(lab.labeler.label(PROFILE, "rude"))
        await lab.until_stored(3)
    assert lab.server.cursors == ["0"]
    assert await lab.rows() == [
        (PROFILE, "rude", False),
        (RECORD, "loud", False),
        (RECORD, "rude", False),
        (SPAMMER, "spam", False),
    ]
    assert lab.metrics.labels_stored == {lab.labeler.did: 4}


async def test_what_is_stored_is_what_the_label_says(lab: Labeling) -> None:
    label = lab.labeler.label(RECORD, "rude", cid=CID_TEXT, exp="2027-01-01T00:00:00Z", cts="2026-01-02T03:04:05+01:00")
    await lab.server.say(label)
    async with lab.following():
        await lab.until_stored(1)
    row = await lab.pool.fetchrow("SELECT * FROM network.labels")
    assert (row["src"], row["cid"], row["uri_id"]) == (lab.labeler.did, world.cid_of(b"version"), 0)
    assert row["created_at"] == "2026-01-02T03:04:05+01:00"
    assert row["sort_at"].isoformat() == "2026-01-02T02:04:05+00:00"
    assert row["expires_at"].isoformat() == "2027-01-01T00:00:00+00:00"


async def test_it_goes_on_from_its_cursor_and_nothing_is_lost_or_doubled(lab: Labeling) -> None:
    for number in range(3):
        await lab.server.say(lab.labeler.label(RECORD, f"value{number}"))
    async with lab.following():
        await lab.until_stored(3)
    await lab.server.say(lab.labeler.label(RECORD, "value3"))
    async with lab.following():
        await lab.until_stored(4)
    assert lab.server.cursors == ["0", "3"]
    assert await lab.values() == ["value0", "value1", "value2", "value3"]


@asynccontextmanager
async def held_up(lab: Labeling) -> AsyncIterator[asyncpg.Connection]:
    """Have the next transaction of a labeler wait in its middle, for as long as the block lasts."""
    other = await asyncpg.connect(lab.url)
    try:
        async with other.transaction():
            await other.execute("SELECT FROM network.label_cursors FOR UPDATE")
            yield other
    finally:
        await other.close()


async def until_it_waits(lab: Labeling, other: asyncpg.Connection) -> None:
    async def waits() -> bool:
        return bool(await other.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))

    await lab.until(waits)


async def test_a_connection_that_is_cut_in_mid_transaction_loses_and_doubles_nothing(lab: Labeling) -> None:
    await lab.server.say(lab.labeler.label(RECORD, "one"))
    async with lab.following():
        await lab.until_stored(1)
        async with held_up(lab) as other:
            await lab.server.say(lab.labeler.label(RECORD, "two"))
            await until_it_waits(lab, other)
            await other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()"
            )
            await lab.until_event("indexer.labels_unwritten")
            assert (await lab.values(), await lab.cursor()) == (["one"], 1)
        await lab.until_stored(2)
    assert await lab.values() == ["one", "two"]


async def test_a_process_that_ends_in_mid_transaction_loses_and_doubles_nothing(lab: Labeling) -> None:
    await lab.server.say(lab.labeler.label(RECORD, "one"))
    async with lab.following():
        await lab.until_stored(1)
    async with held_up(lab) as other:
        await lab.server.say(lab.labeler.label(RECORD, "two"))
        async with lab.following():
            await until_it_waits(lab, other)
        assert (await lab.values(), await lab.cursor()) == (["one"], 1)
    async with lab.following():
        await lab.until_stored(2)
    assert await lab.values() == ["one", "two"]
    assert lab.server.cursors == ["0", "1", "1"]


async def test_who_was_overtaken_writes_nothing_and_ends(lab: Labeling) -> None:
    await lab.server.say(lab.labeler.label(RECORD, "one"))
    async with lab.following():
        await lab.until_stored(1)
        await lab.pool.execute("UPDATE network.label_cursors SET seq = 0")
        await lab.server.say(lab.labeler.label(RECORD, "two"))
        await asyncio.wait([lab.running], timeout=GUARD_SECONDS)
        ended = lab.running.exception()
    assert isinstance(ended, BaseExceptionGroup)
    assert ended.subgroup(Superseded) is not None
    assert (await lab.values(), await lab.cursor()) == (["one"], 0)


async def test_what_is_taken_back_is_kept_as_taken_back(lab: Labeling) -> None:
    await lab.server.say(lab.labeler.label(RECORD, "rude"))
    await lab.server.say(lab.labeler.label(RECORD, "rude", neg=True))
    async with lab.following():
        await lab.until_stored(2)
        # An older copy comes again.
        _, first = lab.server.messages[0]
        await lab.server.send(3, labels_frame(3, *_labels_of(first)))
        await lab.until_stored(3)
        assert await lab.rows() == [(RECORD, "rude", True)]
        await lab.server.say(lab.labeler.label(RECORD, "rude"))
        await lab.until_stored(4)
    assert await lab.rows() == [(RECORD, "rude", False)]


def _labels_of(raw: bytes) -> list[object]:
    stream = io.BytesIO(raw)
    cbor2.load(stream)
    labels: list[object] = cbor2.load(stream)["labels"]
    return labels


async def test_a_label_of_one_version_is_another_than_that_of_all(lab: Labeling) -> None:
    await lab.server.say(lab.labeler.label(RECORD, "rude", cid=CID_TEXT), lab.labeler.label(RECORD, "rude"))
    await lab.server.say(lab.labeler.label(RECORD, "rude", cid=CID_TEXT, neg=True))
    async with lab.following():
        await lab.until_stored(2)
    assert await lab.rows() == [(RECORD, "rude", False), (RECORD, "rude", True)]


async def test_labels_in_anothers_name_or_without_a_right_signature_are_refused(lab: Labeling) -> None:
    stranger = world.Key("K-256", 99)
    await lab.server.say(
        lab.labeler.label(RECORD, "foreign", src=SPAMMER),
        lab.labeler.label(RECORD, "forged", key=stranger),
        lab.labeler.label(RECORD, "by-the-accounts-key", key=lab.labeler.key),
        lab.labeler.label(RECORD, "bent") | {"val": "twisted"},
        lab.labeler.label(RECORD, "versionless", ver=None),
        "no label",
        lab.labeler.label(RECORD, "honest"),
    )
    async with lab.following():
        await lab.until_stored(1)
    assert await lab.rows() == [(RECORD, "honest", False)]
    assert lab.metrics.labels_refused == {"other-source": 1, "bad-signature": 3, "malformed": 2}
    # Once for the connection, and once for all the signatures that it does not explain.
    assert lab.directory.requests["plc"] == 2


async def test_only_accounts_records_of_ours_and_profiles_are_kept(lab: Labeling) -> None:
    await lab.server.say(
        *(
            lab.labeler.label(uri, "rude")
            for uri in (
                SPAMMER,
                RECORD,
                PROFILE,
                f"at://{SPAMMER}/app.bsky.feed.post/3jzfcijpj2z2a",
                f"at://{SPAMMER}/fm.plyr.trackish/3jzfcijpj2z2a",
                f"at://{SPAMMER}/fm.plyr.stg.track/3jzfcijpj2z2a",
                f"at://{SPAMMER}/fm.plyr.track",
                f"at://{SPAMMER}",
                "at://spammer.example.com/fm.plyr.track/3jzfcijpj2z2a",
                f"at://did:web:{'x' * 1990}/fm.plyr.track/3jzfcijpj2z2a",
            )
        )
    )
    async with lab.following():
        await lab.until_stored(1)
    assert [uri for uri, _, _ in await lab.rows()] == [PROFILE, RECORD, SPAMMER]
    assert lab.metrics.labels_refused == {"out-of-scope": 7}


async def test_a_message_that_holds_nothing_of_ours_moves_the_cursor(lab: Labeling) -> None:
    await lab.server.say(lab.labeler.label(f"at://{SPAMMER}/app.bsky.feed.post/3jzfcijpj2z2a", "rude"))
    async with lab.following():
        await lab.until_stored(1)
    assert await lab.rows() == []


async def test_a_new_key_is_found_by_the_first_label_that_it_signs(lab: Labeling) -> None:
    old = lab.labeler.label_key
    async with lab.following():
        await lab.server.say(lab.labeler.label(RECORD, "one"))
        await lab.until_stored(1)
        lab.labeler.label_key = lab.world.key("P-256")
        await lab.server.say(lab.labeler.label(RECORD, "two"))
        await lab.server.say(lab.labeler.label(RECORD, "old", key=old))
        await lab.server.say(lab.labeler.label(RECORD, "three"), lab.labeler.label(RECORD, "older", key=old))
        await lab.until_stored(4)
    assert await lab.values() == ["one", "three", "two"]
    assert lab.metrics.events["indexer.labeler_rotated"] == 1
    assert lab.metrics.labels_refused == {"bad-signature": 2}
    assert lab.directory.requests["plc"] == 3


async def test_while_nobody_can_tell_the_key_nothing_is_refused_and_nothing_lost(lab: Labeling) -> None:
    async with lab.following():
        await lab.server.say(lab.labeler.label(RECORD, "one"))
        await lab.until_stored(1)
        lab.labeler.label_key = lab.world.key("K-256")
        lab.directory.down.add("plc")
        await lab.server.say(lab.labeler.label(RECORD, "two"))
        await lab.until_event("indexer.labeler_disconnected", 2)
        assert await lab.cursor() == 1
        lab.directory.down.clear()
        await lab.until_stored(2)
    assert await lab.values() == ["one", "two"]
    assert lab.metrics.labels_refused == {}


async def test_what_the_stream_no_longer_tells_is_asked_for_page_by_page(lab: Labeling) -> None:
    for number in range(5):
        await lab.server.say(lab.labeler.label(RECORD, f"value{number}"))
    lab.server.listed += [lab.labeler.label(RECORD, "forged", key=world.Key("K-256", 99)), "no label"]  # type: ignore[list-item]
    lab.server.oldest = 4
    async with lab.following():
        await lab.until_event("indexer.labels_repaired")
        await lab.until_stored(5)
    assert await lab.values() == [f"value{number}" for number in range(5)]
    assert lab.metrics.events["indexer.labeler_outdated_cursor"] == 1
    assert lab.server.requests["queryLabels"] == 4
    assert lab.metrics.labels_refused["bad-signature"] == 1


async def test_the_cursor_stays_until_the_repair_is_done(lab: Labeling) -> None:
    """A process that dies before meets the same gap again; what came meanwhile is stored all the same."""
    for number in range(4):
        await lab.server.say(lab.labeler.label(RECORD, f"value{number}"))
    lab.server.oldest = 2
    lab.server.down.add("queryLabels")
    async with lab.following():
        await lab.until_event("indexer.labels_repair_failed", 2)
        await lab.server.say(lab.labeler.label(RECORD, "value4"))

        async def is_stored() -> bool:
            return "value4" in await lab.values()

        await lab.until(is_stored)
        assert await lab.cursor() == 0
    lab.server.down.clear()
    async with lab.following():
        await lab.until_stored(5)
    assert len(await lab.rows()) == 5


async def test_a_labeler_without_pages_is_followed_nevertheless(lab: Labeling) -> None:
    for number in range(4):
        await lab.server.say(lab.labeler.label(RECORD, f"value{number}"))
    lab.server.oldest, lab.server.refuses_queries = 2, True
    async with lab.following():
        await lab.until_stored(4)
    assert lab.metrics.events["indexer.labels_unrepaired"] == 1
    assert await lab.values() == ["value2", "value3"]


async def test_a_labeler_that_knows_no_such_cursor_is_read_from_the_beginning(lab: Labeling) -> None:
    for number in range(3):
        await lab.server.say(lab.labeler.label(RECORD, f"value{number}"))
    async with lab.following():
        await lab.until_stored(3)
    lab.server.messages.clear()
    await lab.server.say(lab.labeler.label(RECORD, "anew"))
    async with lab.following():
        await lab.until_stored(1)
        assert lab.metrics.events["indexer.labeler_restarted"] == 1
    assert lab.server.cursors == ["0", "3", "0"]
    assert await lab.values() == ["anew", "value0", "value1", "value2"]


async def test_a_labeler_that_answers_below_the_cursor_is_read_from_the_beginning(lab: Labeling) -> None:
    await lab.server.say(lab.labeler.label(RECORD, "one"), seq=10)
    async with lab.following():
        await lab.until_stored(10)
        lab.server.greeting = [labels_frame(2, lab.labeler.label(RECORD, "two"))]
        lab.server.messages.clear()
        await lab.server.say(lab.labeler.label(RECORD, "three"), seq=11)
        lab.server.disconnect()
        await lab.until_event("indexer.labeler_restarted")
        await lab.until_stored(11)
    assert await lab.values() == ["one", "three", "two"]


async def test_messages_out_of_order_are_taken_and_the_cursor_never_goes_back(lab: Labeling) -> None:
    async with lab.following():
        for seq, name in ((5, "five"), (3, "three"), (5, "again"), (4, "four"), (6, "six")):
            await lab.server.say(lab.labeler.label(RECORD, name), seq=seq)
        await lab.until_stored(6)
    assert await lab.values() == ["again", "five", "four", "six", "three"]
    assert lab.metrics.events["indexer.labeler_out_of_order"] == 3
    assert lab.server.cursors == ["0"]


async def test_a_message_that_cannot_be_read_costs_itself_and_is_asked_for(lab: Labeling) -> None:
    await lab.server.say(lab.labeler.label(RECORD, "one"))
    await lab.server.send(2, b"\xff" + labels_frame(2))
    lab.server.listed.append(lab.labeler.label(RECORD, "two"))
    await lab.server.say(lab.labeler.label(RECORD, "three"))
    async with lab.following():
        await lab.until_event("indexer.labels_repaired")
        await lab.until_stored(3)
    assert await lab.values() == ["one", "three", "two"]
    assert lab.metrics.labels_refused == {"unreadable-message": 1}


async def test_text_without_signatures_is_nobodys_label(lab: Labeling) -> None:
    lab.server.greeting = ['{"seq": 1, "labels": [{"val": "rude"}]}']
    async with lab.following():
        await lab.until_event("indexer.labeler_disconnected", 2)
    assert await lab.rows() == []
    assert await lab.cursor() == 0


async def test_a_labeler_that_is_down_is_tried_until_it_is_back(lab: Labeling) -> None:
    lab.server.down.add("subscribeLabels")
    async with lab.following():
        await lab.until_event("indexer.labeler_disconnected", 3)
        view = lab.metrics.labelers[lab.labeler.did]
        assert view.is_connected is False
        lab.server.down.clear()
        await lab.server.say(lab.labeler.label(RECORD, "one"))
        await lab.until_stored(1)
        assert (view.is_connected, view.seq) == (True, 1)
        lab.server.disconnect()
        await lab.server.say(lab.labeler.label(RECORD, "two"))
        await lab.until_stored(2)
    assert lab.directory.requests["plc"] <= 2, "the document is read once a minute"


async def test_a_labeler_without_a_key_for_labels_is_no_labeler(lab: Labeling) -> None:
    lab.labeler.names_key = False
    await lab.server.say(lab.labeler.label(RECORD, "one", key=lab.labeler.key))
    async with lab.following():
        await lab.until_event("indexer.labeler_disconnected", 2)
        assert lab.server.cursors == []
        lab.labeler.names_key = True
        await lab.until_stored(1)
    assert lab.metrics.labels_refused == {"bad-signature": 1}


async def test_one_labeler_that_is_nobody_stops_no_other(lab: Labeling) -> None:
    await lab.server.say(lab.labeler.label(RECORD, "one"))
    async with lab.following(["did:web:nobody.test", SPAMMER, lab.labeler.did]):
        await lab.until_stored(1)
        await lab.until_event("indexer.labeler_disconnected", 2)


async def test_a_labeler_that_is_configured_no_more_is_forgotten(lab: Labeling) -> None:
    await lab.server.say(lab.labeler.label(RECORD, "one"))
    async with lab.following():
        await lab.until_stored(1)
    await lab.pool.execute(
        "INSERT INTO network.labels (uri, src, val, cid, uri_id, created_at, sort_at) VALUES ($1, $2, 'rude', '', 7, '', now())",
        RECORD,
        SPAMMER,
    )
    async with lab.following([]):
        await lab.until_event("indexer.labeler_forgotten")
    assert (await lab.rows(), await lab.cursor()) == ([], None)
    assert await lab.pool.fetchval("SELECT count(*) FROM network.labels") == 1, "what authors say stays"
    async with lab.following():
        await lab.until_stored(1)
    assert await lab.rows() == [(RECORD, "one", False)]
