"""What a valid record shows: typed projections, one class per collection, and the text rules of Postgres.

Pure. Subjects are named by account and path, as they are interned; instants are clamped for sorting while the
author's own text is kept beside them.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from atprotocol.data_model import Value
from atprotocol.lexicon.blobs import Blob, read_blob
from atprotocol.syntax.at_identifier import is_did
from atprotocol.syntax.at_uri import parse_at_uri
from atprotocol.syntax.datetime import parse_datetime

Record: TypeAlias = dict[str, Value]

# The lexicon of labels sets both; longer ones are accepted and flagged.
LABEL_BYTES_LIMIT = 128
SELF_LABELS_LIMIT = 10
NO_UNAUTHENTICATED = "!no-unauthenticated"


@dataclass(frozen=True, slots=True)
class Subject:
    """A record that another one points at."""

    did: str
    path: str


@dataclass(frozen=True, slots=True)
class Track:
    """A row of network.tracks, and the accounts credited on it."""

    created_at: str
    title: str
    artist: str
    album: str | None
    duration_seconds: int | None
    file_type: str
    audio_cid: str | None
    audio_mime_type: str | None
    audio_size_bytes: int | None
    audio_url: str | None
    image_cid: str | None
    image_url: str | None
    support_gate: str | None
    visibility: str
    says_visibility: bool
    tags: tuple[str, ...]
    features: tuple[str, ...]
    self_labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Like:
    """A row of network.likes."""

    created_at: str
    subject: Subject


@dataclass(frozen=True, slots=True)
class Comment:
    """A row of network.comments."""

    created_at: str
    subject: Subject
    text: str
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class TrackList:
    """A row of network.lists, and a row of network.list_items for every position."""

    created_at: str
    name: str | None
    slug: str | None
    purpose: str | None
    description: str | None
    image_cid: str | None
    items: tuple[Subject, ...]


@dataclass(frozen=True, slots=True)
class Profile:
    """A row of network.profiles; `source` is own or bluesky."""

    source: str
    created_at: str | None
    display_name: str | None
    bio: str | None
    avatar_url: str | None
    avatar_cid: str | None
    self_labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Follow:
    """A row of network.follows."""

    did: str


Projection: TypeAlias = Track | Like | Comment | TrackList | Profile | Follow


def storable(text: str) -> str:
    """Return text as Postgres can hold it: U+0000, legal in records, becomes U+FFFD."""
    return text.replace("\0", "\ufffd")


def indexable(text: str, limit_bytes: int) -> str:
    """Return the beginning of a text as an index can hold it: an entry is a fraction of a page, 2,700 bytes."""
    return storable(text).encode("utf-8")[:limit_bytes].decode("utf-8", "ignore")


def text_of(record: Record, name: str) -> str:
    """Return a required text field of a valid record, storable."""
    value = record[name]
    assert isinstance(value, str)
    return storable(value)


def optional_text(record: Record, name: str) -> str | None:
    """Return an optional text field of a valid record, storable."""
    return None if record.get(name) is None else text_of(record, name)


def optional_integer(record: Record, name: str) -> int | None:
    """Return an optional integer field of a valid record."""
    value = record.get(name)
    assert value is None or isinstance(value, int)
    return value


def optional_blob(record: Record, name: str) -> Blob | None:
    """Return an optional blob field of a valid record."""
    value = record.get(name)
    return None if value is None else read_blob(value)


def self_labels_of(record: Record) -> tuple[str, ...]:
    """Return what an author states about their own record, each value once.

    What begins with `!` is a system's word and no author's, but for the wish not to be shown to strangers.
    Source: https://atproto.com/specs/label#self-labels-in-records
    """
    labels = record.get("labels")
    values = labels.get("values") if isinstance(labels, dict) else None
    if not isinstance(values, list):
        return ()
    stated = [each["val"] for each in values if isinstance(each, dict) and isinstance(each.get("val"), str)]
    return tuple(
        dict.fromkeys(
            indexable(str(value), LABEL_BYTES_LIMIT)
            for value in stated[:SELF_LABELS_LIMIT]
            if value == NO_UNAUTHENTICATED or not str(value).startswith("!")
        )
    )


def subject_of(reference: Value) -> Subject | None:
    """Return the record that a strongRef names; None unless it is an account's DID, a collection and a key.

    A handle in place of the DID names nothing that lasts, so it is no subject.
    """
    if not isinstance(reference, dict) or not isinstance(reference.get("uri"), str):
        return None
    uri = parse_at_uri(str(reference["uri"]))
    if not is_did(uri.authority) or uri.record_key is None:
        return None
    return Subject(str(uri.authority), f"{uri.collection}/{uri.record_key}")


def instant_of(created_at: str) -> datetime:
    """Return the clamped instant of a valid record's datetime."""
    return parse_datetime(created_at).instant
