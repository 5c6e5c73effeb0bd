"""Skeleton of tags: those that listed tracks have, in the order of their letters, with how many tracks have each.

A tag is compared without case, accents and punctuation, and shown as most of the counted tracks write it. Only listed tracks
count, so a hidden one leaves no trace, not even a tag that it alone had. The order is that of the letters, as it alone stays
while counts change; a count ends at a bound, so the cost of a page has one.
"""

from dataclasses import dataclass
from typing import Final

import asyncpg

from appview.asking import Statement
from appview.viewer import Asker
from appview.visibility import Seen
from appview.xrpc.cursor import Key

COUNTED: Final = 1000
# Tags that only hidden tracks have take a look too; so often is looked before a page ends without being full.
_LOOKS: Final = 3
_SCHEME: Final = "at://"
# In the order of code points everything that begins with a text comes before the text with this.
_LAST_CHARACTER: Final = "\U0010ffff"

# From one tag to the next by the index, however many tracks have it.
KEYS: Final = """
    WITH RECURSIVE tags (tag_key, number) AS (
        (SELECT tag_key, 1 FROM network.track_tags
         WHERE tag_key > $1::text AND tag_key >= $2::text AND tag_key < $3::text ORDER BY tag_key LIMIT 1)
        UNION ALL
        SELECT next.tag_key, tags.number + 1 FROM tags CROSS JOIN LATERAL (
            SELECT k.tag_key FROM network.track_tags k
            WHERE k.tag_key > tags.tag_key AND k.tag_key < $3::text ORDER BY k.tag_key LIMIT 1
        ) next WHERE tags.number < $4::int
    )
    SELECT tag_key FROM tags ORDER BY number
"""
COUNTS: Final = Statement(
    Seen.DISCOVERY,
    lambda rules: (
        f"""
    SELECT asked.tag_key, counted.* FROM unnest($1::text[]) WITH ORDINALITY asked (tag_key, number)
    CROSS JOIN LATERAL (
        SELECT mode() WITHIN GROUP (ORDER BY listed.tag COLLATE "C") AS tag, count(*) AS track_count FROM (
            SELECT k.tag FROM network.track_tags k CROSS JOIN LATERAL (
                SELECT FROM network.tracks t
                JOIN network.repos r ON r.actor_id = t.actor_id
                JOIN network.actors a ON a.actor_id = t.actor_id
                WHERE t.uri_id = k.uri_id AND {rules.track("t", "r", "a.did")} OFFSET 0
            ) shown
            WHERE k.tag_key = asked.tag_key
            LIMIT {COUNTED}
        ) listed
    ) counted
    WHERE counted.track_count > 0
    ORDER BY asked.number
    """
    ),
)


@dataclass(frozen=True, slots=True)
class TagCount:
    """A tag as it is mostly written, and how many listed tracks have it, up to COUNTED."""

    tag: str
    track_count: int


async def tags(
    connection: asyncpg.Connection, asker: Asker, prefix: str, limit: int, after: Key | None
) -> tuple[list[TagCount], Key | None]:
    """Return the tags that begin with a normalized text, and the key that the next page follows."""
    last = "" if after is None else after.uri.removeprefix(_SCHEME)
    found: list[tuple[str, TagCount]] = []
    for _ in range(_LOOKS):
        wanted = limit + 1 - len(found)
        keys = [row["tag_key"] for row in await connection.fetch(KEYS, last, prefix, prefix + _LAST_CHARACTER, wanted)]
        counts = await connection.fetch(COUNTS.of(asker), keys)
        found += [(row["tag_key"], TagCount(row["tag"], row["track_count"])) for row in counts]
        if len(found) > limit:
            last = found[limit - 1][0]
            break
        if len(keys) < wanted:
            return [tag for _, tag in found], None
        last = keys[-1]
    return [tag for _, tag in found[:limit]], Key(0, f"{_SCHEME}{last}")
