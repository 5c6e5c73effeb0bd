"""Notice a cancellation that a library swallowed: asyncpg may answer one with the error of a connection that is lost.

Whoever catches such errors and tries again asks here, or it may never end.
"""

import asyncio


def cancellations() -> int:
    """Return how often the running task was told to end."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


def end_if_cancelled(before: int) -> None:
    """Raise CancelledError when the running task was told to end since it was so `before`."""
    if cancellations() > before:
        raise asyncio.CancelledError
