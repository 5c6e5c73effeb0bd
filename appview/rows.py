"""What hydration loads, as typed rows; the fields are the columns of the statements, by name and in order.

Those that come by the hundred are named tuples: made from a database row at once, ten times faster than from its names.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

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


class TrackRow(NamedTuple):
    """A track and its counters; `record` is the record's JSON text."""

    uri_id: int
    actor_id: int
    uri: str
    cid: bytes
    record: str
    indexed_at: datetime
    created_at: str
    title: str
    artist: str
    album: str | None
    duration_seconds: int | None
    audio_cid: str | None
    audio_mime_type: str | None
    audio_size_bytes: int | None
    audio_url: str | None
    image_cid: str | None
    image_url: str | None
    support_gate: str | None
    visibility: str
    tags: list[str]
    like_count: int
    comment_count: int
    own_play_count: int
    imported_play_count: int
    album_image_url: str | None
    is_taken_down: bool

    @property
    def play_count(self) -> int:
        """Return how often it was played, in the time before included."""
        return self.own_play_count + self.imported_play_count


class LikeRow(NamedTuple):
    """A like."""

    uri_id: int
    actor_id: int
    subject_uri_id: int
    uri: str
    indexed_at: datetime
    created_at: str
    is_taken_down: bool


class CommentRow(NamedTuple):
    """A comment; `record` is the record's JSON text."""

    uri_id: int
    actor_id: int
    subject_uri_id: int
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
    actors: dict[int, ActorRow] = field(default_factory=dict)
    tracks: dict[int, TrackRow] = field(default_factory=dict)
    features: dict[int, list[int]] = field(default_factory=dict)
    likes: dict[int, LikeRow] = field(default_factory=dict)
    comments: dict[int, CommentRow] = field(default_factory=dict)
    lists: dict[int, ListRow] = field(default_factory=dict)
    # By the URI or DID that they are about.
    labels: dict[str, list[LabelRow]] = field(default_factory=dict)
    # The URI of the viewer's like, by the number of what they like.
    viewer_likes: dict[int, str] = field(default_factory=dict)
    # The paths of the records by which an account presents itself.
    profile_paths: tuple[str, ...] = ()

    def subjects_of(self, actor: ActorRow) -> tuple[str, ...]:
        """Return what labels about an account may be about: itself, and what it says of itself."""
        return (actor.did, *(f"at://{actor.did}/{path}" for path in self.profile_paths))

    @property
    def viewer(self) -> Viewer | None:
        """Return who is signed in."""
        return self.asker.viewer
