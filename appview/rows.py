"""What hydration loads, as typed rows; the fields are the columns of the statements, by name and in order.

Those that come by the hundred are named tuples: made from a database row at once, ten times faster than from its names.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from appview.media.places import NO_PLACES, MediaPlaces
from appview.viewer import ANONYMOUS, Asker, Viewer


class ActorRow(NamedTuple):
    """An account that has a repository here; `handle` is None unless it is verified."""

    actor_id: int
    did: str
    handle: str | None
    pds: str | None
    is_visible: bool
    is_taken_down: bool
    display_name: str | None
    bio: str | None
    avatar_url: str | None
    avatar_cid: str | None
    bluesky_avatar_cid: str | None
    has_labels: bool


class TrackContent:
    """What a track's record says, and nothing that others do to it; `version` changes whenever the rows do.

    `record` is the record's JSON text, `features` the numbers of those who are credited. `rendered` is kept by
    the view: what it was made of the last time, and what came of that.
    """

    __slots__ = (
        "actor_id", "album", "artist", "audio_cid", "audio_mime_type", "audio_size_bytes", "audio_url", "cid",
        "created_at", "duration_seconds", "features", "image_cid", "image_url", "indexed_at", "record", "rendered",
        "support_gate", "tags", "title", "uri", "uri_id", "version",
    )  # fmt: skip

    def __init__(
        self,
        uri_id: int,
        version: int,
        actor_id: int,
        uri: str,
        cid: bytes,
        record: str,
        indexed_at: datetime,
        created_at: str,
        title: str,
        artist: str,
        album: str | None,
        duration_seconds: int | None,
        audio_cid: str | None,
        audio_mime_type: str | None,
        audio_size_bytes: int | None,
        audio_url: str | None,
        image_cid: str | None,
        image_url: str | None,
        support_gate: str | None,
        tags: list[str],
        features: list[int],
    ) -> None:
        """Take the columns of a row, in order."""
        self.uri_id = uri_id
        self.version = version
        self.actor_id = actor_id
        self.uri = uri
        self.cid = cid
        self.record = record
        self.indexed_at = indexed_at
        self.created_at = created_at
        self.title = title
        self.artist = artist
        self.album = album
        self.duration_seconds = duration_seconds
        self.audio_cid = audio_cid
        self.audio_mime_type = audio_mime_type
        self.audio_size_bytes = audio_size_bytes
        self.audio_url = audio_url
        self.image_cid = image_cid
        self.image_url = image_url
        self.support_gate = support_gate
        self.tags = tags
        self.features = features
        self.rendered: tuple[object, bytes] | None = None


class TrackState(NamedTuple):
    """What is asked anew of a track whenever it is shown: its counts, and what was decided about it."""

    uri_id: int
    version: int
    like_count: int
    comment_count: int
    own_play_count: int
    imported_play_count: int
    visibility: str
    album_image_url: str | None
    is_taken_down: bool
    has_labels: bool


class TrackRow(NamedTuple):
    """A track: what its record says, and how it stands."""

    content: TrackContent
    state: TrackState

    @property
    def uri_id(self) -> int:
        """Return its number."""
        return self.content.uri_id

    @property
    def actor_id(self) -> int:
        """Return the number of its account."""
        return self.content.actor_id

    @property
    def uri(self) -> str:
        """Return its AT-URI."""
        return self.content.uri

    @property
    def cid(self) -> bytes:
        """Return the version of the record."""
        return self.content.cid

    @property
    def created_at(self) -> str:
        """Return when its author says that it was published."""
        return self.content.created_at

    @property
    def indexed_at(self) -> datetime:
        """Return when it was first seen here."""
        return self.content.indexed_at

    @property
    def visibility(self) -> str:
        """Return who should come across it: public, or any other word."""
        return self.state.visibility

    @property
    def is_taken_down(self) -> bool:
        """Tell whether the record itself is taken down."""
        return self.state.is_taken_down

    @property
    def play_count(self) -> int:
        """Return how often it was played, in the time before included."""
        return self.state.own_play_count + self.state.imported_play_count


class LikeRow(NamedTuple):
    """A like."""

    uri_id: int
    actor_id: int
    uri: str
    indexed_at: datetime
    created_at: str
    is_taken_down: bool


class CommentRow(NamedTuple):
    """A comment; `record` is the record's JSON text."""

    uri_id: int
    actor_id: int
    uri: str
    cid: bytes
    record: str
    indexed_at: datetime
    created_at: str
    text: str
    timestamp_ms: int
    is_taken_down: bool


class ListRow(NamedTuple):
    """A list without its items; `record` is the record's JSON text."""

    uri_id: int
    actor_id: int
    uri: str
    cid: bytes
    record: str
    indexed_at: datetime
    created_at: str
    name: str | None
    slug: str | None
    purpose: str | None
    description: str | None
    image_cid: str | None
    item_count: int
    is_taken_down: bool


class LabelRow(NamedTuple):
    """A label that holds: what `src` states about `uri`, or about that version of it (empty: every version)."""

    uri: str
    src: str
    val: str
    cid: bytes
    created_at: str
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class ProfileFacts:
    """What only a page about one account needs: its counts, and when its profile was made and first seen."""

    tracks_count: int
    albums_count: int
    playlists_count: int
    likes_given_count: int
    plays_count: int
    created_at: str | None
    indexed_at: datetime | None


@dataclass(slots=True)
class State:
    """Everything that one answer is made of, by number; what is not in it does not exist."""

    asker: Asker = ANONYMOUS
    # Where audio and pictures are given, and whose URLs are believed to lead to some.
    places: MediaPlaces = NO_PLACES
    actors: dict[int, ActorRow] = field(default_factory=dict)
    tracks: dict[int, TrackRow] = field(default_factory=dict)
    likes: dict[int, LikeRow] = field(default_factory=dict)
    comments: dict[int, CommentRow] = field(default_factory=dict)
    lists: dict[int, ListRow] = field(default_factory=dict)
    # By the URI or DID that they are about.
    labels: dict[str, list[LabelRow]] = field(default_factory=dict)
    # The URI of the viewer's like, by the number of what they like.
    viewer_likes: dict[int, str] = field(default_factory=dict)
    # The records by which the viewer follows accounts, and they the viewer, by their numbers.
    following: dict[int, str] = field(default_factory=dict)
    followed_by: dict[int, str] = field(default_factory=dict)
    # The paths of the records by which an account presents itself.
    profile_paths: tuple[str, ...] = ()

    def subjects_of(self, actor: ActorRow) -> tuple[str, ...]:
        """Return what labels about an account may be about: itself, and what it says of itself."""
        return (actor.did, *(f"at://{actor.did}/{path}" for path in self.profile_paths))

    @property
    def viewer(self) -> Viewer | None:
        """Return who is signed in."""
        return self.asker.viewer
