"""What an operator may choose about audio and pictures. Read from no environment: the composition root passes it in."""

from dataclasses import dataclass, field
from enum import StrEnum


class Mirroring(StrEnum):
    """Whether blobs of artists are kept here: all that records name, those that somebody asked for, or none."""

    ALWAYS = "always"
    ON_PLAY = "on-play"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Purging:
    """Where the operator's CDN takes orders to forget URLs, in the form `{"files": [URL]}` with a bearer token."""

    url: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class MediaSettings:
    """How audio and pictures are fetched, kept and given.

    `origins` are those whose URLs in records are believed to lead to audio or pictures. `redirects` sends listeners to
    the CDN, or to the storage with a signed URL, wherever there is one; otherwise everything goes through us.
    """

    mirroring: Mirroring = Mirroring.ON_PLAY
    origins: frozenset[str] = frozenset()
    # The lexicon's bound holds too, whichever is less.
    max_blob_bytes: int = 100 * 1024 * 1024
    max_picture_bytes: int = 20_000_000
    redirects: bool = True
    signed_url_seconds: int = 3600
    # Of what streams through us.
    cache_seconds: int = 3600
    streams_in_total: int = 2000
    streams_per_address: int = 12
    # What is kept for a while of files that stream through from their hosts, unverified ones among them.
    spool_bytes: int = 2_000_000_000
    spool_seconds: float = 300.0
    fetches_at_once: int = 8
    pictures_at_once: int = 2
    # Bytes that nobody refers to any longer are kept for so long.
    grace_seconds: float = 7 * 86_400.0
    # A URL of an allowed origin is looked at so often.
    recheck_seconds: float = 86_400.0
    purging: Purging | None = None
