"""What an operator may choose about the appview. Read from no environment: the composition root passes it in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from appview.media.places import MediaPlaces
from appview.media.settings import MediaSettings
from appview.xrpc.rate_limit import MethodLimits, Window

# Whoever asks for a repository to be fetched makes us work for it.
_SYNC_REQUESTS = MethodLimits(
    by_address=(Window(10, 3600), Window(30, 86_400)),
    in_total=(Window(300, 3600),),
)

# A search costs about twice what a page of a feed does.
_METHOD_POINTS: Mapping[str, int] = dict.fromkeys(("feed.searchTracks", "actor.searchActors", "library.searchLists"), 2)
# Nobody hears a hundred tracks an hour to their ends.
_PLAYS = MethodLimits(by_address=(Window(120, 3600), Window(1000, 86_400)))


@dataclass(frozen=True, slots=True)
class AppviewSettings:
    """One served namespace at one public address.

    `public_url` is the origin that clients use; its host is the service's DID for ever, so it is chosen once.
    `trusted_proxy_hops` is how many proxies of ours stand in front and append to X-Forwarded-For.
    """

    namespace: str = "fm.plyr"
    public_url: str = "http://localhost:8080"
    version: str = "0"
    trusted_proxy_hops: int = 0
    rate_windows: tuple[Window, ...] = (Window(3000, 300), Window(100_000, 86_400))
    # Of accounts that proved themselves, whatever address they come from: hosts ask for many of them.
    account_rate_windows: tuple[Window, ...] = (Window(3000, 300), Window(100_000, 86_400))
    # What methods weigh in these windows, by their names within the namespace; all others weigh one point.
    method_points: Mapping[str, int] = field(default_factory=lambda: _METHOD_POINTS)
    sync_request_limits: MethodLimits = _SYNC_REQUESTS
    play_limits: MethodLimits = _PLAYS
    # The labelers that the indexer follows, by their DIDs.
    labelers: tuple[str, ...] = ()
    media: MediaSettings = field(default_factory=MediaSettings)
    # A DID that was asked for is not queued again before this has passed.
    sync_request_pause_seconds: int = 600
    # More requests than this are never waiting, whoever asks.
    sync_request_backlog: int = 1000
    body_limit_bytes: int = 100_000
    cache_seconds: int = 5
    # So long an answer to whoever is not signed in may be older than what the database says; less than a second.
    page_seconds: float = 0.25
    pool_minimum: int = 1
    pool_maximum: int = 10
    acquire_timeout_seconds: float = 5.0
    statement_timeout_ms: int = 5000

    @property
    def did(self) -> str:
        """Return the did:web of the public address; a port is written as %3A, as the method demands."""
        return f"did:web:{urlsplit(self.public_url).netloc.lower().replace(':', '%3A')}"

    def nsid(self, name: str) -> str:
        """Return the NSID, or reference, of a name in the served namespace: `feed.defs#trackView`."""
        return f"{self.namespace}.{name}"


def places_of(settings: AppviewSettings) -> MediaPlaces:
    """Return where views say that audio and pictures are."""
    return MediaPlaces(settings.public_url, settings.media.origins)
