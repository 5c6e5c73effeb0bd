"""The tables of audio and pictures: who refers to which bytes (`network`), and what we know and keep of them (`plyr`).

Bytes are named by their CID. A reference says that a record of an account names them; it comes and goes with the record.
What is kept, and what is still to be done, outlives `network`, so it names accounts and records by nothing.
"""

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer, LargeBinary, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSON

from database.tables import NETWORK, BytesText, Time, metadata

PLYR = "plyr"

blob_references = Table(
    "blob_references",
    metadata,
    Column("uri_id", BigInteger, primary_key=True, autoincrement=False),
    Column("role", Text, primary_key=True, comment="audio or image"),
    Column("actor_id", BigInteger, nullable=False),
    Column("cid", BytesText, nullable=False),
    schema=NETWORK,
    comment="Which record of whom names which blob",
)
Index("blob_references_cid_idx", blob_references.c.cid)
Index("blob_references_actor_idx", blob_references.c.actor_id, blob_references.c.cid)

blobs = Table(
    "blobs",
    metadata,
    Column("cid", BytesText, primary_key=True),
    Column("state", Text, nullable=False, comment="pending, ready, mismatch, too-large, gone or unsupported"),
    Column("reason", Text, comment="why it is not ready"),
    Column("state_at", Time, nullable=False, server_default=text("now()")),
    Column("fetched_from", Text, comment="the host that gave the bytes"),
    Column("size_bytes", BigInteger),
    Column("mime_type", Text, comment="as the bytes say, not as the record does"),
    Column("etag", Text, comment="of the object that is kept; null: nothing is"),
    Column("codec", Text),
    Column("duration_ms", BigInteger),
    Column("bitrate_kbps", Integer),
    Column("sample_rate_hz", Integer),
    Column("channels", Integer),
    Column("is_lossless", Boolean),
    Column("tags", JSON, comment="what the file says of itself"),
    Column("integrated_lufs", Double, comment="null: silence, or not measured"),
    Column("true_peak_dbtp", Double),
    Column("peaks", LargeBinary, comment="about 1,000 of them over the whole length, a byte each"),
    Column("variant_reason", Text, comment="why there are no variants, and will not be"),
    Column("unreferenced_at", Time, comment="when it was first seen that nobody refers to it"),
    schema=PLYR,
    comment="What is known of the bytes of audio and pictures, and whether we keep them",
)
Index("blobs_state_idx", blobs.c.state, postgresql_where=text("state <> 'ready'"))

blob_variants = Table(
    "blob_variants",
    metadata,
    Column("cid", BytesText, primary_key=True, comment="of the original"),
    Column("profile", BytesText, primary_key=True),
    Column("content_cid", BytesText, nullable=False, comment="of the variant's own bytes"),
    Column("size_bytes", BigInteger, nullable=False),
    Column("mime_type", Text, nullable=False),
    Column("etag", Text, nullable=False, comment="of the object that is kept"),
    Column("bitrate_kbps", Integer),
    Column("made_at", Time, nullable=False, server_default=text("now()")),
    schema=PLYR,
    comment="What was made of a blob and is kept beside it",
)

media_jobs = Table(
    "media_jobs",
    metadata,
    Column("kind", Text, primary_key=True, comment="blob or url"),
    Column("subject", BytesText, primary_key=True, comment="the CID of a blob, or a URL to be checked"),
    Column("wanted", BigInteger, nullable=False, server_default=text("1"), comment="grows whenever it is asked for"),
    Column("run_at", Time, nullable=False, server_default=text("now()")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("lease", Uuid, comment="of whoever works on it"),
    Column("leased_until", Time),
    Column("last_error", Text),
    Column("created_at", Time, nullable=False, server_default=text("now()")),
    schema=PLYR,
    comment="What is to be done about a blob or a URL: one row for each, however many records name it",
)
Index("media_jobs_due_idx", media_jobs.c.run_at)

external_media = Table(
    "external_media",
    metadata,
    Column("url", BytesText, primary_key=True),
    Column("state", Text, nullable=False, comment="ready, gone or unsupported"),
    Column("reason", Text),
    Column("mime_type", Text),
    Column("size_bytes", BigInteger),
    Column("checked_at", Time, nullable=False, server_default=text("now()")),
    schema=PLYR,
    comment="Whether audio is there that records name by URL; it is looked at and never kept",
)
