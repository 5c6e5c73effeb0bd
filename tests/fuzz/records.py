"""Records of our collections with something in them bent, through the validator, the projections and the JSON."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import world
from fuzz.choices import Choices

from atprotocol.lexicon.catalog import Catalog
from indexer.records import RecordReader

LEXICONS = Path(__file__).resolve().parents[2] / "lexicons"
_DID = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
_SUBJECT = f"at://{_DID}/fm.plyr.track/3jzfcijpj2z2a"


class Records:
    """The reader of records, made when it is first needed."""

    def __init__(self) -> None:
        self._reader: RecordReader | None = None

    def __call__(self, data: bytes) -> str:
        choices = Choices(data)
        path, record = choices.one_of(RECORDS)
        raw = choices.edited(world.encode(record)) if choices.below(3) == 0 else world.encode(_bent(choices, record))
        self._reader = reader = self._reader or RecordReader(Catalog.load(LEXICONS), "fm.plyr")
        reading = reader.read(path, raw)
        assert reading.verdict in ("accepted", "flagged", "rejected")
        assert (reading.verdict == "accepted") == (not reading.problems)
        assert (reading.projection is None) == (reading.verdict == "rejected")
        if reading.json is not None:
            assert isinstance(json.loads(reading.json), dict)
        if reading.projection is not None:
            assert "\0" not in "".join(_texts(reading.projection))
            "".join(_texts(reading.projection)).encode("utf-8")
        rules = {problem.rule for problem in reading.problems}
        return f"{path[:12]} {reading.verdict} {sorted(rules)[:2]}"


def _texts(projection: Any) -> Iterable[str]:
    for name in projection.__slots__:
        value = getattr(projection, name)
        if isinstance(value, str):
            yield value
        elif isinstance(value, tuple):
            yield from (each for each in value if isinstance(each, str))


_ODD: tuple[Any, ...] = (
    None,
    0,
    -1,
    True,
    "",
    "\0",
    "a" * 3001,
    "\U0001f469\u200d\U0001f467" * 9,
    b"bytes",
    [],
    {},
    {"$type": 1},
    2**63 - 1,
    "2026-01-01T00:00:60Z",
    "at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/fm.plyr.track/x",
)


def _bent(choices: Choices, value: Any) -> Any:
    """Return a record with something in it replaced, left out or put somewhere else."""
    if isinstance(value, dict) and value:
        name = choices.one_of(sorted(value))
        match choices.below(6):
            case 0:
                return {other: item for other, item in value.items() if other != name}
            case 1:
                return value | {name: choices.one_of(_ODD)}
            case 2:
                return value | {name: choices.one_of(list(value.values()))}
            case 3:
                return value | {choices.some(6).decode("utf-8", "replace"): choices.one_of(_ODD)}
            case _:
                return value | {name: _bent(choices, value[name])}
    if isinstance(value, list) and value:
        at = choices.below(len(value))
        return [*value[:at], _bent(choices, value[at]), *value[at : at + choices.below(3)]]
    if isinstance(value, str):
        return choices.edited(value.encode()).decode("utf-8", "replace")
    return choices.one_of(_ODD)


def _some_records() -> list[tuple[str, dict[str, Any]]]:
    now, subject = "2026-01-01T00:00:00.000Z", {"uri": _SUBJECT, "cid": world.cid_text(world.cid_of(b""))}
    audio = world.blob(b"sound", "audio/mpeg")
    return [
        (
            "fm.plyr.track/3mbd3542kzc22",
            {
                "$type": "fm.plyr.track",
                "title": "One",
                "artist": "Ann",
                "album": "First",
                "duration": 100,
                "fileType": "mp3",
                "audioBlob": audio,
                "tags": ["a", "b"],
                "features": [{"did": _DID, "handle": "ann.example.com"}],
                "createdAt": now,
            },
        ),
        ("fm.plyr.like/3mbd3542kzc22", {"$type": "fm.plyr.like", "subject": subject, "createdAt": now}),
        (
            "fm.plyr.comment/3mbd3542kzc22",
            {"$type": "fm.plyr.comment", "subject": subject, "text": "x", "timestampMs": 1, "createdAt": now},
        ),
        (
            "fm.plyr.list/3mbd3542kzc22",
            {"$type": "fm.plyr.list", "listType": "album", "items": [{"subject": subject}], "createdAt": now},
        ),
        ("fm.plyr.actor.profile/self", {"$type": "fm.plyr.actor.profile", "bio": "x", "createdAt": now}),
        (
            "app.bsky.actor.profile/self",
            {"$type": "app.bsky.actor.profile", "displayName": "A", "avatar": world.blob(b"i", "image/png")},
        ),
    ]


RECORDS = _some_records()
