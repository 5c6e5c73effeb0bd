"""Random histories through the whole pipeline, against a model of plain dictionaries.

Whatever order of commits, replays, gaps, forgeries, rotations, repairs, batches and restarts is drawn, in the end the
tables say what the repositories say, counters included. The model looks at the world alone; it shares no code with us.
"""

import asyncio
import os
from collections import Counter
from typing import Any

import asyncpg
import pytest
import world
from harness import Harness, harness
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from search_rows import expected_search, stored_search
from stories import KEYS, TABLES, Story, happened, step

EXAMPLES = int(os.environ.get("PLYR_MODEL_EXAMPLES") or (200 if os.environ.get("CI") == "true" else 60))
OWN = ("fm.plyr.track", "fm.plyr.like", "fm.plyr.comment", "fm.plyr.list", "fm.plyr.actor.profile")
INDEXED = (*OWN, "app.bsky.actor.profile", "app.bsky.graph.follow")
# --- the model ----------------------------------------------------------------------------------------------------------


def is_valid(path: str, record: world.Record) -> bool:
    """Tell whether a drawn record is accepted: junk is the only kind that is not."""
    if not path.startswith("fm.plyr.track/"):
        return True
    return (
        isinstance(record["title"], str)
        and record["artist"] is not None
        and record["createdAt"] != "yesterday"
        and record["$type"] == "fm.plyr.track"
        and "features" not in record
    )


def model(story: Story, tracked: set[str]) -> dict[str, Any]:
    """Say what the tables must hold, from the repositories alone."""
    tables: dict[str, Any] = {
        name: {}
        for name in (
            "records",
            "tracks",
            "likes",
            "comments",
            "lists",
            "items",
            "profiles",
            "follows",
            "labels",
            "references",
            "scores",
        )
    }
    likers: dict[str, set[str]] = {}
    comments: Counter[str] = Counter()
    totals: dict[str, list[int]] = {}
    for account in story.accounts:
        if account.did not in tracked or account.did in story.deleted:
            continue
        pairs: dict[str, str] = {}
        for path, record in sorted(account.records.items()):
            collection = path.partition("/")[0]
            if collection not in INDEXED:
                continue
            uri = f"at://{account.did}/{path}"
            valid = is_valid(path, record)
            tables["records"][uri] = (world.cid_of(world.encode(record)), valid)
            totals.setdefault(collection, [0, 0])[0 if valid else 1] += 1
            if not valid:
                continue
            subject = record.get("subject", "")
            target = subject["uri"] if isinstance(subject, dict) else subject
            match collection.rpartition(".")[2]:
                case "track":
                    title = record["title"].replace("\0", "\ufffd")
                    tables["tracks"][uri] = (
                        title,
                        record.get("visibility", "public"),
                        list(dict.fromkeys(record.get("tags", []))),
                        record["createdAt"],
                    )
                    if "audioBlob" in record:
                        tables["references"][uri] = ("audio", world.cid_text(record["audioBlob"]["ref"].value[1:]))
                    # What begins with an exclamation mark is no author's word.
                    if "labels" in record:
                        tables["labels"][uri] = (account.did, "porn")
                case "like":
                    tables["likes"][uri] = (target, target not in pairs)
                    pairs[target] = uri
                    likers.setdefault(target, set()).add(account.did)
                case "comment":
                    tables["comments"][uri] = (target, record["text"])
                    comments[target] += 1
                case "list":
                    tables["lists"][uri] = len(record["items"])
                    for position, item in enumerate(record["items"]):
                        tables["items"][uri, position] = item["subject"]["uri"]
                case "follow":
                    tables["follows"][uri] = target
                case "profile":
                    tables["profiles"][uri] = record.get("bio") or record.get("displayName")
    tables["counters"] = {
        target: (len(likers.get(target, ())), comments[target]) for target in likers.keys() | comments.keys()
    }
    tables["scores"] = {uri: len(likers.get(uri, ())) for uri in tables["tracks"]}
    tables["totals"] = {collection: tuple(counts) for collection, counts in totals.items()}
    return tables


URI = "'at://' || a.did || '/' || u.path"
NAMED = "JOIN network.uris u USING (uri_id) JOIN network.actors a ON a.actor_id = u.actor_id"
TARGET = "JOIN network.uris su ON su.uri_id = x.subject_uri_id JOIN network.actors sa ON sa.actor_id = su.actor_id"
TARGET_URI = "'at://' || sa.did || '/' || su.path"


async def tables_of(indexer: Harness) -> dict[str, Any]:
    """Read what the tables hold, by URI."""

    async def read(query: str) -> dict[Any, Any]:
        return {row[0]: row[1] if len(row) == 2 else row[1:] for row in await indexer.rows(query)}

    items = await indexer.rows(f"SELECT {URI}, position, {TARGET_URI} FROM network.list_items x {NAMED} {TARGET}")
    return {
        "records": await read(
            f"SELECT {URI}, x.cid, x.verdict <> 'rejected' FROM network.records x {NAMED} WHERE x.cid IS NOT NULL"
        ),
        "tracks": await read(
            f"SELECT {URI}, title, visibility, tags, created_at FROM network.tracks x {NAMED} WHERE x.uri = {URI}"
        ),
        "likes": await read(f"SELECT {URI}, {TARGET_URI}, counted FROM network.likes x {NAMED} {TARGET}"),
        "comments": await read(f"SELECT {URI}, {TARGET_URI}, text FROM network.comments x {NAMED} {TARGET}"),
        "lists": await read(f"SELECT {URI}, item_count FROM network.lists x {NAMED}"),
        "items": {(uri, position): target for uri, position, target in items},
        "profiles": await read(f"SELECT {URI}, coalesce(bio, display_name) FROM network.profiles x {NAMED}"),
        "follows": await read(
            f"SELECT {URI}, s.did FROM network.follows x {NAMED} JOIN network.actors s ON s.actor_id = x.subject_actor_id"
        ),
        "labels": await read("SELECT uri, src, val FROM network.labels"),
        "references": await read(
            f"""SELECT {URI}, role, cid FROM network.blob_references x JOIN network.uris u USING (uri_id, actor_id)
                JOIN network.actors a USING (actor_id)"""
        ),
        # A score is likes and time: the likes are read out of it again.
        "scores": await read(
            f"""SELECT {URI}, CASE
                    WHEN isfinite(x.sort_at)
                    THEN (2 ^ (x.hot_score - extract(epoch FROM x.sort_at) / 172800)::numeric(20, 6) - 1)::numeric(20, 3)::bigint
                    -- What was made before time began is hot at no time.
                    WHEN x.hot_score = '-infinity' THEN coalesce(c.like_count, 0) END
                FROM network.tracks x {NAMED} LEFT JOIN network.track_counters c USING (uri_id)"""
        ),
        "counters": await read(f"SELECT {URI}, like_count, comment_count FROM network.track_counters x {NAMED}"),
        "totals": await read(
            "SELECT collection, accepted, rejected FROM network.collection_totals WHERE accepted <> 0 OR rejected <> 0"
        ),
    }


@pytest.fixture(scope="module")
def counted() -> Counter[str]:
    happened.clear()
    return happened


def test_whatever_happens_the_tables_say_what_the_repositories_say(database_url: str, counted: Counter[str]) -> None:
    with asyncio.Runner() as runner:
        context = harness(database_url, world.World())
        indexer = runner.run(context.__aenter__())
        admin = runner.run(asyncpg.connect(database_url))

        async def tell(seed: int, steps: list[tuple[Any, ...]]) -> None:
            await admin.execute(f"TRUNCATE {', '.join('network.' + name for name in TABLES.split(', '))}")
            indexer.world = indexer.server.world = world.World(seed)
            await indexer.load()
            story = Story(indexer)
            story.accounts = [indexer.world.account(pds=indexer.server.url) for _ in range(4)]
            for number, account in enumerate(story.accounts):
                account.commit([])
                if number:  # the first one stays a stranger until it makes something of ours
                    await story.tell("commit", number, [("track", KEYS[0], {})])
            await indexer.settle()
            for kind, *parts in steps:
                await story.tell(kind, *parts)
            await story.end()

            tracked = set(indexer.repos.by_did)
            expected, found = model(story, tracked), await tables_of(indexer)
            for name, rows in expected.items():
                assert found[name] == rows, name
            # What search asks follows from the rest, which is held against the model.
            assert await stored_search(admin) == await expected_search(admin)
            for account in story.accounts:
                repo = indexer.repos.by_did.get(account.did)
                if repo is not None and account.did not in story.deleted:
                    assert (repo.sync_status, repo.rev, repo.data) == ("synchronized", account.rev, account.tree.root)
            await replayed(story, found)
            counted["desynchronized"] += sum(indexer.metrics.desynchronized.values())
            counted["ignored replays"] += indexer.metrics.ignored["replayed"]
            counted["purged"] += indexer.metrics.events["indexer.purged"]
            counted["broken chains"] += indexer.metrics.desynchronized["broken-chain"]
            counted["bad signatures"] += indexer.metrics.desynchronized["bad-signature"]

        async def replayed(story: Story, found: dict[str, Any]) -> None:
            """Replay the whole stream on top: nothing may change."""
            indexer.feed(*(raw for _, raw in story.frames))
            await indexer.settle(rounds=20)
            again = await tables_of(indexer)
            for name, rows in found.items():
                assert again[name] == rows, f"{name} after a replay"

        @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.integers(0, 3), st.lists(step, min_size=15, max_size=50))
        def histories(seed: int, steps: list[tuple[Any, ...]]) -> None:
            runner.run(tell(seed, steps))

        try:
            histories()
        finally:
            runner.run(admin.close())
            runner.run(context.__aexit__(None, None, None))

    for name in (
        "commit",
        "miss",
        "replay",
        "forge",
        "rotate",
        "sync",
        "deactivate",
        "delete-account",
        "restart",
        "desynchronized",
        "ignored replays",
        "purged",
        "broken chains",
        "bad signatures",
    ):
        assert counted[name] > 0, f"no {name} ever happened: the test proves nothing about it"
