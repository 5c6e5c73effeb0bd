"""A hash of what every table says, by natural keys: two databases with the same content have the same hashes.

Numbers that were given out (actors, URIs) stand for what they name. Every column of every table of our schemas is either
hashed or excluded with a reason: what is neither, or no longer exists, is an error, so nothing new can be forgotten.
"""

import hashlib
from dataclasses import dataclass

import asyncpg

# What is hashed. `name?` stands for "is it null": a time of our own clock of which only that matters.
HASHED = {
    "network.actors": "did",
    "network.repos": "actor_id sync_status cause cause_detail active upstream_status takendown visible account_seq account_host rev seen_rev"
    " data commit_cid handle handle_verified_at? handle_checked_at? signing_key pds deleted_at? purged_at?",
    "network.uris": "actor_id path",
    "network.records": "uri_id cid raw json verdict problems",
    "network.tracks": "uri_id actor_id uri created_at title artist album duration_seconds file_type audio_cid audio_mime_type"
    " audio_size_bytes audio_url image_cid image_url support_gate visibility says_visibility tags",
    "network.track_features": "uri_id position actor_id",
    "network.track_search": "uri_id uri words terms",
    "network.track_tags": "uri_id tag_key tag",
    "network.likes": "uri_id actor_id subject_uri_id created_at counted",
    "network.comments": "uri_id actor_id subject_uri_id created_at text timestamp_ms",
    "network.lists": "uri_id actor_id uri created_at name slug purpose description image_cid item_count",
    "network.list_items": "uri_id position subject_uri_id",
    "network.list_search": "uri_id uri words terms",
    "network.profiles": "uri_id actor_id source created_at display_name bio avatar_url avatar_cid",
    "network.follows": "uri_id actor_id subject_actor_id",
    "network.labels": "uri src val cid negated created_at expires_at",
    "network.label_cursors": "src seq",
    "network.blob_references": "uri_id role actor_id cid",
    "network.actor_search": "actor_id words terms",
    "network.track_counters": "uri_id like_count comment_count",
    "network.collection_totals": "collection accepted rejected",
    "network.cursors": "host endpoint seq event_time",
    "network.undecodable_frames": "host after_seq reason content",
    "plyr.takedowns": "subject reason",
    "plyr.track_overlays": "uri legacy_id tags visibility play_count album_image_url",
    "plyr.sync_requests": "did taken_at?",
    "plyr.media_jobs": "kind subject",
}
_CLOCK = "our own clock"
_NUMBER = "given out in the order of arrival; hashed by what it names"
_HISTORY = "our own history, not content"
_MEDIA = "the media worker's, which does not run here"
# What is not hashed, and why: a column, or all of a table (`.*`).
EXCLUDED = {
    "network.actors.actor_id": _NUMBER,
    "network.uris.uri_id": _NUMBER,
    "network.repos.identity_at": _CLOCK,
    "network.repos.retry_at": _CLOCK,
    "network.repos.retry_count": _HISTORY,
    "network.repos.tracked_at": _CLOCK,
    "network.repos.synchronized_at": _CLOCK,
    "network.records.rev": "a snapshot dates all that it brings with its own rev; `misdated_records` bounds it instead",
    "network.records.indexed_at": _CLOCK,
    "network.records.sort_at": _CLOCK,
    "network.tracks.sort_at": _CLOCK,
    "network.likes.sort_at": _CLOCK,
    "network.comments.sort_at": _CLOCK,
    "network.lists.sort_at": _CLOCK,
    "network.tracks.hot_score": "follows from sort_at and the counters",
    "network.labels.sort_at": _CLOCK,
    "network.labels.uri_id": "of the record that states the label, and 0 where none does",
    "network.label_cursors.updated_at": _CLOCK,
    "network.rankings.*": _HISTORY,
    "network.track_search.sort_at": _CLOCK,
    "network.list_search.sort_at": _CLOCK,
    "network.cursors.updated_at": _CLOCK,
    "network.cursor_history.*": _HISTORY,
    "network.audits.*": _HISTORY,
    "network.leadership.*": _HISTORY,
    "network.undecodable_frames.undecodable_frame_id": _NUMBER,
    "network.undecodable_frames.seen_at": _CLOCK,
    "plyr.takedowns.created_at": _CLOCK,
    "plyr.track_overlays.imported_at": _CLOCK,
    "plyr.plays.*": _HISTORY,
    "plyr.media_jobs.wanted": "grows with every replay",
    "plyr.media_jobs.run_at": _CLOCK,
    "plyr.media_jobs.created_at": _CLOCK,
    "plyr.media_jobs.attempts": _MEDIA,
    "plyr.media_jobs.lease": _MEDIA,
    "plyr.media_jobs.leased_until": _MEDIA,
    "plyr.media_jobs.last_error": _MEDIA,
    "plyr.blobs.*": _MEDIA,
    "plyr.blob_variants.*": _MEDIA,
    "plyr.external_media.*": _MEDIA,
    "plyr.play_turns.*": _HISTORY,
    "plyr.play_counters.*": _HISTORY,
    "plyr.sync_requests.requested_at": _CLOCK,
    "plyr.sync_requests.taken_at": "hashed as whether it is null",
}
# Rows that two right runs may differ in are left out.
_ROWS = {
    # A deletion leaves a tombstone where the record was known; a snapshot may skip a record's whole life.
    "network.records": "x.cid IS NOT NULL",
    # As below: what a purged account was called depends on when it was last looked at.
    "network.actor_search": "x.actor_id NOT IN (SELECT actor_id FROM network.repos WHERE purged_at IS NOT NULL)",
    # Of a record whose whole life a snapshot skips nothing was asked for.
    "plyr.media_jobs": "x.subject IN (SELECT cid FROM network.blob_references)",
    "network.track_counters": "x.like_count <> 0 OR x.comment_count <> 0",
    "network.collection_totals": "x.accepted <> 0 OR x.rejected <> 0",
    # What named a record or an account that a snapshot skips was numbered in one run and not in the other. Numbers are given
    # in the transaction that uses them, so a lost attempt leaves none; a live row that names none is an error anyway.
    "network.uris": """x.uri_id IN (
        SELECT uri_id FROM network.records WHERE cid IS NOT NULL UNION ALL SELECT subject_uri_id FROM network.likes
        UNION ALL SELECT subject_uri_id FROM network.comments UNION ALL SELECT subject_uri_id FROM network.list_items)""",
    "network.actors": """x.actor_id IN (
        SELECT actor_id FROM network.repos UNION ALL SELECT actor_id FROM network.track_features
        UNION ALL SELECT subject_actor_id FROM network.follows
        UNION ALL SELECT u.actor_id FROM network.uris u JOIN network.records r USING (uri_id) WHERE r.cid IS NOT NULL)""",
}
# A purged account keeps its status; who it was, and what was wrong, when it was last looked at depends on when that was.
_UNLESS_PURGED = {
    "sync_status",
    "cause",
    "cause_detail",
    "handle",
    "handle_verified_at",
    "handle_checked_at",
    "signing_key",
    "pds",
}
_DISTINCT = {"network.undecodable_frames"}  # A kill between the frame and the cursor has it kept twice.
_ACTOR = "(SELECT a.did FROM network.actors a WHERE a.actor_id = x.{0})"
_URI = "(SELECT 'at://' || a.did || '/' || u.path FROM network.uris u JOIN network.actors a USING (actor_id) WHERE u.uri_id = x.{0})"
_COLUMNS = """
    SELECT table_schema || '.' || table_name AS "table", column_name AS "column"
    FROM information_schema.columns JOIN information_schema.tables USING (table_catalog, table_schema, table_name)
    WHERE table_schema IN ('network', 'plyr') AND table_type = 'BASE TABLE'
"""
# A record may be dated by any commit from the one that wrote it on, up to where its repository stands.
_MISDATED = """
    SELECT 'at://' || a.did || '/' || u.path || ' ' || x.rev
    FROM network.records x JOIN network.uris u USING (uri_id) JOIN network.actors a USING (actor_id)
    LEFT JOIN network.repos r USING (actor_id)
    WHERE x.cid IS NOT NULL AND (r.rev IS NULL OR x.rev > r.rev)
"""

Row = tuple[str | None, ...]


class UndecidedColumn(Exception):
    """A column is neither hashed nor excluded, or is one of these and does not exist."""


class DanglingNumber(Exception):
    """A row refers to a number that names nothing."""


@dataclass(frozen=True, slots=True)
class TableContent:
    """What one table says: its rows as text, sorted, under these columns."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def digest(self) -> str:
        """Return a hash of the rows."""
        return hashlib.sha256(repr(self.rows).encode()).hexdigest()


async def read_tables(connection: asyncpg.Connection) -> dict[str, TableContent]:
    """Return the content of every table, as of one moment. Raises UndecidedColumn and DanglingNumber."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return await read_within(connection)


async def read_within(connection: asyncpg.Connection) -> dict[str, TableContent]:
    """Return the same as the caller's transaction sees it."""
    check_columns({(row["table"], row["column"]) for row in await connection.fetch(_COLUMNS)})
    return {table: await _read(connection, table, wanted.split()) for table, wanted in HASHED.items()}


async def misdated_records(connection: asyncpg.Connection) -> list[str]:
    """Return the live records whose rev is above that of their repository."""
    return [row[0] for row in await connection.fetch(_MISDATED)]


def check_columns(found: set[tuple[str, str]]) -> None:
    """Raise UndecidedColumn unless every column is decided about, and every decision is about a column that exists."""
    tables = {table for table, _ in found}
    hashed = {(table, name.removesuffix("?")) for table, names in HASHED.items() for name in names.split()}
    excluded = set()
    for name in EXCLUDED:
        table, _, column = name.rpartition(".")
        matching = {each for each in found if each[0] == table and column in ("*", each[1])}
        if not matching:
            raise UndecidedColumn(f"{name} is excluded and does not exist: remove it from EXCLUDED")
        excluded |= matching
    if undecided := found - hashed - excluded:
        names = ", ".join(sorted(".".join(each) for each in undecided))
        raise UndecidedColumn(f"{names}: add to HASHED, or to EXCLUDED with a reason")
    if missing := hashed - found:
        names = ", ".join(sorted(".".join(each) for each in missing))
        raise UndecidedColumn(f"{names}: hashed, and does not exist (of {len(tables)} tables)")


async def _read(connection: asyncpg.Connection, table: str, wanted: list[str]) -> TableContent:
    expressions = [_expression(table, name) for name in wanted]
    query = f"SELECT {', '.join(expressions)} FROM {table} x WHERE {_ROWS.get(table, 'true')}"
    rows: list[Row] = [tuple(row) for row in await connection.fetch(query)]
    for index, name in enumerate(wanted):
        if name.endswith(("uri_id", "actor_id")) and any(row[index] is None for row in rows):
            raise DanglingNumber(f"{table}.{name}")
    if table in _DISTINCT:
        rows = list(set(rows))
    # None sorts before every text.
    ordered = sorted(rows, key=lambda row: [(value is not None, value or "") for value in row])
    return TableContent(tuple(wanted), tuple(ordered))


def _expression(table: str, name: str) -> str:
    column = name.removesuffix("?")
    if column.endswith("actor_id"):
        text = _ACTOR.format(column)
    elif column.endswith("uri_id"):
        text = _URI.format(column)
    elif name.endswith("?"):
        text = f"(x.{column} IS NULL)::text"
    else:
        text = f"x.{column}::text"
    return (
        f"CASE WHEN x.purged_at IS NULL THEN {text} END"
        if table.endswith(".repos") and column in _UNLESS_PURGED
        else text
    )


def differences(expected: TableContent, found: TableContent, limit: int = 5) -> list[str]:
    """Return the rows that only one of them has, as lines, at most so many of each side."""
    left, right = set(expected.rows), set(found.rows)
    lines = []
    for sign, rows in (("-", left - right), ("+", right - left)):
        chosen = sorted(rows, key=repr)[:limit]
        lines += [
            f"{sign} "
            + " ".join(f"{name}={_short(value)}" for name, value in zip(expected.columns, row, strict=True) if value)
            for row in chosen
        ]
        if len(rows) > limit:
            lines.append(f"{sign} … {len(rows) - limit} more")
    if not lines and expected.rows != found.rows:
        lines.append(f"the same rows in other numbers: {len(expected.rows)} and {len(found.rows)}")
    return lines


def _short(value: str | None) -> str:
    text = str(value)
    return text if len(text) <= 90 else text[:87] + "…"
