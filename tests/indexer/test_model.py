"""Random histories through the whole pipeline, against a model of plain dictionaries.

Whatever order of commits, replays, gaps, forgeries, rotations, repairs, batches and restarts is drawn, in the end the
tables say what the repositories say, counters included. The model looks at the world alone; it shares no code with us.
"""

import asyncio
import os
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest
import world
from harness import Harness, comment, harness, like, playlist, track
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("PLYR_MODEL_EXAMPLES") or (200 if os.environ.get("CI") == "true" else 60))
KEYS = [f"3mbd3542kzc2{letter}" for letter in "234567"]
OWN = ("fm.plyr.track", "fm.plyr.like", "fm.plyr.comment", "fm.plyr.list", "fm.plyr.actor.profile")
INDEXED = (*OWN, "app.bsky.actor.profile")
TABLES = "actors, repos, uris, records, tracks, track_features, likes, comments, lists, list_items, profiles, track_counters, collection_totals, cursors, cursor_history, undecodable_frames"

happened: Counter[str] = Counter()


# --- what may happen ------------------------------------------------------------------------------------------------

numbers = st.integers(0, 3)
keys = st.sampled_from(KEYS)
oddities = st.sampled_from(
    [
        {"title": "nul \0 inside"},
        {"title": "x" * 300},
        {"createdAt": "0001-01-01T00:00:00Z"},
        {"createdAt": "9999-12-31T23:59:59.999Z"},
        {"createdAt": "2016-12-31T23:59:60Z"},
        {"unknownField": {"deep": [1, {"b": b"bytes"}]}},
        {"visibility": "unlisted"},
        {"tags": ["a", "b", "a"]},
        {"duration": 2**50},
        {"audioUrl": "https://audio.example.com/x.mp3"},
    ]
)
junk = st.sampled_from(
    [
        {"title": 42},
        {"artist": None},
        {"createdAt": "yesterday"},
        {"$type": "fm.plyr.other"},
        {"features": [{"did": "nobody"}]},
    ]
)
write = st.one_of(
    st.tuples(st.just("track"), keys, oddities | st.just({})),
    st.tuples(st.just("track"), keys, st.just({})),
    st.tuples(st.just("junk"), keys, junk),
    st.tuples(st.just("like"), keys, numbers, keys),
    st.tuples(st.just("like"), keys, numbers, keys),
    st.tuples(st.just("comment"), keys, numbers, keys),
    st.tuples(st.just("list"), keys, st.lists(st.tuples(numbers, keys), max_size=4)),
    st.tuples(st.just("profile"), st.sampled_from(["Ann", "Bob"])),
    st.tuples(st.just("bluesky"), st.sampled_from(["Ann", "Bob"])),
    st.tuples(st.just("foreign"), keys, numbers),
    st.tuples(st.just("delete"), numbers),
    st.tuples(st.just("delete"), numbers),
)
step = st.one_of(
    st.tuples(st.just("commit"), numbers, st.lists(write, max_size=4)),
    st.tuples(st.just("commit"), numbers, st.lists(write, max_size=4)),
    st.tuples(st.just("commit"), numbers, st.lists(write, min_size=1, max_size=4)),
    st.tuples(st.just("miss"), numbers, st.lists(write, min_size=1, max_size=3)),
    st.tuples(st.just("replay"), st.integers(1, 8)),
    st.tuples(st.just("forge"), numbers, write),
    st.tuples(st.just("rotate"), numbers),
    st.tuples(st.just("identity"), numbers),
    st.tuples(st.just("sync"), numbers),
    st.tuples(st.just("deactivate"), numbers),
    st.tuples(st.just("activate"), numbers),
    st.tuples(st.just("delete-account"), numbers),
    st.tuples(st.just("write")),
    st.tuples(st.just("write")),
    st.tuples(st.just("mend")),
    st.tuples(st.just("mend")),
    st.tuples(st.just("restart")),
)


# --- the world and the stream ------------------------------------------------------------------------------------------


@dataclass
class Story:
    """One drawn history: the accounts, and every frame that the relay keeps."""

    indexer: Harness
    accounts: list[world.Account] = field(default_factory=list)
    frames: list[tuple[int, bytes]] = field(default_factory=list)
    deleted: set[str] = field(default_factory=set)

    def send(self, raw: bytes) -> None:
        self.frames.append((self.indexer.world.seq, raw))
        self.indexer.feed(raw)

    def writes(self, account: world.Account, drawn: list[tuple[Any, ...]]) -> list[world.Write]:
        """Turn drawn writes into operations that are possible one after another."""
        present = set(account.records)
        writes: list[world.Write] = []
        for kind, *parts in drawn:
            if kind == "delete":
                if present:
                    path = sorted(present)[parts[0] % len(present)]
                    present.discard(path)
                    writes.append(("delete", path, None))
                continue
            path, record = self.record(kind, parts)
            writes.append(("update" if path in present else "create", path, record))
            present.add(path)
        return writes

    def record(self, kind: str, parts: list[Any]) -> tuple[str, world.Record]:
        match kind, parts:
            case "track", [key, odd]:
                return f"fm.plyr.track/{key}", track(f"track {key}") | odd
            case "junk", [key, odd]:
                return f"fm.plyr.track/{key}", track("junk") | odd
            case "like", [key, number, other]:
                return f"fm.plyr.like/{key}", like(self.accounts[number], f"fm.plyr.track/{other}")
            case "comment", [key, number, other]:
                return f"fm.plyr.comment/{key}", comment(
                    self.accounts[number], f"fm.plyr.track/{other}", f"comment {key}"
                )
            case "list", [key, items]:
                return f"fm.plyr.list/{key}", playlist(
                    [(self.accounts[number], f"fm.plyr.track/{other}") for number, other in items]
                )
            case "profile", [name]:
                return "fm.plyr.actor.profile/self", {
                    "$type": "fm.plyr.actor.profile",
                    "bio": name,
                    "createdAt": "2026-01-01T00:00:00Z",
                }
            case "bluesky", [name]:
                return "app.bsky.actor.profile/self", {"$type": "app.bsky.actor.profile", "displayName": name}
            case "foreign", [key, number]:
                return f"app.bsky.feed.post/{key}", {"n": number}
        raise AssertionError(kind)

    async def tell(self, kind: str, *parts: Any) -> None:
        """Let one step happen."""
        indexer, network = self.indexer, self.indexer.world
        account = self.accounts[parts[0]] if parts and kind != "replay" else self.accounts[0]
        if account.did in self.deleted and kind not in ("replay", "write", "mend", "restart"):
            return
        happened[kind] += 1
        match kind:
            case "commit":
                self.send(network.commit_frame(account, account.commit(self.writes(account, parts[1]))))
            case "miss":
                network.commit_frame(account, account.commit(self.writes(account, parts[1])))
            case "replay":
                for _, raw in self.frames[-parts[0] :]:
                    indexer.feed(raw)
                if self.frames:
                    indexer.position.seq = self.frames[-1][0]
            case "forge":
                thief = world.Account(
                    network,
                    account.did,
                    account.handle,
                    network.key(),
                    account.pds,
                    dict(account.records),
                    account.tree,
                    account.rev,
                )
                self.send(network.commit_frame(thief, thief.commit(self.writes(thief, [parts[1]]))))
            case "rotate":
                account.key = network.key()
                self.send(network.identity_frame(account)) if len(self.frames) % 2 else None
            case "identity":
                self.send(network.identity_frame(account))
            case "sync":
                if account.rev is not None:
                    self.send(network.sync_frame(account))
            case "deactivate":
                account.active, account.status = False, "deactivated"
                self.send(network.account_frame(account, False, "deactivated"))
            case "activate":
                account.active, account.status = True, None
                self.send(network.account_frame(account, True))
            case "delete-account":
                account.active, account.status = False, "deleted"
                self.deleted.add(account.did)
                self.send(network.account_frame(account, False, "deleted"))
            case "write":
                await indexer.write()
            case "mend":
                await indexer.mend()
            case "restart":
                await self.restart()

    async def restart(self) -> None:
        """Forget everything in memory and go on from the stored cursor, as a new process does."""
        indexer = self.indexer
        await indexer.load()
        cursor = await indexer.value("SELECT max(seq) FROM network.cursors") or 0
        indexer.feed(*(raw for seq, raw in self.frames if seq > cursor))

    async def end(self) -> None:
        """Let every account be heard of once more, and everything that is open be done."""
        for account in self.accounts:
            if account.did not in self.deleted:
                if not account.active:
                    await self.tell("activate", self.accounts.index(account))
                self.send(self.indexer.world.commit_frame(account, account.commit([])))
        await self.indexer.settle(rounds=20)


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
        name: {} for name in ("records", "tracks", "likes", "comments", "lists", "items", "profiles")
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
            target = record["subject"]["uri"] if "subject" in record else ""
            match collection.rpartition(".")[2]:
                case "track":
                    title = record["title"].replace("\0", "\ufffd")
                    tables["tracks"][uri] = (
                        title,
                        record.get("visibility", "public"),
                        list(dict.fromkeys(record.get("tags", []))),
                        record["createdAt"],
                    )
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
                case "profile":
                    tables["profiles"][uri] = record.get("bio") or record.get("displayName")
    tables["counters"] = {
        target: (len(likers.get(target, ())), comments[target]) for target in likers.keys() | comments.keys()
    }
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
