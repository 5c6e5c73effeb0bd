"""Random histories of a small network, and a stream that tells them: what happens, and when the indexer may work.

Shared by the tests that say what the tables must hold afterwards (`test_model`) and that it does not matter when the work
was done (`test_determinism`).
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import world
from harness import Harness, comment, like, playlist, track
from hypothesis import strategies as st

KEYS = [f"3mbd3542kzc2{letter}" for letter in "234567"]
TABLES = "actors, repos, uris, records, tracks, track_features, track_search, track_tags, likes, comments, lists, list_items, list_search, profiles, follows, labels, blob_references, actor_search, track_counters, collection_totals, cursors, cursor_history, audits, undecodable_frames"

# What happened in all stories so far: a test that draws none of something proves nothing about it.
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
        {"labels": {"$type": "com.atproto.label.defs#selfLabels", "values": [{"val": "porn"}, {"val": "!hide"}]}},
        {"duration": 2**50},
        {"audioBlob": world.blob(b"music", "audio/mpeg")},
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
    st.tuples(st.just("follow"), keys, numbers),
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
            case "follow", [key, number]:
                follow = {"subject": self.accounts[number].did, "createdAt": "2026-01-01T00:00:00Z"}
                return f"app.bsky.graph.follow/{key}", {"$type": "app.bsky.graph.follow"} | follow
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
