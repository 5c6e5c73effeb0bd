"""Which blobs records name, as rows, and the jobs that fetching or checking them is.

A job is asked for in the transaction that writes the record, so none is lost and none is for a record that was not
written. Asking twice is one job, which learns that it is wanted again: whoever is at it looks once more. Fetched is
only what the operator wants mirrored always; whether a URL leads to audio is asked for its allowed origins alone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import asyncpg

from atprotocol.cid import RAW, parse_cid
from atprotocol.syntax.uri import is_at_origin
from indexer.collections.projection import Profile, Projection, Track, TrackList

_INSERT = "INSERT INTO network.blob_references (uri_id, role, actor_id, cid) VALUES ($1, $2, $3, $4)"
# Rows are taken in one order by whoever takes several.
_WANT = """
    INSERT INTO plyr.media_jobs AS job (kind, subject)
    SELECT * FROM unnest($1::text[], $2::text[]) AS wish (kind, subject) ORDER BY 1, 2
    ON CONFLICT (kind, subject) DO UPDATE SET wanted = job.wanted + 1
"""


@dataclass(frozen=True, slots=True)
class MediaWishes:
    """What is to be done about the blobs and URLs of records that come: `mirrors` fetches all, `origins` may be asked."""

    mirrors: bool = False
    origins: frozenset[str] = frozenset()


NO_WISHES = MediaWishes()


class _Named(Protocol):
    """A projection with its numbers."""

    @property
    def uri_id(self) -> int:
        """Return the number of the record."""
        ...

    @property
    def actor_id(self) -> int:
        """Return the number of its account."""
        ...

    @property
    def projection(self) -> Projection:
        """Return the projection."""
        ...


async def insert(connection: asyncpg.Connection, named: Iterable[_Named]) -> None:
    """Insert a row for every blob that these projections name."""
    rows = [
        (each.uri_id, role, each.actor_id, cid)
        for each in named
        for role, cid in _blobs_of(each.projection)
        if _is_blob(cid)
    ]
    if rows:
        await connection.executemany(_INSERT, rows)


async def want(connection: asyncpg.Connection, projections: Iterable[Projection], wishes: MediaWishes) -> None:
    """Ask for what is to be done about these records' blobs and URLs."""
    jobs: set[tuple[str, str]] = set()
    for each in projections:
        if wishes.mirrors and not (isinstance(each, Profile) and each.source != "own"):
            jobs.update(("blob", cid) for _, cid in _blobs_of(each) if _is_blob(cid))
        if isinstance(each, Track) and each.audio_cid is None and is_at_origin(each.audio_url, wishes.origins):
            jobs.add(("url", str(each.audio_url)))
    if jobs:
        kinds, subjects = zip(*sorted(jobs), strict=True)
        await connection.execute(_WANT, kinds, subjects)


def _blobs_of(projection: Projection) -> Iterator[tuple[str, str]]:
    match projection:
        case Track(audio_cid=audio_cid, image_cid=image_cid):
            if audio_cid is not None:
                yield "audio", audio_cid
            if image_cid is not None:
                yield "image", image_cid
        case TrackList(image_cid=str(cid)) | Profile(avatar_cid=str(cid)):
            yield "image", cid


def _is_blob(cid: str) -> bool:
    """Tell whether a CID names bytes as they are: what names a block of a tree is no file."""
    return parse_cid(cid).codec == RAW
