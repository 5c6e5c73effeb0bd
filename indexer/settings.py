"""The indexer's settings, passed in by whoever composes it: nothing here reads the environment."""

from dataclasses import dataclass, field

from indexer.repair import RepairSettings


@dataclass(frozen=True, slots=True)
class IndexerSettings:
    """What one indexer follows, and its limits."""

    relay_url: str
    namespace: str = "fm.plyr"
    # Where to begin on a stream that was never followed: None is from now on.
    first_cursor: int | None = None
    max_repo_bytes: int = 512_000_000
    # Law 13: strangers may make us grow so fast and no faster.
    new_repos_per_minute: float = 1200.0
    new_repos_burst: int = 5000
    # Every tracked repository takes memory, about 2 kB.
    max_repos: int = 500_000
    discovers: bool = True
    discovery_seconds: float = 86_400.0
    poll_seconds: float = 1.0
    repair: RepairSettings = field(default_factory=RepairSettings)
