"""An account that a configured labeler takes down counts no more than one that an operator hides."""

from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest
import world
from harness import TRACK, Harness, comment, harness, like, synchronized
from labeler import Labeler, LabelMap, labeler

from atprotocol.labels import Label, decode_label
from atprotocol.syntax.did import DID
from indexer import label_rows
from indexer.label_rows import LabelRows

COUNTS = "SELECT like_count, comment_count FROM network.track_counters"


@pytest.fixture
async def indexer(database_url: str) -> AsyncIterator[Harness]:
    async with harness(database_url, world.World(44)) as made:
        yield made


class Labeled:
    """A labeler that is believed, and a fan whose like and comment count."""

    def __init__(self, indexer: Harness, source: Labeler, fan: world.Account) -> None:
        self.indexer = indexer
        self.source = source
        self.fan = fan

    async def say(self, *labels: LabelMap) -> None:
        """Store labels as the stream does, and look at what stands there."""
        rows = LabelRows(self.indexer.pool, DID(self.source.did), self.indexer.labeled)
        seq = await rows.load()
        await rows.store([decoded(label) for label in labels], seq + 1)
        await self.look()

    async def look(self) -> None:
        await self.indexer.requests.take()
        await self.indexer.write()

    async def counts(self) -> bool:
        rows = await self.indexer.rows(COUNTS)
        assert rows in ([(1, 1)], [])
        return rows == [(1, 1)]


def decoded(label: LabelMap) -> Label:
    return decode_label(label)


@pytest.fixture
async def labeled(indexer: Harness) -> Labeled:
    source = labeler(indexer.world)
    indexer.labelers = (DID(source.did),)
    async with indexer.pool.acquire() as connection:
        await label_rows.begin(connection, indexer.labelers)
    await indexer.load()
    account = await synchronized(indexer)
    fan = await synchronized(
        indexer,
        ("create", "fm.plyr.like/3mbd3542kzc2a", like(account, TRACK)),
        ("create", "fm.plyr.comment/3mbd3542kzc2a", comment(account, TRACK)),
    )
    assert await indexer.rows(COUNTS) == [(1, 1)]
    return Labeled(indexer, source, fan)


@pytest.mark.parametrize("value", ["!takedown", "!suspend"])
async def test_likes_and_comments_of_an_account_that_is_taken_down_do_not_count(labeled: Labeled, value: str) -> None:
    await labeled.say(labeled.source.label(labeled.fan.did, value))
    assert not await labeled.counts()
    assert (await labeled.indexer.repo(labeled.fan))["takendown"] is True

    await labeled.say(labeled.source.label(labeled.fan.did, value, neg=True))
    assert await labeled.counts()


async def test_a_takedown_that_has_expired_hides_nobody(labeled: Labeled) -> None:
    expires_at = (labeled.indexer.now() + timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    await labeled.say(labeled.source.label(labeled.fan.did, "!takedown", exp=expires_at))
    assert not await labeled.counts()

    labeled.indexer.clock_offset += timedelta(hours=2)
    await labeled.look()
    assert await labeled.counts()


async def test_of_two_takedowns_the_one_that_stands_counts(labeled: Labeled) -> None:
    await labeled.say(
        labeled.source.label(labeled.fan.did, "!takedown"), labeled.source.label(labeled.fan.did, "!suspend")
    )
    await labeled.say(labeled.source.label(labeled.fan.did, "!takedown", neg=True))
    assert not await labeled.counts()
    await labeled.say(labeled.source.label(labeled.fan.did, "!suspend", neg=True))
    assert await labeled.counts()


async def test_other_labels_and_labels_of_records_take_no_account_down(labeled: Labeled) -> None:
    did = labeled.fan.did
    await labeled.say(
        labeled.source.label(did, "spam"),
        labeled.source.label(did, "!hide"),
        labeled.source.label(f"at://{did}/fm.plyr.track/3jzfcijpj2z2a", "!takedown"),
        labeled.source.label(did, "!takedown", cid=world.cid_text(world.cid_of(b"version"))),
    )
    assert await labeled.counts()


async def test_what_a_labeler_takes_back_an_operator_may_still_hide(labeled: Labeled, database_url: str) -> None:
    await labeled.say(labeled.source.label(labeled.fan.did, "!takedown"))
    connection = await asyncpg.connect(database_url)
    await connection.execute("INSERT INTO plyr.takedowns (subject, reason) VALUES ($1, 'x')", labeled.fan.did)
    await connection.close()
    await labeled.say(labeled.source.label(labeled.fan.did, "!takedown", neg=True))
    assert not await labeled.counts()


async def test_a_takedown_is_known_to_the_next_process_and_forgotten_with_its_labeler(labeled: Labeled) -> None:
    indexer = labeled.indexer
    await labeled.say(labeled.source.label(labeled.fan.did, "!takedown"))
    await indexer.load()
    await labeled.look()
    assert not await labeled.counts()

    indexer.labelers = ()
    await indexer.load()
    await labeled.look()
    assert await labeled.counts()
