"""A hundred thousand tracks with names like those that people give: few words are everywhere, most are rare.

Made of syllables by a generator that always draws the same; one name in twenty is written in characters without spaces.
"""

import itertools
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg

from database.search_text import SearchRow, tag_keys, track_row

TRACKS = 100_000
ARTISTS = 5_000
_WORDS = 40_000
_TAGS = 500
_FIRST = ("the", "love", "night", "of", "a", "remix")
_CHARACTERS = "夜東京風花雪月空海星光雨夢音色心道山川水火木金土日人時間世界"
_COLUMNS = (
    "uri_id", "actor_id", "uri", "sort_at", "created_at", "title", "artist", "album", "file_type", "visibility", "tags",
)  # fmt: skip
_START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Name:
    """What a track says of itself."""

    title: str
    artist: str
    album: str | None
    tags: list[str]

    def row(self) -> SearchRow:
        """Return how it is found."""
        row = track_row(self.title, self.artist, self.album, self.tags)
        assert row is not None
        return row


def names(count: int = TRACKS) -> list[Name]:
    """Return so many names."""
    chance = random.Random(1)
    vocabulary = list(dict.fromkeys([*_FIRST, *(_word(chance) for _ in range(_WORDS))]))
    weights = list(itertools.accumulate(1 / (rank + 3) for rank in range(len(vocabulary))))

    def text(count: int) -> str:
        return " ".join(chance.choices(vocabulary, cum_weights=weights, k=count)).title()

    artists = [text(chance.choice((1, 2, 2, 3))) for _ in range(ARTISTS)]
    tags = [text(1).lower() for _ in range(_TAGS)]
    made = []
    for _ in range(count):
        title = text(chance.choice((1, 2, 3, 3, 4, 5)))
        if chance.random() < 0.05:
            title = "".join(chance.choices(_CHARACTERS, k=chance.randint(2, 8)))
        album = text(2) if chance.random() < 0.5 else None
        made.append(Name(title, chance.choice(artists), album, chance.sample(tags, 3)))
    return made


async def fill(connection: asyncpg.Connection, made: list[Name]) -> None:
    """Put accounts and tracks, without what search asks, into an empty, migrated database."""
    dids = [f"did:plc:{number:024d}" for number in range(1, ARTISTS + 1)]
    await connection.execute(
        "INSERT INTO network.actors (actor_id, did) OVERRIDING SYSTEM VALUE SELECT * FROM unnest($1::bigint[], $2::text[])",
        list(range(1, ARTISTS + 1)),
        dids,
    )
    await connection.execute(
        "INSERT INTO network.repos (actor_id, sync_status) SELECT actor_id, 'synchronized' FROM network.actors"
    )
    await connection.copy_records_to_table(
        "tracks",
        schema_name="network",
        columns=_COLUMNS,
        records=[
            (
                number,
                1 + number % ARTISTS,
                f"at://{dids[number % ARTISTS]}/fm.plyr.track/{number:013d}",
                # In an order that has nothing to do with that of the numbers.
                _START + timedelta(seconds=number * 7919 % 1_000_003),
                "2026-01-01T00:00:00Z",
                name.title,
                name.artist,
                name.album,
                "mp3",
                "unlisted" if number % 20 == 0 else "public",
                name.tags,
            )
            for number, name in enumerate(made, start=1)
        ],
    )
    await connection.execute(
        "INSERT INTO plyr.takedowns (subject, reason) SELECT did, 'bench' FROM network.actors WHERE actor_id % 100 = 0"
    )


async def fill_search(connection: asyncpg.Connection, made: list[Name]) -> None:
    """Put what search asks into the database, as the indexer does."""
    for start in range(0, len(made), 1000):
        rows = [(start + number, name.row()) for number, name in enumerate(made[start : start + 1000], start=1)]
        await connection.executemany(
            """INSERT INTO network.track_search SELECT uri_id, sort_at, uri, $2, array_to_tsvector($3::text[])
               FROM network.tracks WHERE uri_id = $1""",
            [(number, row.words, row.terms) for number, row in rows],
        )
        await connection.executemany(
            "INSERT INTO network.track_tags VALUES ($1, $2, $3)",
            [
                (start + number, key, tag)
                for number, name in enumerate(made[start : start + 1000], start=1)
                for key, tag in tag_keys(name.tags).items()
            ],
        )


def _word(chance: random.Random) -> str:
    syllables = chance.choice((1, 2, 2, 2, 3, 3, 4))
    return "".join(
        chance.choice("bcdfghjklmnprstvwz") + chance.choice("aeiou") + chance.choice(("", "", *"nrstl"))
        for _ in range(syllables)
    )
