"""Records at random, of every kind that the indexer meets: ours, foreign ones, oddities, junk."""

import random
from collections.abc import Sequence
from typing import Any

import world

Subject = tuple[str, str, bytes]  # (did, path, cid)

ODDITIES: list[dict[str, Any]] = [
    {},
    {},
    {"title": "nul \0 inside"},
    {"title": "x" * 300},
    {"createdAt": "0001-01-01T00:00:00Z"},
    {"createdAt": "2016-12-31T23:59:60Z"},
    {"unknownField": {"deep": [1, {"b": b"bytes"}]}},
    {"visibility": "unlisted"},
    {"tags": ["a", "b", "a"]},
    {"labels": {"$type": "com.atproto.label.defs#selfLabels", "values": [{"val": "porn"}, {"val": "!hide"}]}},
    {"duration": 2**50},
    {"audioBlob": world.blob(b"music", "audio/mpeg")},
    {"audioBlob": world.blob(b"other music", "audio/flac"), "image": world.blob(b"cover", "image/png")},
]
JUNK: list[dict[str, Any]] = [
    {"title": 42},
    {"artist": None},
    {"createdAt": "yesterday"},
    {"$type": "fm.plyr.other"},
    {"features": [{"did": "nobody"}]},
]
KINDS = {
    "track": 30,
    "like": 25,
    "comment": 15,
    "list": 8,
    "profile": 4,
    "bluesky": 4,
    "follow": 4,
    "junk": 4,
    "post": 10,
}
NOBODIES = [f"did:plc:{'a' * 23}{letter}" for letter in "bcdef"]
RECENT = 200


class RecordDrawer:
    """Draws records that refer to one another; what was made is told to `subjects` by whoever makes it."""

    def __init__(self, chance: random.Random) -> None:
        """Begin with nothing to refer to."""
        self._random = chance
        self.subjects: list[Subject] = []

    def created_at(self) -> str:
        """Return when somebody says that something was made."""
        return f"2026-01-{self._random.randrange(1, 29):02d}T00:00:00.000Z"

    def track(self, title: str) -> world.Record:
        """Return a valid track."""
        return {
            "$type": "fm.plyr.track",
            "title": title,
            "artist": "Somebody",
            "fileType": "mp3",
            "createdAt": self.created_at(),
        }

    def draw(self, key: str, dids: Sequence[str]) -> tuple[str, world.Record]:
        """Return (path, record) of any kind under this key; these DIDs may be credited."""
        kind = self._random.choices(list(KINDS), list(KINDS.values()))[0]
        match kind:
            case "track":
                record = self.track(f"title {key}") | self._random.choice(ODDITIES)
                if self._random.random() < 0.2:
                    record["features"] = [{"did": self._random.choice(dids), "handle": "a.test"}]
                return f"fm.plyr.track/{key}", record
            case "junk":
                return f"fm.plyr.track/{key}", self.track("junk") | self._random.choice(JUNK)
            case "like":
                return self._own("like", key, subject=self._subject())
            case "comment":
                return self._own("comment", key, subject=self._subject(), text=f"text {key}", timestampMs=7)
            case "list":
                items = [{"subject": self._subject()} for _ in range(self._random.randrange(4))]
                return self._own("list", key, listType="playlist", name=f"list {key}", items=items)
            case "profile":
                return self._own("actor.profile", "self", bio=f"bio {key}")
            case "bluesky":
                return "app.bsky.actor.profile/self", {"$type": "app.bsky.actor.profile", "displayName": f"name {key}"}
            case "follow":
                subject = self._random.choice([*dids, *NOBODIES])
                follow = {"$type": "app.bsky.graph.follow", "subject": subject, "createdAt": self.created_at()}
                return f"app.bsky.graph.follow/{key}", follow
        return f"app.bsky.feed.post/{key}", {"$type": "app.bsky.feed.post", "text": key}

    def _own(self, name: str, key: str, /, **fields: Any) -> tuple[str, world.Record]:
        return f"fm.plyr.{name}/{key}", {"$type": f"fm.plyr.{name}", **fields, "createdAt": self.created_at()}

    def _subject(self) -> dict[str, str]:
        """Return a strongRef to a recent track, which may be gone, or to one that never was."""
        if not self.subjects or self._random.random() < 0.05:
            nobody = self._random.choice(NOBODIES)
            did, path, cid = nobody, "fm.plyr.track/3mbd3542kzc22", world.cid_of(nobody.encode())
        else:
            did, path, cid = self._random.choice(self.subjects[-RECENT:])
        return {"uri": f"at://{did}/{path}", "cid": world.cid_text(cid)}
