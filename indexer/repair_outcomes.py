"""How a repair may end other than well: it failed and is tried again or given up, or it is not its turn."""

from indexer.decisions import Cause, SyncStatus


class RepairFailed(Exception):
    """A repair that is to be tried again later, or given up."""

    def __init__(
        self,
        cause: Cause,
        detail: str,
        retry_after_seconds: float | None = None,
        status: SyncStatus = SyncStatus.DESYNCHRONIZED,
    ) -> None:
        """Say why, when to try again at the earliest, and what the repository becomes."""
        super().__init__(detail)
        self.cause = cause
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds
        self.status = status


class Postponed(Exception):
    """The repository's host has no turn free: the repair begins again when it has one."""
