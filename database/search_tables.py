"""The tables that search asks: how tracks, lists and accounts are found, and the tags of tracks.

All of it follows from other rows of `network` (database/search_text.py says how) and is written with them.
"""

from typing import Any

from sqlalchemy import BigInteger, Column, Index, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import TIMESTAMP, TSVECTOR

_BYTES_TEXT = Text(collation="C")


def declare_search_tables(metadata: MetaData, schema: str) -> None:
    """Declare them among the others."""
    tags = Table(
        "track_tags",
        metadata,
        Column("uri_id", BigInteger, primary_key=True, autoincrement=False),
        Column("tag_key", _BYTES_TEXT, primary_key=True, comment="the tag as it is compared"),
        Column("tag", Text, nullable=False, comment="as the author wrote it"),
        schema=schema,
        comment="A row for every tag of a track that says something",
    )
    Index("track_tags_key_idx", tags.c.tag_key, tags.c.uri_id)
    for name, number, found in (
        ("track_search", "uri_id", "tracks"),
        ("list_search", "uri_id", "lists"),
        ("actor_search", "actor_id", "accounts"),
    ):
        in_order = _in_order() if number == "uri_id" else ()
        table = Table(
            name,
            metadata,
            Column(number, BigInteger, primary_key=True, autoincrement=False),
            *in_order,
            Column("words", Text, nullable=False, comment="as they are compared, a line for each text"),
            Column("terms", TSVECTOR, nullable=False, comment="n-grams and others, of database/search_text.py"),
            schema=schema,
            comment=f"How {found} are found",
        )
        if in_order:
            Index(f"{name}_latest_idx", table.c.sort_at.desc(), table.c.uri.desc())
        # Entries are put in at once: a list of pending ones would have to be read by every search.
        Index(f"{name}_terms_idx", table.c.terms, postgresql_using="gin", postgresql_with={"fastupdate": "off"})


def _in_order() -> tuple[Column[Any], ...]:
    return (
        Column("sort_at", TIMESTAMP(timezone=True), nullable=False),
        Column("uri", _BYTES_TEXT, nullable=False),
    )
