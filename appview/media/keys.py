"""The names under which media are kept: by content, typed, and made of nothing that a stranger could bend.

A blob lies under its CID, a variant under the CID of its blob and the name of a profile, and what is still
arriving under a random number. Anything else is refused when a key is made, so a path has no other shape than
the three of `parse_key`: no empty part, no "..", no capital letter, nothing to escape in a file name or a URL.
Source of the form of a blob's CID (CIDv1, codec raw, SHA-256): https://atproto.com/specs/blob
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias
from uuid import UUID

from atprotocol.cid import RAW, parse_cid
from atprotocol.errors import EncodingError

_PROFILE = re.compile(r"[a-z0-9][a-z0-9.-]{0,39}")


@dataclass(frozen=True, slots=True)
class BlobKey:
    """The bytes that `cid` names. Raises ValueError unless that is the canonical text of a blob's CID."""

    cid: str

    def __post_init__(self) -> None:
        """Refuse what names no blob."""
        _check_cid(self.cid)

    @property
    def path(self) -> str:
        """Return the key's text, as in `blobs/bafkrei…`."""
        return f"blobs/{self.cid}"


@dataclass(frozen=True, slots=True)
class VariantKey:
    """What `profile` makes of the blob `cid`. Raises ValueError unless both are of their form."""

    cid: str
    profile: str

    def __post_init__(self) -> None:
        """Refuse what names no variant of a blob."""
        _check_cid(self.cid)
        # Two dots in a row would be no way out of a folder, but nothing of ours needs to look like one.
        if _PROFILE.fullmatch(self.profile) is None or ".." in self.profile:
            raise ValueError(f"no name of a profile: {self.profile[:80]!r}")

    @property
    def path(self) -> str:
        """Return the key's text, as in `variants/bafkrei…/mp3-128`."""
        return f"variants/{self.cid}/{self.profile}"


@dataclass(frozen=True, slots=True)
class StagingKey:
    """Bytes that are still arriving, or were left behind by a crash."""

    name: UUID

    @property
    def path(self) -> str:
        """Return the key's text, as in `staging/0b8e0a3c-…`."""
        return f"staging/{self.name}"


Key: TypeAlias = BlobKey | VariantKey | StagingKey


def parse_key(path: str) -> Key | None:
    """Return the key whose path this is; None when it is none of ours."""
    try:
        match path.split("/"):
            case ["blobs", cid]:
                return BlobKey(cid)
            case ["variants", cid, profile]:
                return VariantKey(cid, profile)
            case ["staging", name]:
                key = StagingKey(UUID(name))
                # UUID reads many spellings; a key has one.
                return key if key.path == path else None
    except ValueError:
        pass
    return None


def is_blob(cid: str) -> bool:
    """Tell whether a text is the CID of a blob: a record may name a block of a tree."""
    try:
        _check_cid(cid)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=1024)
def _check_cid(text: str) -> None:
    try:
        cid = parse_cid(text)
    except EncodingError as error:
        raise ValueError(f"no CID of a blob: {text[:80]!r}") from error
    if cid.codec != RAW:
        raise ValueError(f"the CID of a record, not of a blob: {text}")
