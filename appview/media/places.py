"""Where views say that audio and pictures are: at our own address by content, or at an origin that the operator named. Pure.

Whatever a record says, no other URL stands in a view as a file to be fetched: it would tell a stranger who listens to what,
and nobody knows what is there.
"""

from dataclasses import dataclass

from atprotocol.syntax.uri import is_at_origin


@dataclass(frozen=True, slots=True)
class MediaPlaces:
    """Our public address, and the origins whose URLs in records are believed."""

    public_url: str
    origins: frozenset[str] = frozenset()

    def audio(self, did: str, cid: str, profile: str | None = None) -> str:
        """Return where an account's blob, or a variant of it, is heard."""
        variant = "" if profile is None else f"?variant={profile}"
        return f"{self.public_url}/audio/{_in_a_path(did)}/{cid}{variant}"

    def image(self, preset: str, did: str, cid: str | None) -> str | None:
        """Return where an account's blob is seen in a size; None for no blob."""
        return None if cid is None else f"{self.public_url}/img/{preset}/{_in_a_path(did)}/{cid}"

    def believed(self, url: str | None) -> str | None:
        """Return a URL of a record if it may stand in a view, as it is."""
        return url if is_at_origin(url, self.origins) else None


NO_PLACES = MediaPlaces("")


def _in_a_path(did: str) -> str:
    # Of all that DIDs are written with, a path takes everything as it is but the percent sign.
    return did.replace("%", "%25")
