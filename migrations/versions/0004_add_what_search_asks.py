"""Add what search asks: the words and terms by which tracks, lists and accounts are found, and the tags of tracks.

Everything in it follows from what is there, and is filled in here by the present rules (database/search_text.py): about
a minute for each 300,000 tracks, during which the indexer waits. Rules that change later ask for `plyr reindex`.

Revision: 0004
Follows: 0003
"""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from database.search_text import SearchRow, actor_row, list_row, tag_keys, track_row

revision = "0004"
down_revision = "0003"

_SLICE = 5000
_TABLES = {
    "track_search": ("uri_id", "How tracks are found"),
    "list_search": ("uri_id", "How lists are found"),
    "actor_search": ("actor_id", "How accounts are found"),
}
_TRACKS = "SELECT uri_id AS number, sort_at, uri, title, artist, album, tags FROM network.tracks"
_LISTS = "SELECT uri_id AS number, sort_at, uri, name, purpose FROM network.lists"
_ACTORS = """
    SELECT r.actor_id AS number, CASE WHEN r.handle_verified_at IS NOT NULL THEN r.handle END AS handle,
        coalesce(nullif(own.display_name, ''), bluesky.display_name) AS display_name
    FROM network.repos r
    LEFT JOIN network.profiles own ON own.actor_id = r.actor_id AND own.source = 'own'
    LEFT JOIN network.profiles bluesky ON bluesky.actor_id = r.actor_id AND bluesky.source = 'bluesky'
"""


def upgrade() -> None:
    op.create_table(
        "track_tags",
        sa.Column("uri_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tag_key", sa.Text(collation="C"), nullable=False, comment="the tag as it is compared"),
        sa.Column("tag", sa.Text(), nullable=False, comment="as the author wrote it"),
        sa.PrimaryKeyConstraint("uri_id", "tag_key", name=op.f("track_tags_pkey")),
        schema="network",
        comment="A row for every tag of a track that says something",
    )
    for table, (number, comment) in _TABLES.items():
        op.create_table(
            table,
            sa.Column(number, sa.BigInteger(), autoincrement=False, nullable=False),
            *_in_order(number),
            sa.Column("words", sa.Text(), nullable=False, comment="as they are compared, a line for each text"),
            sa.Column(
                "terms",
                postgresql.TSVECTOR(),
                nullable=False,
                comment="n-grams and others, of database/search_text.py",
            ),
            sa.PrimaryKeyConstraint(number, name=op.f(f"{table}_pkey")),
            schema="network",
            comment=comment,
        )
    _fill()
    op.create_index("track_tags_key_idx", "track_tags", ["tag_key", "uri_id"], schema="network")
    for table, (number, _) in _TABLES.items():
        if number == "uri_id":
            order = [sa.literal_column("sort_at DESC"), sa.literal_column("uri DESC")]
            op.create_index(f"{table}_latest_idx", table, order, schema="network")
        op.create_index(
            f"{table}_terms_idx",
            table,
            ["terms"],
            schema="network",
            postgresql_using="gin",
            postgresql_with={"fastupdate": "off"},
        )


def _in_order(number: str) -> list[sa.Column]:
    if number != "uri_id":
        return []
    return [
        sa.Column("sort_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("uri", sa.Text(collation="C"), nullable=False),
    ]


def _fill() -> None:
    for rows in _slices(_TRACKS, "uri_id"):
        _insert("track_search", [(row, track_row(row.title, row.artist, row.album, row.tags)) for row in rows])
        tags = [
            {"number": row.number, "key": key, "tag": tag} for row in rows for key, tag in tag_keys(row.tags).items()
        ]
        if tags:
            op.get_bind().execute(sa.text("INSERT INTO network.track_tags VALUES (:number, :key, :tag)"), tags)
    for rows in _slices(_LISTS, "uri_id"):
        _insert("list_search", [(row, list_row(row.name, row.purpose)) for row in rows])
    for rows in _slices(_ACTORS, "r.actor_id"):
        _insert("actor_search", [(row, actor_row(row.handle, row.display_name)) for row in rows])


def _slices(query: str, number: str) -> Iterator[Sequence[sa.Row]]:
    last = 0
    while True:
        statement = sa.text(f"{query} WHERE {number} > :last ORDER BY {number} LIMIT {_SLICE}")
        rows = op.get_bind().execute(statement, {"last": last}).all()
        if not rows:
            return
        yield rows
        last = rows[-1].number


def _insert(table: str, found: Sequence[tuple[sa.Row, SearchRow | None]]) -> None:
    is_of_records = _TABLES[table][0] == "uri_id"
    rows = []
    for row, search in found:
        if search is not None:
            order = {"sort_at": row.sort_at, "uri": row.uri} if is_of_records else {}
            rows.append({"number": row.number, **order, "words": search.words, "terms": search.terms})
    if rows:
        order = ":sort_at, :uri, " if is_of_records else ""
        values = f":number, {order}:words, array_to_tsvector(CAST(:terms AS text[]))"
        op.get_bind().execute(sa.text(f"INSERT INTO network.{table} VALUES ({values})"), rows)  # noqa: S608
