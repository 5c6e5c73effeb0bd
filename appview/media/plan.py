"""How a request for a track's audio is answered: by a redirect, a stream or a refusal. Pure.

What is hidden is not told from what is missing: nobody here learns more of it than that there is nothing. Gates, the
state of the bytes and where they are decide about the rest; `feed.getPlayback` and `/audio` ask the same function, so
they cannot contradict each other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from appview.media.settings import Mirroring


class Refusal(StrEnum):
    """Why there is nothing to hear; the values are the names of errors."""

    NOT_FOUND = "AudioNotFound"
    SUPPORT_REQUIRED = "SupportRequired"
    # The track is shown, and its bytes are not to be had: the state of the blob says why.
    UNAVAILABLE = "AudioUnavailable"


@dataclass(frozen=True, slots=True)
class Kept:
    """An object in our storage: of the original, or of a variant (`profile`); `tag` names its bytes for HTTP."""

    cid: str
    profile: str | None
    tag: str
    etag: str
    size_bytes: int
    mime_type: str


@dataclass(frozen=True, slots=True)
class Audio:
    """What is known of an account's blob that a track which is shown names.

    `state` is the blob's, None while nothing was ever done about it; `pds` is the account's present host. One that
    `is_anothers` is gated by somebody else, and what we keep of it came from another host than this account's.
    """

    did: str
    cid: str
    file_name: str
    is_gated: bool
    pds: str | None
    state: str | None
    original: Kept | None
    variants: Mapping[str, Kept]
    is_anothers: bool = False


@dataclass(frozen=True, slots=True)
class Ways:
    """What the storage and the settings allow: a CDN in front of it, URLs that it signs, redirects at all."""

    has_public_url: bool = False
    can_sign: bool = False
    redirects: bool = True
    mirroring: Mirroring = Mirroring.ON_PLAY


@dataclass(frozen=True, slots=True)
class ToPublic:
    """Redirect to the CDN."""

    kept: Kept


@dataclass(frozen=True, slots=True)
class ToSigned:
    """Redirect to the storage with a URL that works for a while."""

    kept: Kept


@dataclass(frozen=True, slots=True)
class FromStorage:
    """Stream an object that we keep; `is_private` is for nobody's cache."""

    kept: Kept
    is_private: bool


@dataclass(frozen=True, slots=True)
class FromHost:
    """Stream the bytes from the account's host while they are verified; `is_wanted` asks for them to be kept from now on."""

    pds: str
    is_private: bool
    is_wanted: bool


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer that there is nothing; `is_wanted` has the host asked again."""

    refusal: Refusal
    is_wanted: bool = False


Plan: TypeAlias = ToPublic | ToSigned | FromStorage | FromHost | Refuse

READY: Final = "ready"
UNSUPPORTED: Final = "unsupported"
# Nothing that a host may give later changes these: other bytes have another CID.
HOPELESS: Final = frozenset((UNSUPPORTED, "too-large"))
# What a host may have by now.
MISSING: Final = frozenset(("gone", "mismatch"))


def plan(audio: Audio | None, ways: Ways, *, is_own: bool, profile: str | None = None, is_head: bool = False) -> Plan:
    """Return how to answer a request for the original, or for a variant; None stands for hidden and missing alike."""
    if audio is None:
        return Refuse(Refusal.NOT_FOUND)
    if audio.is_gated and not is_own:
        return Refuse(Refusal.SUPPORT_REQUIRED)
    if audio.is_anothers and not audio.is_gated:
        # Whoever names the bytes of a gated track has only what their own host gives: a CID is no ticket.
        if profile is not None:
            return Refuse(Refusal.NOT_FOUND)
        unavailable = Refuse(Refusal.UNAVAILABLE)
        return unavailable if audio.pds is None else FromHost(audio.pds, is_private=False, is_wanted=False)
    kept = audio.original if profile is None else audio.variants.get(profile)
    if kept is not None:
        return _kept(kept, audio, ways, is_head=is_head)
    if profile is not None:
        return Refuse(Refusal.NOT_FOUND)
    if audio.state in HOPELESS:
        return Refuse(Refusal.UNAVAILABLE)
    is_kept_from_now = ways.mirroring is not Mirroring.NEVER and not (audio.is_gated and ways.has_public_url)
    if audio.pds is None or (audio.state in MISSING and is_kept_from_now):
        return Refuse(Refusal.UNAVAILABLE, is_wanted=is_kept_from_now)
    return FromHost(audio.pds, is_private=audio.is_gated, is_wanted=is_kept_from_now)


def _kept(kept: Kept, audio: Audio, ways: Ways, *, is_head: bool) -> Plan:
    if ways.redirects and ways.has_public_url and not audio.is_gated:
        return ToPublic(kept)
    # A signature is for one verb: who asks for the headers alone gets them from us.
    if ways.redirects and ways.can_sign and not is_head:
        return ToSigned(kept)
    return FromStorage(kept, is_private=audio.is_gated)
