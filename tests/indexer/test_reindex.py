import json
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import world
from harness import NAMESPACE, Harness, comment, harness, like, playlist, track

from atprotocol.lexicon.catalog import Catalog
from indexer.records import RecordReader
from indexer.reindex import reindex

LEXICONS = Path(__file__).resolve().parents[2] / "lexicons"
PROJECTIONS = (
    "tracks",
    "track_features",
    "track_search",
    "track_tags",
    "list_search",
    "actor_search",
    "likes",
    "comments",
    "lists",
    "list_items",
    "profiles",
    "track_counters",
    "collection_totals",
)


async def contents(indexer: Harness) -> dict[str, list[Any]]:
    return {name: sorted(map(str, await indexer.rows(f"SELECT * FROM network.{name}"))) for name in PROJECTIONS}


async def filled(indexer: Harness) -> world.Account:
    account = indexer.world.account(pds=indexer.server.url)
    path = "fm.plyr.track/3mbd3542kzc22"
    writes: list[world.Write] = [
        ("create", path, track("One", tags=["x"], features=[{"did": account.did}])),
        ("create", "fm.plyr.track/3mbd3542kzc23", track("x" * 300)),
        ("create", "fm.plyr.track/3mbd3542kzc24", track("rejected", artist=None)),
        ("create", "fm.plyr.like/3mbd3542kzc22", like(account, path)),
        ("create", "fm.plyr.like/3mbd3542kzc23", like(account, path)),
        ("create", "fm.plyr.comment/3mbd3542kzc22", comment(account, path)),
        ("create", "fm.plyr.list/3mbd3542kzc22", playlist([(account, path)])),
        ("create", "app.bsky.actor.profile/self", {"$type": "app.bsky.actor.profile", "displayName": "Ann"}),
    ]
    indexer.feed(indexer.world.commit_frame(account, account.commit(writes)))
    await indexer.settle()
    return account


async def test_reindexing_gives_what_the_stream_had_built(database_url: str) -> None:
    async with harness(database_url, world.World(1)) as indexer:
        await filled(indexer)
        before = await contents(indexer)
        progress: list[tuple[int, int]] = []

        assert (
            await reindex(indexer.pool, indexer.reader, None, lambda done, total: progress.append((done, total))) == 8
        )
        assert await contents(indexer) == before
        assert progress == [(8, 8)]


async def test_lost_and_wrong_rows_are_put_right(database_url: str) -> None:
    async with harness(database_url, world.World(1)) as indexer:
        await filled(indexer)
        before = await contents(indexer)
        admin = await asyncpg.connect(database_url)
        await admin.execute(
            "DELETE FROM network.lists; UPDATE network.tracks SET title = 'wrong'; DELETE FROM network.list_items; DELETE FROM network.profiles"
        )
        await admin.close()

        await reindex(indexer.pool, indexer.reader, None, lambda *_: None)

        assert await contents(indexer) == before


async def test_a_changed_lexicon_is_applied_to_what_is_kept(database_url: str) -> None:
    documents = [json.loads(path.read_text()) for path in LEXICONS.rglob("*.json")]
    (track_document,) = [document for document in documents if document["id"] == "fm.plyr.track"]
    record = track_document["defs"]["main"]["record"]
    record["properties"]["title"]["maxLength"] = 1000
    record["required"].append("tags")

    async with harness(database_url, world.World(1)) as indexer:
        account = await filled(indexer)
        one, long = "fm.plyr.track/3mbd3542kzc22", "fm.plyr.track/3mbd3542kzc23"
        assert await indexer.verdict(account, one) == ("accepted", [])
        assert await indexer.verdict(account, long) == ("flagged", ["maxLength"])

        await reindex(indexer.pool, RecordReader(Catalog(documents), NAMESPACE), ["fm.plyr.track"], lambda *_: None)

        assert await indexer.verdict(account, one) == ("accepted", [])
        assert await indexer.verdict(account, long) == ("rejected", ["required"])
        assert await indexer.titles() == ["One"]
        assert await indexer.rows(
            "SELECT accepted, rejected FROM network.collection_totals WHERE collection = 'fm.plyr.track'"
        ) == [(1, 2)]


async def test_a_collection_that_is_not_indexed_is_refused(database_url: str) -> None:
    async with harness(database_url, world.World(1)) as indexer:
        with pytest.raises(ValueError, match=r"no collection of which records are kept: app\.bsky\.feed\.post"):
            await reindex(indexer.pool, indexer.reader, ["app.bsky.feed.post"], lambda *_: None)
