"""Add follows, labels, rankings, plays and overlays.

What tracked accounts follow was not read before: every repository is fetched once more, as far as it is ours.

Revision: 0003
Follows: 0002
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from atprotocol.cbor import decode
from indexer.collections.list import slug_of
from indexer.collections.projection import NO_UNAUTHENTICATED, self_labels_of

revision = "0003"
down_revision = "0002"

# A record may hold U+0000, on which Postgres refuses to look into JSON at all. Which fields there are does not depend on it.
_SAYS_VISIBILITY = r"(CAST(replace(CAST(d.json AS text), '\u0000', '\u0020') AS json) -> 'visibility') IS NOT NULL"
# As indexer/counters.py computes it.
_HOT_SCORE = "log(2, 1 + coalesce(c.like_count, 0)) + extract(epoch FROM t.sort_at) / 172800"

_BLUESKY_PROFILE = "app.bsky.actor.profile/"
# Few records have labels: only those are read whose bytes have the word.
_LABELLED = """
    SELECT d.uri_id, a.did, u.path, d.raw
    FROM network.records d JOIN network.uris u USING (uri_id) JOIN network.actors a USING (actor_id)
    WHERE d.verdict IN ('accepted', 'flagged') AND position('\\x6c6162656c73'::bytea IN d.raw) > 0
        AND (u.path LIKE 'app.bsky.actor.profile/%' OR d.uri_id IN (SELECT uri_id FROM network.tracks))
"""
_LABEL = """
    INSERT INTO network.labels (uri, src, val, cid, uri_id, created_at, sort_at)
    SELECT :uri, :src, :val, '', d.uri_id,
        CASE WHEN isfinite(d.sort_at) THEN to_char(d.sort_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24\\:MI\\:SS"Z"')
            ELSE '0001-01-01T00\\:00\\:00Z' END,
        d.sort_at
    FROM network.records d WHERE d.uri_id = :uri_id
"""
_NAME_LIST = "UPDATE network.lists SET slug = :slug WHERE uri_id = :uri_id"


def upgrade() -> None:
    op.create_table(
        "follows",
        sa.Column("uri_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=False),
        sa.Column("subject_actor_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("uri_id", name=op.f("follows_pkey")),
        schema="network",
        comment="Whom tracked accounts follow: the edges alone",
    )
    op.create_index("follows_actor_idx", "follows", ["actor_id", "subject_actor_id"], unique=False, schema="network")
    op.create_table(
        "label_cursors",
        sa.Column("src", sa.Text(collation="C"), nullable=False, comment="the labeler"),
        sa.Column("seq", sa.BigInteger(), nullable=False, comment="of the last message whose labels are stored"),
        sa.Column("updated_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("src", name=op.f("label_cursors_pkey")),
        schema="network",
    )
    op.create_table(
        "labels",
        sa.Column("uri", sa.Text(collation="C"), nullable=False, comment="a DID or an AT-URI"),
        sa.Column("src", sa.Text(collation="C"), nullable=False, comment="who says so: a labeler, or the author"),
        sa.Column("val", sa.Text(collation="C"), nullable=False),
        sa.Column("cid", sa.LargeBinary(), nullable=False, comment="the version it is about; empty: every version"),
        sa.Column(
            "uri_id",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="of the record in which its author says so; 0: a labeler's",
        ),
        sa.Column("negated", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False, comment="as the labeler wrote it"),
        sa.Column(
            "sort_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="created_at as an instant: of two the later holds",
        ),
        sa.Column("expires_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("uri", "src", "val", "cid", "uri_id", name=op.f("labels_pkey")),
        schema="network",
        comment="What is stated about accounts and records, by configured labelers and by authors",
    )
    op.create_index(
        "labels_record_idx",
        "labels",
        ["uri_id"],
        unique=False,
        schema="network",
        postgresql_where=sa.text("uri_id <> 0"),
    )
    op.create_table(
        "rankings",
        sa.Column("ranking", sa.Text(), nullable=False),
        sa.Column("as_of", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("uri_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("ranking", "as_of", "position", name=op.f("rankings_pkey")),
        schema="network",
        comment="Tracks in an order that stays as it was, for whoever pages through it",
    )
    op.create_table(
        "play_counters",
        sa.Column("subject", sa.Text(collation="C"), nullable=False, comment="the AT-URI of the track"),
        sa.Column("play_count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("play_counters_pkey")),
        schema="plyr",
        comment="How many rows of plays there are, kept by the transaction that adds them",
    )
    op.create_table(
        "play_turns",
        sa.Column("listener", sa.Text(collation="C"), nullable=False, comment="a DID, or a keyed hash of an address"),
        sa.Column("subject", sa.Text(collation="C"), nullable=False, comment="the AT-URI of the track"),
        sa.Column("idempotency_key", sa.Text(collation="C"), nullable=False),
        sa.Column("counted", sa.Boolean(), nullable=False),
        sa.Column(
            "until",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="until then the next play of this listener does not count",
        ),
        sa.PrimaryKeyConstraint("listener", "subject", "idempotency_key", name=op.f("play_turns_pkey")),
        schema="plyr",
        comment="Who has just heard what: forgotten when the track could have been heard to its end",
    )
    op.create_index("play_turns_until_idx", "play_turns", ["until"], unique=False, schema="plyr")
    op.create_table(
        "plays",
        sa.Column("play_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("subject", sa.Text(collation="C"), nullable=False, comment="the AT-URI of the track"),
        sa.Column("listener", sa.Text(collation="C"), nullable=True, comment="a DID; null: nobody was signed in"),
        sa.Column("played_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("play_id", name=op.f("plays_pkey")),
        schema="plyr",
        comment="Every play that counted; rows are added and never changed",
    )
    op.create_index("plays_recent_idx", "plays", ["played_at"], unique=False, schema="plyr")
    op.create_table(
        "track_overlays",
        sa.Column("uri", sa.Text(collation="C"), nullable=False),
        sa.Column("legacy_id", sa.BigInteger(), nullable=True, comment="the number in links of the time before"),
        sa.Column("tags", postgresql.ARRAY(sa.Text()), nullable=True, comment="where the record has none"),
        sa.Column("visibility", sa.Text(), nullable=True, comment="public or unlisted, where the record does not say"),
        sa.Column(
            "play_count",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="plays of the time before",
        ),
        sa.Column("album_image_url", sa.Text(), nullable=True),
        sa.Column("imported_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("uri", name=op.f("track_overlays_pkey")),
        sa.UniqueConstraint("legacy_id", name=op.f("track_overlays_legacy_id_key")),
        schema="plyr",
        comment="What an operator knows of tracks and no record says",
    )
    op.create_index("track_overlays_imported_idx", "track_overlays", ["imported_at"], unique=False, schema="plyr")
    op.drop_index(op.f("comments_actor_idx"), table_name="comments", schema="network")
    op.create_index(
        "comments_actor_recent_idx",
        "comments",
        ["actor_id", sa.literal_column("sort_at DESC")],
        unique=False,
        schema="network",
    )
    op.create_index(
        "comments_latest_idx", "comments", [sa.literal_column("sort_at DESC")], unique=False, schema="network"
    )
    op.create_index(
        "likes_actor_recent_idx",
        "likes",
        ["actor_id", sa.literal_column("sort_at DESC")],
        unique=False,
        schema="network",
        postgresql_where=sa.text("counted"),
    )
    op.create_index(
        "likes_recent_idx",
        "likes",
        [sa.literal_column("sort_at DESC")],
        unique=False,
        schema="network",
        postgresql_where=sa.text("counted"),
    )
    op.add_column(
        "lists",
        sa.Column(
            "slug",
            sa.Text(collation="C"),
            nullable=True,
            comment="the name as it stands in an address; null where it has no letter",
        ),
        schema="network",
    )
    op.create_index(
        "lists_actor_recent_idx",
        "lists",
        ["actor_id", sa.literal_column("sort_at DESC"), sa.literal_column("uri DESC")],
        unique=False,
        schema="network",
    )
    op.create_index(
        "lists_latest_idx",
        "lists",
        [sa.literal_column("sort_at DESC"), sa.literal_column("uri DESC")],
        unique=False,
        schema="network",
    )
    op.create_index(
        "lists_slug_idx",
        "lists",
        ["actor_id", "slug"],
        unique=False,
        schema="network",
        postgresql_where=sa.text("purpose = 'album'"),
    )
    op.add_column(
        "tracks",
        sa.Column(
            "says_visibility",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="the record has the field: then no overlay decides",
        ),
        schema="network",
    )
    op.add_column(
        "tracks",
        sa.Column(
            "hot_score",
            sa.Double(),
            server_default=sa.text("0"),
            nullable=False,
            comment="grows with likes and with sort_at, so that order needs no clock",
        ),
        schema="network",
    )
    op.create_index(
        "tracks_hot_idx",
        "tracks",
        [sa.literal_column("hot_score DESC"), sa.literal_column("uri DESC")],
        unique=False,
        schema="network",
        postgresql_where=sa.text("visibility = 'public'"),
    )

    op.execute(
        f"""UPDATE network.tracks t SET hot_score = {_HOT_SCORE}, says_visibility = {_SAYS_VISIBILITY}
            FROM network.records d LEFT JOIN network.track_counters c USING (uri_id) WHERE d.uri_id = t.uri_id"""  # noqa: S608
    )
    op.execute(
        "UPDATE network.repos SET sync_status = 'desynchronized', cause = 'requested' WHERE sync_status = 'synchronized'"
    )
    _read_again()


def _read_again() -> None:
    """Fill in what records said already: self labels of tracks and Bluesky profiles, names of lists in addresses."""
    bind = op.get_bind()
    labels: list[dict[str, object]] = []
    for uri_id, did, path, raw in bind.execute(sa.text(_LABELLED)):
        record = decode(bytes(raw))
        values = self_labels_of(record) if isinstance(record, dict) else ()
        for value in values:
            is_about_account = path.startswith(_BLUESKY_PROFILE) and value == NO_UNAUTHENTICATED
            uri = did if is_about_account else f"at://{did}/{path}"
            labels.append({"uri": uri, "src": did, "val": value, "uri_id": uri_id})
    slugs = [
        {"uri_id": uri_id, "slug": slug_of(name)}
        for uri_id, name in bind.execute(sa.text("SELECT uri_id, name FROM network.lists WHERE name IS NOT NULL"))
    ]
    for statement, rows in ((_LABEL, labels), (_NAME_LIST, slugs)):
        if rows:
            bind.execute(sa.text(statement), rows)
