"""The one clock of the running indexer; everything that decides is handed a time."""

from datetime import UTC, datetime


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)
