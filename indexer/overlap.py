"""Find where to begin on a stream that was never followed, so that it overlaps with what was followed before.

Numbers mean nothing across hosts, times do roughly: the events' own times are asked for by opening the stream at several
places. What the times get wrong costs a few repeated events, or is found by the audit that a change of upstreams brings.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta

from atprotocol import frames
from atprotocol.errors import FrameError, InvalidSyntax, NetworkError
from atprotocol.syntax.datetime import EARLIEST, parse_datetime

Connect = Callable[[int | None], AbstractAsyncContextManager[AsyncIterator[bytes]]]

OVERLAP = timedelta(minutes=2)
NEAR_ENOUGH = 1000
MOST_LOOKS = 40
LOOK_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class _Event:
    seq: int
    time: datetime


async def overlapping_cursor(connect: Connect, followed_until: datetime) -> int | None:
    """Return a cursor that lies a little before what was followed; None when it cannot be found: begin live then."""
    # The time is a stranger's: it may be the first of the calendar.
    wanted = max(followed_until, EARLIEST + OVERLAP) - OVERLAP
    try:
        newest, oldest = await _first(connect, None), await _first(connect, 0)
        if newest is None or oldest is None:
            return None
        low, high = oldest, newest.seq
        for _ in range(MOST_LOOKS):
            if low.time >= wanted or high - low.seq <= NEAR_ENOUGH:
                break
            middle = await _first(connect, (low.seq + high) // 2)
            if middle is None or not low.seq < middle.seq < high:
                break
            if middle.time < wanted:
                low = middle
            else:
                high = middle.seq
    except (NetworkError, FrameError):
        return None
    return max(0, low.seq - 1)


async def _first(connect: Connect, cursor: int | None) -> _Event | None:
    """Return the first event that the stream brings after a cursor; None when it is quiet."""
    try:
        async with asyncio.timeout(LOOK_SECONDS), connect(cursor) as connection:
            async for raw in connection:
                _, payload = frames.split(raw)
                seq, time = payload.get("seq"), payload.get("time")
                if isinstance(seq, int) and isinstance(time, str):
                    return _Event(seq, parse_datetime(time).instant)
    except (TimeoutError, InvalidSyntax):
        return None
    return None
