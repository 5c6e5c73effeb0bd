"""The tables of the schema `plyr`, as SQLAlchemy Core declares them: what only we know, and nobody could fetch again.

They refer to the network by DID and AT-URI, as the numbers of `network` die with it.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Identity,
    Index,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from database.media_tables import PLYR
from database.tables import BytesText, Time, metadata

takedowns = Table(
    "takedowns",
    metadata,
    Column("subject", BytesText, primary_key=True, comment="a DID or an AT-URI"),
    Column("reason", Text, nullable=False),
    Column("created_at", Time, nullable=False, server_default=text("now()")),
    schema=PLYR,
)

sync_requests = Table(
    "sync_requests",
    metadata,
    Column("did", BytesText, primary_key=True),
    Column("requested_at", Time, nullable=False, server_default=text("now()")),
    Column("taken_at", Time),
    schema=PLYR,
    comment="DIDs that somebody asked us to fetch",
)
Index("sync_requests_open_idx", sync_requests.c.requested_at, postgresql_where=text("taken_at IS NULL"))

plays = Table(
    "plays",
    metadata,
    Column("play_id", BigInteger, Identity(always=True), primary_key=True),
    Column("subject", BytesText, nullable=False, comment="the AT-URI of the track"),
    Column("listener", BytesText, comment="a DID; null: nobody was signed in"),
    Column("played_at", Time, nullable=False, server_default=text("now()")),
    schema=PLYR,
    comment="Every play that counted; rows are added and never changed",
)
Index("plays_recent_idx", plays.c.played_at)

play_turns = Table(
    "play_turns",
    metadata,
    Column("listener", BytesText, primary_key=True, comment="a DID, or a keyed hash of an address"),
    Column("subject", BytesText, primary_key=True, comment="the AT-URI of the track"),
    Column("idempotency_key", BytesText, primary_key=True),
    Column("counted", Boolean, nullable=False),
    Column("until", Time, nullable=False, comment="until then the next play of this listener does not count"),
    schema=PLYR,
    comment="Who has just heard what: forgotten when the track could have been heard to its end",
)
Index("play_turns_until_idx", play_turns.c.until)

play_counters = Table(
    "play_counters",
    metadata,
    Column("subject", BytesText, primary_key=True, comment="the AT-URI of the track"),
    Column("play_count", BigInteger, nullable=False),
    schema=PLYR,
    comment="How many rows of plays there are, kept by the transaction that adds them",
)

track_overlays = Table(
    "track_overlays",
    metadata,
    Column("uri", BytesText, primary_key=True),
    Column("legacy_id", BigInteger, unique=True, comment="the number in links of the time before"),
    Column("tags", ARRAY(Text), comment="where the record has none"),
    Column("visibility", Text, comment="public or unlisted, where the record does not say"),
    Column("play_count", BigInteger, nullable=False, server_default=text("0"), comment="plays of the time before"),
    Column("album_image_url", Text),
    Column("imported_at", Time, nullable=False, server_default=text("now()")),
    schema=PLYR,
    comment="What an operator knows of tracks and no record says",
)
Index("track_overlays_imported_idx", track_overlays.c.imported_at)


def all_tables() -> MetaData:
    """Return the tables of both schemas."""
    return metadata
