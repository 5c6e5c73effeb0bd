"""The tables of the schema `network`, as SQLAlchemy Core declares them; those of `plyr` are in
`own_tables.py`, those of audio and pictures in `media_tables.py`.

The schemas say what may be lost: `network` is derived from repositories that anyone can fetch again, `plyr` is
what only we know. DIDs and record URIs are interned once as numbers; `network` refers by number, `plyr` by text,
as numbers die with `network`. Text that is compared by bytes is COLLATE "C". Migrations make the tables; a test
proves that they and these files agree.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON, TIMESTAMP

from database.search_tables import declare_search_tables

NETWORK = "network"

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "ck": "%(table_name)s_%(column_0_name)s_check",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
    }
)

BytesText = Text(collation="C")
Time = TIMESTAMP(timezone=True)

actors = Table(
    "actors",
    metadata,
    Column("actor_id", BigInteger, Identity(always=True), primary_key=True),
    Column("did", BytesText, nullable=False, unique=True),
    schema=NETWORK,
    comment="Every DID that a repository, a subject or a credit names",
)

repos = Table(
    "repos",
    metadata,
    Column("actor_id", BigInteger, ForeignKey(actors.c.actor_id), primary_key=True, autoincrement=False),
    Column("sync_status", Text, nullable=False, comment="synchronized, desynchronized, too-large or error"),
    Column("cause", Text, comment="why it is not synchronized"),
    Column("cause_detail", Text),
    Column("active", Boolean, nullable=False, server_default=text("true"), comment="the upstream's word"),
    Column("upstream_status", Text, comment="the upstream's explanation while not active"),
    Column(
        "takendown", Boolean, nullable=False, server_default=text("false"), comment="ours, copied from plyr.takedowns"
    ),
    Column("visible", Boolean, Computed("active AND NOT takendown", persisted=True)),
    Column("account_seq", BigInteger, comment="seq of the last #account applied"),
    Column("account_host", Text, comment="the upstream whose seq account_seq is"),
    Column("rev", BytesText, comment="of the commit that the rows stand for"),
    Column("seen_rev", BytesText, comment="highest rev heard of: a claim"),
    Column("data", LargeBinary, comment="root CID of the tree that the rows stand for"),
    Column("commit_cid", LargeBinary, comment="of the commit that the rows stand for"),
    Column("handle", Text, comment="the claim of the DID document, lower-case"),
    Column("handle_verified_at", Time, comment="last time it resolved back to the DID; null: not verified"),
    Column("handle_checked_at", Time),
    Column("signing_key", Text, comment="did:key"),
    Column("pds", Text),
    Column("identity_at", Time, comment="when key, PDS and handle claim were resolved"),
    Column("retry_count", Integer, nullable=False, server_default=text("0")),
    Column("retry_at", Time),
    Column("tracked_at", Time, nullable=False, server_default=text("now()")),
    Column("synchronized_at", Time, comment="last time a repair succeeded"),
    Column("deleted_at", Time, comment="when the upstream said deleted"),
    Column("purged_at", Time),
    schema=NETWORK,
    comment="One row per tracked repository: the state of the synchronization",
)
Index("repos_repair_idx", repos.c.sync_status, repos.c.retry_at, postgresql_where=text("sync_status <> 'synchronized'"))
Index("repos_handle_idx", repos.c.handle, postgresql_where=text("handle_verified_at IS NOT NULL"))

uris = Table(
    "uris",
    metadata,
    Column("uri_id", BigInteger, Identity(always=True), primary_key=True),
    Column("actor_id", BigInteger, nullable=False),
    Column("path", BytesText, nullable=False, comment="collection/record_key, the key in the tree"),
    UniqueConstraint("actor_id", "path"),
    schema=NETWORK,
    comment="Every record URI that is indexed or referred to",
)

records = Table(
    "records",
    metadata,
    Column("uri_id", BigInteger, primary_key=True, autoincrement=False),
    Column("rev", BytesText, nullable=False, comment="of the commit that wrote or deleted it"),
    Column("cid", LargeBinary, comment="null: deleted"),
    Column("raw", LargeBinary, comment="the DAG-CBOR bytes: the truth"),
    Column("json", JSON, comment="as views return it; null where no view does, or rejected"),
    Column("verdict", Text, nullable=False, comment="accepted, flagged, rejected or deleted"),
    Column("problems", JSON, comment="[{path, rule, message}] of flagged and rejected records"),
    Column("indexed_at", Time, nullable=False, comment="when the URI was first inserted"),
    Column(
        "sort_at",
        Time,
        nullable=False,
        comment="the earlier of the author's createdAt and indexed_at, at first insertion",
    ),
    schema=NETWORK,
    comment="Every record of our collections, rejected ones and tombstones included",
)
Index("records_rejected_idx", records.c.uri_id, postgresql_where=text("verdict = 'rejected'"))

tracks = Table(
    "tracks",
    metadata,
    Column("uri_id", BigInteger, primary_key=True, autoincrement=False),
    Column("actor_id", BigInteger, nullable=False),
    Column("uri", BytesText, nullable=False),
    Column("sort_at", Time, nullable=False),
    Column("created_at", Text, nullable=False, comment="as the author wrote it"),
    Column("title", Text, nullable=False),
    Column("artist", Text, nullable=False),
    Column("album", Text),
    Column("duration_seconds", BigInteger),
    Column("file_type", Text, nullable=False),
    Column("audio_cid", Text),
    Column("audio_mime_type", Text),
    Column("audio_size_bytes", BigInteger),
    Column("audio_url", Text),
    Column("image_cid", Text),
    Column("image_url", Text),
    Column("support_gate", Text),
    Column("visibility", Text, nullable=False, comment="public or unlisted; an unknown value counts as unlisted"),
    Column("tags", ARRAY(Text), nullable=False),
    Column(
        "says_visibility",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="the record has the field: then no overlay decides",
    ),
    Column(
        "hot_score",
        Double,
        nullable=False,
        server_default=text("0"),
        comment="grows with likes and with sort_at, so that order needs no clock",
    ),
    schema=NETWORK,
)
Index("tracks_latest_idx", tracks.c.sort_at.desc(), tracks.c.uri.desc(), postgresql_where=text("visibility = 'public'"))
Index("tracks_hot_idx", tracks.c.hot_score.desc(), tracks.c.uri.desc(), postgresql_where=text("visibility = 'public'"))
Index("tracks_actor_idx", tracks.c.actor_id, tracks.c.sort_at.desc(), tracks.c.uri.desc())
Index("tracks_gated_idx", tracks.c.audio_cid, postgresql_where=text("support_gate IS NOT NULL"))
Index("tracks_tags_idx", tracks.c.tags, postgresql_using="gin")

track_features = Table(
    "track_features",
    metadata,
    Column("uri_id", BigInteger, primary_key=True, autoincrement=False),
    Column("position", SmallInteger, primary_key=True, autoincrement=False),
    Column("actor_id", BigInteger, nullable=False),
    schema=NETWORK,
    comment="Who is credited on a track",
)
Index("track_features_actor_idx", track_features.c.actor_id, track_features.c.uri_id)

likes = Table(
    "likes",
    metadata,
    Column("uri_id", BigInteger, primary_key=True, autoincrement=False),
    Column("actor_id", BigInteger, nullable=False),
    Column("subject_uri_id", BigInteger, nullable=False),
    Column("sort_at", Time, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("counted", Boolean, nullable=False, comment="of one person's likes of one subject, the lowest URI counts"),
    schema=NETWORK,
)
Index("likes_subject_idx", likes.c.subject_uri_id, likes.c.sort_at.desc(), postgresql_where=text("counted"))
Index("likes_actor_subject_idx", likes.c.actor_id, likes.c.subject_uri_id)
Index("likes_actor_recent_idx", likes.c.actor_id, likes.c.sort_at.desc(), postgresql_where=text("counted"))
Index("likes_recent_idx", likes.c.sort_at.desc(), postgresql_where=text("counted"))

comments = Table(
    "comments",
    metadata,
    Column("uri_id", BigInteger, primary_key=True, autoincrement=False),
    Column("actor_id", BigInteger, nullable=False),
    Column("subject_uri_id", BigInteger, nullable=False),
    Column("sort_at", Time, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("timestamp_ms", BigInteger, nullable=False),
    schema=NETWORK,
)
Index("comments_timestamp_idx", comments.c.subject_uri_id, comments.c.timestamp_ms)
Index("comments_recent_idx", comments.c.subject_uri_id, comments.c.sort_at.desc())
Index("comments_actor_recent_idx", comments.c.actor_id, comments.c.sort_at.desc())
Index("comments_latest_idx", comments.c.sort_at.desc())

lists = Table(
    "lists",
    metadata,
    Column("uri_id", BigInteger, primary_key=True, autoincrement=False),
    Column("actor_id", BigInteger, nullable=False),
    Column("uri", BytesText, nullable=False),
    Column("sort_at", Time, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("name", Text),
    Column("purpose", Text, comment="the record's listType, unknown values kept"),
    Column("description", Text),
    Column("image_cid", Text),
    Column("item_count", Integer, nullable=False),
    Column("slug", BytesText, comment="the name as it stands in an address; null where it has no letter"),
    schema=NETWORK,
)
Index("lists_actor_idx", lists.c.actor_id, lists.c.purpose, lists.c.sort_at.desc(), lists.c.uri.desc())
Index("lists_actor_recent_idx", lists.c.actor_id, lists.c.sort_at.desc(), lists.c.uri.desc())
Index("lists_latest_idx", lists.c.sort_at.desc(), lists.c.uri.desc())
Index("lists_slug_idx", lists.c.actor_id, lists.c.slug, postgresql_where=text("purpose = 'album'"))

list_items = Table(
    "list_items",
    metadata,
    Column("uri_id", BigInteger, primary_key=True, autoincrement=False, comment="of the list"),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("subject_uri_id", BigInteger, nullable=False),
    schema=NETWORK,
    comment="A row per position, whether or not the subject is known",
)
Index("list_items_subject_idx", list_items.c.subject_uri_id)

profiles = Table(
    "profiles",
    metadata,
    Column("uri_id", BigInteger, primary_key=True, autoincrement=False),
    Column("actor_id", BigInteger, nullable=False),
    Column("source", Text, nullable=False, comment="own or bluesky"),
    Column("created_at", Text),
    Column("display_name", Text),
    Column("bio", Text),
    Column("avatar_url", Text),
    Column("avatar_cid", Text),
    UniqueConstraint("actor_id", "source"),
    schema=NETWORK,
)

follows = Table(
    "follows",
    metadata,
    Column("uri_id", BigInteger, primary_key=True, autoincrement=False),
    Column("actor_id", BigInteger, nullable=False),
    Column("subject_actor_id", BigInteger, nullable=False),
    schema=NETWORK,
    comment="Whom tracked accounts follow: the edges alone",
)
Index("follows_actor_idx", follows.c.actor_id, follows.c.subject_actor_id)

labels = Table(
    "labels",
    metadata,
    Column("uri", BytesText, primary_key=True, comment="a DID or an AT-URI"),
    Column("src", BytesText, primary_key=True, comment="who says so: a labeler, or the author"),
    Column("val", BytesText, primary_key=True),
    Column("cid", LargeBinary, primary_key=True, comment="the version it is about; empty: every version"),
    Column(
        "uri_id",
        BigInteger,
        primary_key=True,
        autoincrement=False,
        comment="of the record in which its author says so; 0: a labeler's",
    ),
    Column("negated", Boolean, nullable=False, server_default=text("false")),
    Column("created_at", Text, nullable=False, comment="as the labeler wrote it"),
    Column("sort_at", Time, nullable=False, comment="created_at as an instant: of two the later holds"),
    Column("expires_at", Time),
    schema=NETWORK,
    comment="What is stated about accounts and records, by configured labelers and by authors",
)
Index("labels_record_idx", labels.c.uri_id, postgresql_where=text("uri_id <> 0"))

label_cursors = Table(
    "label_cursors",
    metadata,
    Column("src", BytesText, primary_key=True, comment="the labeler"),
    Column("seq", BigInteger, nullable=False, comment="of the last message whose labels are stored"),
    Column("updated_at", Time, nullable=False, server_default=text("now()")),
    schema=NETWORK,
)

rankings = Table(
    "rankings",
    metadata,
    Column("ranking", Text, primary_key=True),
    Column("as_of", Time, primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("uri_id", BigInteger, nullable=False),
    schema=NETWORK,
    comment="Tracks in an order that stays as it was, for whoever pages through it",
)
declare_search_tables(metadata, NETWORK)

track_counters = Table(
    "track_counters",
    metadata,
    Column("uri_id", BigInteger, primary_key=True, autoincrement=False, comment="of any subject, indexed or not"),
    Column("like_count", BigInteger, nullable=False, server_default=text("0")),
    Column("comment_count", BigInteger, nullable=False, server_default=text("0")),
    schema=NETWORK,
    comment="Likes and comments of visible accounts, kept by the transaction that writes them",
)

collection_totals = Table(
    "collection_totals",
    metadata,
    Column("collection", Text, primary_key=True),
    Column("accepted", BigInteger, nullable=False, server_default=text("0")),
    Column("rejected", BigInteger, nullable=False, server_default=text("0")),
    schema=NETWORK,
    comment="How many live records there are: accepted (flagged ones among them) and rejected",
)

cursors = Table(
    "cursors",
    metadata,
    Column("host", Text, primary_key=True),
    Column("endpoint", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("event_time", Time, comment="the upstream's time of that event"),
    Column("updated_at", Time, nullable=False, server_default=text("now()")),
    schema=NETWORK,
)

audits = Table(
    "audits",
    metadata,
    Column("requested_at", Time, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("started_at", Time),
    Column("finished_at", Time),
    Column("counts", JSON, comment="repositories by what was found"),
    schema=NETWORK,
    comment="Comparisons of every repository with its host",
)

leadership = Table(
    "leadership",
    metadata,
    Column("single", Boolean, CheckConstraint("single"), primary_key=True, server_default=text("true")),
    Column("epoch", BigInteger, nullable=False, comment="how often the lead was taken"),
    Column("batch", BigInteger, nullable=False, server_default=text("0"), comment="the last batch that is written"),
    schema=NETWORK,
    comment="What a writer must find as it left it, or it is not the one that leads",
)

cursor_history = Table(
    "cursor_history",
    metadata,
    Column("cursor_history_id", BigInteger, Identity(always=True), primary_key=True),
    Column("host", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("replaced_at", Time, nullable=False, server_default=text("now()")),
    schema=NETWORK,
    comment="Cursors that an upstream no longer understands",
)

undecodable_frames = Table(
    "undecodable_frames",
    metadata,
    Column("undecodable_frame_id", BigInteger, Identity(always=True), primary_key=True),
    Column("host", Text, nullable=False),
    Column("after_seq", BigInteger),
    Column("reason", Text, nullable=False),
    Column("content", LargeBinary, nullable=False, comment="at most 64 KiB of it"),
    Column("seen_at", Time, nullable=False, server_default=text("now()")),
    schema=NETWORK,
)
