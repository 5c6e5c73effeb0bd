"""Skeletons of searches: what is found for a text, best matches first, newest first among equals.

Five tiers follow one another: the whole name, its beginning, words by their beginnings, the inside of words, words with
one letter mistyped. A key is a tier and a place in time, and neither changes while a record stays as it is, so pages lose
and repeat nothing. There are two ways to a page, which lead to the same one: when few rows are found they are sorted,
and when many are, rows are looked at in their order until there are enough. Both are bounded; where so many were looked
at in vain that it is enough, the page ends early. Figures: docs/decisions/0012-search-by-n-grams.md.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

import asyncpg

from appview.feeds.pages import Page
from appview.viewer import Asker
from appview.visibility import Seen, SqlRules
from appview.xrpc.cursor import Key, MalformedCursor
from atprotocol.syntax.datetime import LATEST
from database.search_text import SearchQuery, purpose_term, tag_term, term_query

# Sorting so many costs about as much as coming upon a page of them among a hundred thousand.
FEW: Final = 2000
# So many are looked at before a page may end without being full.
WINDOW: Final = 20_000
_WINDOWS: Final = 3
# A key's number is tier and place, of which the microseconds of all years that there are need 59 bits.
_PLACE_BITS: Final = 59
_PLACES: Final = (1 << _PLACE_BITS) - 1
_YEAR_1: Final = datetime(1, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

# What a row's terms must say for each tier, and what its words must where terms say too much.
_TIERS: Final = (
    ("exact", ""),
    ("prefix", ""),
    ("words", "AND s.words LIKE ALL ((SELECT words_like FROM asked)::text[])"),
    ("within", "AND s.words LIKE ALL ((SELECT within_like FROM asked)::text[])"),
    ("fuzzy", ""),
)
_PREFIX: Final = 1
# Which tiers are looked for at once: each time it is likely that those that follow are not needed.
_TOGETHER: Final = ((0, 1), (2, 2), (3, 4))
_TIER: Final = " ".join(
    f"WHEN s.terms @@ (SELECT {name} FROM asked) {spelled} THEN {tier}" for tier, (name, spelled) in enumerate(_TIERS)
)
# What was asked stays out of the planner's sight, so that it makes one plan and keeps it.
_ASKED: Final = """
    WITH asked AS MATERIALIZED (
        SELECT $1::int AS tier, $2::{place} AS place, $3::text AS uri, $4::int AS size, $5::tsquery AS exact,
            $6::tsquery AS prefix, $7::tsquery AS words, $8::tsquery AS within, $9::tsquery AS fuzzy,
            $10::text[] AS words_like, $11::text[] AS within_like, $12::bigint AS actor_id, $13::tsquery AS found,
            $14::int AS last_tier
    )
"""

NOTHING: Final = Page([], None)

_Row: TypeAlias = asyncpg.Record


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is searched: rows of number, place, uri, words and terms, their order, and which of them are shown.

    `shown` is what follows FROM in a query that is empty where the row `s` is not shown. `is_found` chooses the rows
    that may be in any tier, by an index.
    """

    rows: str
    shown: str
    is_found: str = "s.terms @@ (SELECT found FROM asked)"
    place: str = "timestamptz"
    is_after: str = "(s.place, s.uri) < ((SELECT place FROM asked), (SELECT uri FROM asked))"
    order: str = "s.place DESC, s.uri DESC"


@dataclass(frozen=True, slots=True)
class Statements:
    """The two statements of a search: all rows where they are few, and the next ones in order where they are many."""

    find: str
    walk: str
    # What is found is sorted by time, not by number.
    is_of_time: bool


class Search:
    """The statements of a search, for whoever is signed in and for everybody else."""

    def __init__(self, kind: Callable[[SqlRules], _Kind]) -> None:
        """Write them with the rules for what we choose to show."""
        self.kinds = {
            is_anonymous: kind(SqlRules(Seen.DISCOVERY, is_anonymous=is_anonymous)) for is_anonymous in (True, False)
        }
        self._statements = {is_anonymous: _statements(each) for is_anonymous, each in self.kinds.items()}

    def of(self, asker: Asker) -> Statements:
        """Return the statements for whoever asks."""
        return self._statements[asker.is_anonymous]


def _statements(kind: _Kind) -> Statements:
    asked = _ASKED.format(place=kind.place)
    # OFFSET 0 keeps the parts apart: row by row in their order, and only as many as are needed.
    shown = f"CROSS JOIN LATERAL (SELECT FROM {kind.shown} OFFSET 0) shown"
    return Statements(
        find=f"""
            {asked}, found AS MATERIALIZED (
                SELECT s.number, s.place, s.uri, CASE {_TIER} END AS tier FROM ({kind.rows}) s
                WHERE {kind.is_found} LIMIT {FEW + 1}
            )
            SELECT counted.count, page.* FROM (SELECT count(*) FROM found) counted LEFT JOIN LATERAL (
                SELECT s.* FROM (
                    SELECT * FROM found s
                    WHERE counted.count <= {FEW} AND s.tier <= (SELECT last_tier FROM asked) AND (
                        s.tier > (SELECT tier FROM asked) OR s.tier = (SELECT tier FROM asked) AND {kind.is_after}
                    )
                    ORDER BY s.tier, {kind.order}
                ) s {shown} ORDER BY s.tier, {kind.order} LIMIT (SELECT size FROM asked)
            ) page ON true
        """,
        walk=f"""
            {asked} SELECT s.*, shown.is_shown IS NOT NULL AS is_found FROM (
                SELECT s.number, s.place, s.uri, CASE {_TIER} END AS tier,
                    row_number() OVER (ORDER BY {kind.order}) = {WINDOW} AS is_end
                FROM ({kind.rows}) s WHERE {kind.is_after} ORDER BY {kind.order} LIMIT {WINDOW}
            ) s LEFT JOIN LATERAL (
                SELECT true AS is_shown FROM {kind.shown} AND s.tier = (SELECT tier FROM asked) OFFSET 0
            ) shown ON true
            WHERE s.is_end OR shown.is_shown
            ORDER BY {kind.order} LIMIT (SELECT size FROM asked)
        """,
        is_of_time=kind.place == "timestamptz",
    )


_ACCOUNT: Final = "network.repos r JOIN network.actors a ON a.actor_id = r.actor_id"


def _tracks(rules: SqlRules) -> _Kind:
    return _Kind(
        rows="SELECT uri_id AS number, sort_at AS place, uri, words, terms FROM network.track_search",
        shown=f"network.tracks t JOIN ({_ACCOUNT}) ON r.actor_id = t.actor_id"
        f" WHERE t.uri_id = s.number AND {rules.track('t', 'r', 'a.did')}",
    )


def _tracks_of_actor(rules: SqlRules) -> _Kind:
    return replace(
        _tracks(rules),
        rows="""
            SELECT t.uri_id AS number, t.sort_at AS place, t.uri, f.words, f.terms FROM network.tracks t
            CROSS JOIN LATERAL (SELECT * FROM network.track_search f WHERE f.uri_id = t.uri_id OFFSET 0) f
            WHERE t.actor_id = (SELECT actor_id FROM asked)
        """,
        is_found="true",
    )


def _lists(rules: SqlRules) -> _Kind:
    return _Kind(
        rows="SELECT uri_id AS number, sort_at AS place, uri, words, terms FROM network.list_search",
        shown=f"network.uris u JOIN ({_ACCOUNT}) ON r.actor_id = u.actor_id"
        f" WHERE u.uri_id = s.number AND {rules.record('r', 'a.did', 's.uri', 's.number')}",
    )


def _actors(rules: SqlRules) -> _Kind:
    return _Kind(
        rows="SELECT actor_id AS number, actor_id AS place, 'at://' AS uri, words, terms FROM network.actor_search",
        shown=f"{_ACCOUNT} WHERE r.actor_id = s.number AND {rules.account('r', 'a.did')}",
        # Who was here first comes first: others may take the same name in order to be mistaken for them.
        place="bigint",
        is_after="s.place > (SELECT place FROM asked)",
        order="s.place",
    )


TRACKS: Final = Search(_tracks)
TRACKS_OF_ACTOR: Final = Search(_tracks_of_actor)
LISTS: Final = Search(_lists)
ACTORS: Final = Search(_actors)


async def tracks(
    connection: asyncpg.Connection,
    asker: Asker,
    query: SearchQuery,
    limit: int,
    after: Key | None,
    *,
    tag_key: str | None = None,
    actor_id: int | None = None,
) -> Page:
    """Return the listed tracks that are found: those with a (normalized) tag, or of an account, if one is given."""
    chosen = None if tag_key is None else tag_term(tag_key)
    if actor_id is None:
        return await _Question(connection, TRACKS.of(asker), query, chosen).page(limit, after)
    return await _Question(connection, TRACKS_OF_ACTOR.of(asker), query, chosen, actor_id).page(limit, after)


async def lists(
    connection: asyncpg.Connection,
    asker: Asker,
    query: SearchQuery,
    limit: int,
    after: Key | None,
    *,
    purpose: str | None = None,
) -> Page:
    """Return the lists that are found: those of a type, if one is given."""
    chosen = None if purpose is None else purpose_term(purpose)
    return await _Question(connection, LISTS.of(asker), query, chosen).page(limit, after)


async def actors(
    connection: asyncpg.Connection, asker: Asker, query: SearchQuery, limit: int, after: Key | None
) -> Page:
    """Return the numbers of the accounts that are found."""
    return await _Question(connection, ACTORS.of(asker), query, None).page(limit, after)


class _Question:
    """One question, as it is put to the database."""

    def __init__(
        self,
        connection: asyncpg.Connection,
        statements: Statements,
        query: SearchQuery,
        chosen: str | None,
        actor_id: int | None = None,
    ) -> None:
        """Take the question; `chosen` is a term that every row must have."""
        self._connection = connection
        self._statements = statements
        self._is_of_time = statements.is_of_time
        tiers = [query.exact, query.prefix, query.words, query.within, query.fuzzy]
        if chosen is not None:
            tiers = [None if tier is None else f"{term_query(chosen)} & ({tier})" for tier in tiers]
        self._tiers = tiers
        self._parameters = (*tiers, query.words_like, query.within_like, actor_id)

    async def page(self, limit: int, after: Key | None) -> Page:
        """Return the page that follows a key.

        Raises MalformedCursor.
        """
        first = -1 if after is None else after.number >> _PLACE_BITS
        if not -1 <= first < len(_TIERS):
            raise MalformedCursor
        rows: list[_Row] = []
        for low, high in _TOGETHER:
            if high < first or self._tiers[low] is self._tiers[high] is None:
                continue
            end = await self._add(rows, max(low, first), high, limit, after if first >= low else None)
            if end is not None:
                return Page([row["number"] for row in rows], end)
            if len(rows) > limit:
                return Page([row["number"] for row in rows[:limit]], self._key(rows[limit - 1]))
        return Page([row["number"] for row in rows], None)

    async def _add(self, rows: list[_Row], low: int, high: int, limit: int, after: Key | None) -> Key | None:
        """Add the rows of some tiers, as many as there is room for; return where looking for them was given up."""
        anything = " | ".join(f"({tier})" for tier in self._tiers[low : high + 1] if tier is not None)
        if low > _PREFIX:
            # What is in a better tier by its terms alone is not looked at again.
            anything = f"({anything}) & !({self._tiers[_PREFIX]})"
        found = await self._find(anything, after, limit - len(rows), low, high)
        if found is not None:
            rows += found
            return None
        for tier in range(low, high):
            # Of many, few may be of the better tier.
            end = await self._add(rows, tier, tier, limit, after)
            if end is not None or len(rows) > limit:
                return end
            after = None
        return await self._walk(rows, high, limit, after)

    async def _walk(self, rows: list[_Row], tier: int, limit: int, after: Key | None) -> Key | None:
        """Add rows of a tier by looking at all rows in their order; return where that was given up."""
        if self._tiers[tier] is None:
            return None
        for _ in range(_WINDOWS):
            room = limit - len(rows)
            found = await self._fetch(self._statements.walk, after, room, tier, None, tier)
            rows += [row for row in found if row["is_found"]]
            if not found or not found[-1]["is_end"] or len(rows) > limit:
                return None
            after = self._key(found[-1], tier)
            if rows:
                break
        return after

    async def _find(self, found: str, after: Key | None, room: int, low: int, high: int) -> list[_Row] | None:
        """Return the rows of these tiers, those of the lowest after a key; None when too many are found."""
        rows = await self._fetch(self._statements.find, after, room, low, found, high)
        if rows[0]["count"] > FEW:
            return None
        return [row for row in rows if row["number"] is not None]

    async def _fetch(
        self, statement: str, after: Key | None, room: int, tier: int, found: str | None, last_tier: int
    ) -> list[_Row]:
        place: object
        if self._is_of_time:
            place = LATEST if after is None else _instant(after.number & _PLACES)
        else:
            place = -1 if after is None else after.number & _PLACES
        uri = "" if after is None else after.uri
        rows: list[_Row] = await self._connection.fetch(
            statement, tier, place, uri, room + 1, *self._parameters, found, last_tier
        )
        return rows

    def _key(self, row: _Row, tier: int | None = None) -> Key:
        place = _microseconds(row["place"]) if self._is_of_time else row["place"]
        return Key((row["tier"] if tier is None else tier) << _PLACE_BITS | place, row["uri"])


def _microseconds(instant: datetime) -> int:
    # The database driver gives the ends of the calendar without a zone; they are in UTC like all others.
    return (instant.replace(tzinfo=UTC) - _YEAR_1) // _MICROSECOND


def _instant(microseconds: int) -> datetime:
    try:
        return _YEAR_1 + timedelta(microseconds=microseconds)
    except OverflowError as error:
        raise MalformedCursor from error
