"""Add who refers to which blob, what is known of blobs, what was made of them, and what is still to be done.

References follow from the projections that are there and are filled in here; from then on they come and go with records.

Revision: 0005
Follows: 0004
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"

_TIME = postgresql.TIMESTAMP(timezone=True)
_BYTES = sa.Text(collation="C")
_NOW = sa.text("now()")


def upgrade() -> None:
    op.create_table(
        "blob_references",
        sa.Column("uri_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("role", sa.Text(), nullable=False, comment="audio or image"),
        sa.Column("actor_id", sa.BigInteger(), nullable=False),
        sa.Column("cid", _BYTES, nullable=False),
        sa.PrimaryKeyConstraint("uri_id", "role", name=op.f("blob_references_pkey")),
        schema="network",
        comment="Which record of whom names which blob",
    )
    # Only CIDs of files, as the indexer has it: a record may name a block of a tree, which nobody can fetch.
    op.execute("""
        INSERT INTO network.blob_references (uri_id, role, actor_id, cid)
        SELECT uri_id, 'audio', actor_id, audio_cid FROM network.tracks WHERE audio_cid LIKE 'bafkrei%'
        UNION ALL SELECT uri_id, 'image', actor_id, image_cid FROM network.tracks WHERE image_cid LIKE 'bafkrei%'
        UNION ALL SELECT uri_id, 'image', actor_id, image_cid FROM network.lists WHERE image_cid LIKE 'bafkrei%'
        UNION ALL SELECT uri_id, 'image', actor_id, avatar_cid FROM network.profiles WHERE avatar_cid LIKE 'bafkrei%'
    """)
    op.create_index("blob_references_cid_idx", "blob_references", ["cid"], schema="network")
    op.create_index("blob_references_actor_idx", "blob_references", ["actor_id", "cid"], schema="network")
    op.create_index(
        "tracks_gated_idx",
        "tracks",
        ["audio_cid"],
        schema="network",
        postgresql_where=sa.text("support_gate IS NOT NULL"),
    )
    op.create_table(
        "blobs",
        sa.Column("cid", _BYTES, nullable=False),
        sa.Column(
            "state", sa.Text(), nullable=False, comment="pending, ready, mismatch, too-large, gone or unsupported"
        ),
        sa.Column("reason", sa.Text(), comment="why it is not ready"),
        sa.Column("state_at", _TIME, nullable=False, server_default=_NOW),
        sa.Column("fetched_from", sa.Text(), comment="the host that gave the bytes"),
        sa.Column("size_bytes", sa.BigInteger()),
        sa.Column("mime_type", sa.Text(), comment="as the bytes say, not as the record does"),
        sa.Column("etag", sa.Text(), comment="of the object that is kept; null: nothing is"),
        sa.Column("codec", sa.Text()),
        sa.Column("duration_ms", sa.BigInteger()),
        sa.Column("bitrate_kbps", sa.Integer()),
        sa.Column("sample_rate_hz", sa.Integer()),
        sa.Column("channels", sa.Integer()),
        sa.Column("is_lossless", sa.Boolean()),
        sa.Column("tags", postgresql.JSON(), comment="what the file says of itself"),
        sa.Column("integrated_lufs", sa.Double(), comment="null: silence, or not measured"),
        sa.Column("true_peak_dbtp", sa.Double()),
        sa.Column("peaks", sa.LargeBinary(), comment="about 1,000 of them over the whole length, a byte each"),
        sa.Column("variant_reason", sa.Text(), comment="why there are no variants, and will not be"),
        sa.Column("unreferenced_at", _TIME, comment="when it was first seen that nobody refers to it"),
        sa.PrimaryKeyConstraint("cid", name=op.f("blobs_pkey")),
        schema="plyr",
        comment="What is known of the bytes of audio and pictures, and whether we keep them",
    )
    op.create_index("blobs_state_idx", "blobs", ["state"], schema="plyr", postgresql_where=sa.text("state <> 'ready'"))
    op.create_table(
        "blob_variants",
        sa.Column("cid", _BYTES, nullable=False, comment="of the original"),
        sa.Column("profile", _BYTES, nullable=False),
        sa.Column("content_cid", _BYTES, nullable=False, comment="of the variant's own bytes"),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("mime_type", sa.Text(), nullable=False),
        sa.Column("etag", sa.Text(), nullable=False, comment="of the object that is kept"),
        sa.Column("bitrate_kbps", sa.Integer()),
        sa.Column("made_at", _TIME, nullable=False, server_default=_NOW),
        sa.PrimaryKeyConstraint("cid", "profile", name=op.f("blob_variants_pkey")),
        schema="plyr",
        comment="What was made of a blob and is kept beside it",
    )
    op.create_table(
        "media_jobs",
        sa.Column("kind", sa.Text(), nullable=False, comment="blob or url"),
        sa.Column("subject", _BYTES, nullable=False, comment="the CID of a blob, or a URL to be checked"),
        sa.Column(
            "wanted",
            sa.BigInteger(),
            nullable=False,
            server_default=sa.text("1"),
            comment="grows whenever it is asked for",
        ),
        sa.Column("run_at", _TIME, nullable=False, server_default=_NOW),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("lease", sa.Uuid(), comment="of whoever works on it"),
        sa.Column("leased_until", _TIME),
        sa.Column("last_error", sa.Text()),
        sa.Column("created_at", _TIME, nullable=False, server_default=_NOW),
        sa.PrimaryKeyConstraint("kind", "subject", name=op.f("media_jobs_pkey")),
        schema="plyr",
        comment="What is to be done about a blob or a URL: one row for each, however many records name it",
    )
    op.create_index("media_jobs_due_idx", "media_jobs", ["run_at"], schema="plyr")
    op.create_table(
        "external_media",
        sa.Column("url", _BYTES, nullable=False),
        sa.Column("state", sa.Text(), nullable=False, comment="ready, gone or unsupported"),
        sa.Column("reason", sa.Text()),
        sa.Column("mime_type", sa.Text()),
        sa.Column("size_bytes", sa.BigInteger()),
        sa.Column("checked_at", _TIME, nullable=False, server_default=_NOW),
        sa.PrimaryKeyConstraint("url", name=op.f("external_media_pkey")),
        schema="plyr",
        comment="Whether audio is there that records name by URL; it is looked at and never kept",
    )
