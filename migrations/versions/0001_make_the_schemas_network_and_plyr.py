"""Make the schemas network and plyr.

Revision: 0001
Follows: nothing
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("CREATE SCHEMA network")
    op.execute("CREATE SCHEMA plyr")
    op.create_table(
        "actors",
        sa.Column("actor_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("did", sa.Text(collation="C"), nullable=False),
        sa.PrimaryKeyConstraint("actor_id", name=op.f("actors_pkey")),
        sa.UniqueConstraint("did", name=op.f("actors_did_key")),
        schema="network",
        comment="Every DID that a repository, a subject or a credit names",
    )
    op.create_table(
        "collection_totals",
        sa.Column("collection", sa.Text(), nullable=False),
        sa.Column("accepted", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("rejected", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("collection", name=op.f("collection_totals_pkey")),
        schema="network",
        comment="How many live records there are: accepted (flagged ones among them) and rejected",
    )
    op.create_table(
        "comments",
        sa.Column("uri_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=False),
        sa.Column("subject_uri_id", sa.BigInteger(), nullable=False),
        sa.Column("sort_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("timestamp_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("uri_id", name=op.f("comments_pkey")),
        schema="network",
    )
    op.create_index("comments_actor_idx", "comments", ["actor_id"], unique=False, schema="network")
    op.create_index(
        "comments_recent_idx",
        "comments",
        ["subject_uri_id", sa.literal_column("sort_at DESC")],
        unique=False,
        schema="network",
    )
    op.create_index(
        "comments_timestamp_idx", "comments", ["subject_uri_id", "timestamp_ms"], unique=False, schema="network"
    )
    op.create_table(
        "cursor_history",
        sa.Column("cursor_history_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("replaced_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("cursor_history_id", name=op.f("cursor_history_pkey")),
        schema="network",
        comment="Cursors that an upstream no longer understands",
    )
    op.create_table(
        "cursors",
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column(
            "event_time",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="the upstream's time of that event",
        ),
        sa.Column("updated_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("host", "endpoint", name=op.f("cursors_pkey")),
        schema="network",
    )
    op.create_table(
        "likes",
        sa.Column("uri_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=False),
        sa.Column("subject_uri_id", sa.BigInteger(), nullable=False),
        sa.Column("sort_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.Column(
            "counted",
            sa.Boolean(),
            nullable=False,
            comment="of one person's likes of one subject, the lowest URI counts",
        ),
        sa.PrimaryKeyConstraint("uri_id", name=op.f("likes_pkey")),
        schema="network",
    )
    op.create_index("likes_actor_subject_idx", "likes", ["actor_id", "subject_uri_id"], unique=False, schema="network")
    op.create_index(
        "likes_subject_idx",
        "likes",
        ["subject_uri_id", sa.literal_column("sort_at DESC")],
        unique=False,
        schema="network",
        postgresql_where=sa.text("counted"),
    )
    op.create_table(
        "list_items",
        sa.Column("uri_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="of the list"),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("subject_uri_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("uri_id", "position", name=op.f("list_items_pkey")),
        schema="network",
        comment="A row per position, whether or not the subject is known",
    )
    op.create_index("list_items_subject_idx", "list_items", ["subject_uri_id"], unique=False, schema="network")
    op.create_table(
        "lists",
        sa.Column("uri_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=False),
        sa.Column("uri", sa.Text(collation="C"), nullable=False),
        sa.Column("sort_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("purpose", sa.Text(), nullable=True, comment="the record's listType, unknown values kept"),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("image_cid", sa.Text(), nullable=True),
        sa.Column("item_count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("uri_id", name=op.f("lists_pkey")),
        schema="network",
    )
    op.create_index(
        "lists_actor_idx",
        "lists",
        ["actor_id", "purpose", sa.literal_column("sort_at DESC"), sa.literal_column("uri DESC")],
        unique=False,
        schema="network",
    )
    op.create_table(
        "profiles",
        sa.Column("uri_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False, comment="own or bluesky"),
        sa.Column("created_at", sa.Text(), nullable=True),
        sa.Column("display_name", sa.Text(), nullable=True),
        sa.Column("bio", sa.Text(), nullable=True),
        sa.Column("avatar_url", sa.Text(), nullable=True),
        sa.Column("avatar_cid", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("uri_id", name=op.f("profiles_pkey")),
        sa.UniqueConstraint("actor_id", "source", name=op.f("profiles_actor_id_source_key")),
        schema="network",
    )
    op.create_table(
        "records",
        sa.Column("uri_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("rev", sa.Text(collation="C"), nullable=False, comment="of the commit that wrote or deleted it"),
        sa.Column("cid", sa.LargeBinary(), nullable=True, comment="null: deleted"),
        sa.Column("raw", sa.LargeBinary(), nullable=True, comment="the DAG-CBOR bytes: the truth"),
        sa.Column(
            "json",
            postgresql.JSON(astext_type=sa.Text()),
            nullable=True,
            comment="as views return it; null where no view does, or rejected",
        ),
        sa.Column("verdict", sa.Text(), nullable=False, comment="accepted, flagged, rejected or deleted"),
        sa.Column(
            "problems",
            postgresql.JSON(astext_type=sa.Text()),
            nullable=True,
            comment="[{path, rule, message}] of flagged and rejected records",
        ),
        sa.Column(
            "indexed_at", postgresql.TIMESTAMP(timezone=True), nullable=False, comment="when the URI was first inserted"
        ),
        sa.Column(
            "sort_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="the earlier of the author's createdAt and indexed_at, at first insertion",
        ),
        sa.PrimaryKeyConstraint("uri_id", name=op.f("records_pkey")),
        schema="network",
        comment="Every record of our collections, rejected ones and tombstones included",
    )
    op.create_index(
        "records_rejected_idx",
        "records",
        ["uri_id"],
        unique=False,
        schema="network",
        postgresql_where=sa.text("verdict = 'rejected'"),
    )
    op.create_table(
        "track_counters",
        sa.Column(
            "uri_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="of any subject, indexed or not"
        ),
        sa.Column("like_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("comment_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("uri_id", name=op.f("track_counters_pkey")),
        schema="network",
        comment="Likes and comments of visible accounts, kept by the transaction that writes them",
    )
    op.create_table(
        "track_features",
        sa.Column("uri_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("uri_id", "position", name=op.f("track_features_pkey")),
        schema="network",
        comment="Who is credited on a track",
    )
    op.create_index(
        "track_features_actor_idx", "track_features", ["actor_id", "uri_id"], unique=False, schema="network"
    )
    op.create_table(
        "tracks",
        sa.Column("uri_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=False),
        sa.Column("uri", sa.Text(collation="C"), nullable=False),
        sa.Column("sort_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False, comment="as the author wrote it"),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("artist", sa.Text(), nullable=False),
        sa.Column("album", sa.Text(), nullable=True),
        sa.Column("duration_seconds", sa.BigInteger(), nullable=True),
        sa.Column("file_type", sa.Text(), nullable=False),
        sa.Column("audio_cid", sa.Text(), nullable=True),
        sa.Column("audio_mime_type", sa.Text(), nullable=True),
        sa.Column("audio_size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("audio_url", sa.Text(), nullable=True),
        sa.Column("image_cid", sa.Text(), nullable=True),
        sa.Column("image_url", sa.Text(), nullable=True),
        sa.Column("support_gate", sa.Text(), nullable=True),
        sa.Column(
            "visibility", sa.Text(), nullable=False, comment="public or unlisted; an unknown value counts as unlisted"
        ),
        sa.Column("tags", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("uri_id", name=op.f("tracks_pkey")),
        schema="network",
    )
    op.create_index(
        "tracks_actor_idx",
        "tracks",
        ["actor_id", sa.literal_column("sort_at DESC"), sa.literal_column("uri DESC")],
        unique=False,
        schema="network",
    )
    op.create_index(
        "tracks_latest_idx",
        "tracks",
        [sa.literal_column("sort_at DESC"), sa.literal_column("uri DESC")],
        unique=False,
        schema="network",
        postgresql_where=sa.text("visibility = 'public'"),
    )
    op.create_index("tracks_tags_idx", "tracks", ["tags"], unique=False, schema="network", postgresql_using="gin")
    op.create_table(
        "undecodable_frames",
        sa.Column("undecodable_frame_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("after_seq", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False, comment="at most 64 KiB of it"),
        sa.Column("seen_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("undecodable_frame_id", name=op.f("undecodable_frames_pkey")),
        schema="network",
    )
    op.create_table(
        "uris",
        sa.Column("uri_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=False),
        sa.Column("path", sa.Text(collation="C"), nullable=False, comment="collection/record_key, the key in the tree"),
        sa.PrimaryKeyConstraint("uri_id", name=op.f("uris_pkey")),
        sa.UniqueConstraint("actor_id", "path", name=op.f("uris_actor_id_path_key")),
        schema="network",
        comment="Every record URI that is indexed or referred to",
    )
    op.create_table(
        "sync_requests",
        sa.Column("did", sa.Text(collation="C"), nullable=False),
        sa.Column("requested_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("taken_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("did", name=op.f("sync_requests_pkey")),
        schema="plyr",
        comment="DIDs that somebody asked us to fetch",
    )
    op.create_index(
        "sync_requests_open_idx",
        "sync_requests",
        ["requested_at"],
        unique=False,
        schema="plyr",
        postgresql_where=sa.text("taken_at IS NULL"),
    )
    op.create_table(
        "takedowns",
        sa.Column("subject", sa.Text(collation="C"), nullable=False, comment="a DID or an AT-URI"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("takedowns_pkey")),
        schema="plyr",
    )
    op.create_table(
        "repos",
        sa.Column("actor_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sync_status", sa.Text(), nullable=False, comment="synchronized, desynchronized, too-large or error"),
        sa.Column("cause", sa.Text(), nullable=True, comment="why it is not synchronized"),
        sa.Column("cause_detail", sa.Text(), nullable=True),
        sa.Column(
            "active", sa.Boolean(), server_default=sa.text("true"), nullable=False, comment="the upstream's word"
        ),
        sa.Column("upstream_status", sa.Text(), nullable=True, comment="the upstream's explanation while not active"),
        sa.Column(
            "takendown",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="ours, copied from plyr.takedowns",
        ),
        sa.Column("visible", sa.Boolean(), sa.Computed("active AND NOT takendown", persisted=True), nullable=True),
        sa.Column(
            "account_seq",
            sa.BigInteger(),
            nullable=True,
            comment="seq of the last #account applied from the present upstream",
        ),
        sa.Column("rev", sa.Text(collation="C"), nullable=True, comment="of the commit that the rows stand for"),
        sa.Column("seen_rev", sa.Text(collation="C"), nullable=True, comment="highest rev heard of: a claim"),
        sa.Column("data", sa.LargeBinary(), nullable=True, comment="root CID of the tree that the rows stand for"),
        sa.Column("handle", sa.Text(), nullable=True, comment="the claim of the DID document, lower-case"),
        sa.Column(
            "handle_verified_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="last time it resolved back to the DID; null: not verified",
        ),
        sa.Column("handle_checked_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("signing_key", sa.Text(), nullable=True, comment="did:key"),
        sa.Column("pds", sa.Text(), nullable=True),
        sa.Column(
            "identity_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="when key, PDS and handle claim were resolved",
        ),
        sa.Column("retry_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("retry_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("tracked_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "synchronized_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="last time a repair succeeded",
        ),
        sa.Column(
            "deleted_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="when the upstream said deleted"
        ),
        sa.Column("purged_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["actor_id"], ["network.actors.actor_id"], name=op.f("repos_actor_id_fkey")),
        sa.PrimaryKeyConstraint("actor_id", name=op.f("repos_pkey")),
        schema="network",
        comment="One row per tracked repository: the state of the synchronization",
    )
    op.create_index(
        "repos_handle_idx",
        "repos",
        ["handle"],
        unique=False,
        schema="network",
        postgresql_where=sa.text("handle_verified_at IS NOT NULL"),
    )
    op.create_index(
        "repos_repair_idx",
        "repos",
        ["sync_status", "retry_at"],
        unique=False,
        schema="network",
        postgresql_where=sa.text("sync_status <> 'synchronized'"),
    )
