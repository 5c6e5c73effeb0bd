"""The state of the index as typed rows; the fields are named as the statements name their columns."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class RecordStatus:
    """A repository's state and the record at one of its paths; `verdict` None: there is none to tell of.

    `problems` is JSON text: an array of objects with path, rule and message. Takedown and labels are told to the owner alone.
    """

    sync_status: str
    cause: str | None
    verdict: str | None
    problems: str | None
    cid: bytes | None
    rev: str | None
    indexed_at: datetime | None
    is_taken_down: bool
    labels: list[str]


@dataclass(frozen=True, slots=True)
class CollectionStatus:
    """How many live records of a collection a repository has here."""

    collection: str
    accepted: int
    rejected: int
    last_indexed_at: datetime


@dataclass(frozen=True, slots=True)
class RepoStatus:
    """A repository's state."""

    sync_status: str
    cause: str | None
    rev: str | None
    tracked_at: datetime
    synchronized_at: datetime | None
    retry_at: datetime | None
    account_status: str | None
    collections: tuple[CollectionStatus, ...]


@dataclass(frozen=True, slots=True)
class Upstream:
    """A source of events and the last one that is fully indexed."""

    host: str
    seq: int
    event_time: datetime | None


@dataclass(frozen=True, slots=True)
class Stats:
    """The whole index: (accepted, rejected) by collection, repositories by status, sources."""

    collections: dict[str, tuple[int, int]]
    repos: dict[str, int]
    upstreams: tuple[Upstream, ...]
