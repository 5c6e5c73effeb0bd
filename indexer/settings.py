"""The indexer's settings, passed in by whoever composes it: nothing here reads the environment."""

from dataclasses import dataclass, field

from atprotocol.syntax.did import DID
from indexer.audit import AuditSettings
from indexer.consumer import StreamSettings
from indexer.media_rows import NO_WISHES, MediaWishes
from indexer.repair import RepairSettings


@dataclass(frozen=True, slots=True)
class IndexerSettings:
    """What one indexer follows, and its limits."""

    # Relays or PDSes; the first relay decides about account statuses.
    relay_urls: tuple[str, ...]
    namespace: str = "fm.plyr"
    stream: StreamSettings = field(default_factory=StreamSettings)
    audit: AuditSettings = field(default_factory=AuditSettings)
    max_repo_bytes: int = 512_000_000
    # Law 13: strangers may make us grow so fast and no faster.
    new_repos_per_minute: float = 1200.0
    new_repos_burst: int = 5000
    new_repos_per_host_per_minute: float = 300.0
    new_repos_per_host_burst: int = 2000
    # Every tracked repository takes memory, about 2 kB.
    max_repos: int = 500_000
    # Whose labels are kept; nobody's unless somebody is named.
    labelers: tuple[DID, ...] = ()
    # What is to be done about the audio and the pictures of records that come.
    media: MediaWishes = NO_WISHES
    discovers: bool = True
    discovery_seconds: float = 86_400.0
    poll_seconds: float = 1.0
    repair: RepairSettings = field(default_factory=RepairSettings)
