"""Every instrument of the indexer, in one place: counts for the status page, spans and lines for operators.

Labels are small closed sets; DIDs stand in log lines only. One canonical line is logged for each batch that changed
something and for each repair, never one for a frame.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence

from indexer.decisions import Cause, Ignored
from indexer.journal import CursorMove

_logger = logging.getLogger("plyr.indexer")


class Metrics:
    """Counts since the start of this process."""

    def __init__(self) -> None:
        """Start at zero."""
        self.frames: Counter[str] = Counter()
        self.ignored: Counter[str] = Counter()
        self.desynchronized: Counter[str] = Counter()
        self.repairs: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self.commits_verified = 0
        self.batches_written = 0
        self.share_of_same: float | None = None

    def frame(self, kind: str) -> None:
        """Count a frame that concerns us, by kind."""
        self.frames[kind] += 1

    def ignore(self, reason: Ignored) -> None:
        """Count a message that changed nothing."""
        self.ignored[reason] += 1

    def desynchronize(self, cause: Cause) -> None:
        """Count a repository that needs repair."""
        self.desynchronized[cause] += 1

    def event(self, name: str, /, **fields: object) -> None:
        """Count something rare that an operator should know of, and log it."""
        self.events[name] += 1
        _logger.warning(_line(name, fields))

    def often(self, name: str, /, **fields: object) -> None:
        """Count what a stranger can bring about with every frame; a line for the first and for every thousandth."""
        self.events[name] += 1
        if self.events[name] % 1000 == 1:
            _logger.warning(_line(name, {"count": self.events[name]} | fields))

    def note(self, name: str, /, **fields: object) -> None:
        """Count something ordinary, and log it."""
        self.events[name] += 1
        _logger.info(_line(name, fields))

    def batch_written(self, frames: int, units: int, cursors: Sequence[CursorMove]) -> None:
        """Count a batch; one line when it changed records."""
        self.batches_written += 1
        if units:
            _logger.info(
                _line(
                    "indexer.batch",
                    {"frames": frames, "units": units} | {f"cursor[{move.host}]": move.seq for move in cursors},
                )
            )

    def audited(self, counts: Mapping[str, int], share_of_same: float | None) -> None:
        """Count an audit, and log its one line."""
        self.share_of_same = share_of_same
        self.note("indexer.audited", share_of_same=share_of_same, **counts)

    def database_failed(self, error: BaseException) -> None:
        """Count a batch that is tried again."""
        self.event("indexer.database_failed", error=f"{type(error).__name__}: {error}"[:200])

    def repo_refused(self, did: str, detail: str) -> None:
        """Count a repository whose data the database refused."""
        self.event("indexer.repo_refused", did=did, detail=detail[:200])

    def repaired(
        self, did: str, outcome: str, cause: str | None, *, seconds: float, size_bytes: int, detail: str | None = None
    ) -> None:
        """Count a repair by outcome, and log its one line."""
        self.repairs[outcome] += 1
        _logger.info(
            _line(
                "indexer.resync",
                {
                    "did": did,
                    "outcome": outcome,
                    "cause": cause,
                    "seconds": round(seconds, 3),
                    "size_bytes": size_bytes,
                    "detail": detail,
                },
            )
        )


def _line(name: str, fields: Mapping[str, object]) -> str:
    return " ".join([name, *(f"{key}={value}" for key, value in fields.items() if value is not None)])
