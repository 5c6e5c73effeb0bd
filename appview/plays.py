"""Count plays: a row for each that counts, and its counter, in one transaction.

Of one listener a track counts once in the time that it lasts (30 seconds to an hour); the same call sent again
within a day changes nothing and gets the same answer. An address is kept as a keyed hash; the key lives in this
process alone, so that nobody who has the rows can tell whose they are.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

_SHORTEST = timedelta(seconds=30)
_LONGEST = timedelta(hours=1)
_UNKNOWN_DURATION_SECONDS = 180
_REMEMBERED = timedelta(days=1)

# Two calls of one listener about one track wait for one another; nobody else waits.
_TAKE_TURN = "SELECT pg_advisory_xact_lock(hashtextextended($1 || ' ' || $2, 0))"
_EARLIER = """
    SELECT
        (SELECT counted FROM plyr.play_turns WHERE listener = $1 AND subject = $2 AND idempotency_key = $3) AS counted,
        EXISTS (SELECT FROM plyr.play_turns WHERE listener = $1 AND subject = $2 AND counted AND until > $4) AS is_heard
"""
_PLAY = "INSERT INTO plyr.plays (subject, listener, played_at) VALUES ($1, $2, $3)"
_COUNT = """
    INSERT INTO plyr.play_counters AS c (subject, play_count) VALUES ($1, 1)
    ON CONFLICT (subject) DO UPDATE SET play_count = c.play_count + 1
"""
_COUNT_OF = "SELECT coalesce((SELECT play_count FROM plyr.play_counters WHERE subject = $1), 0)"
_TURN = """
    INSERT INTO plyr.play_turns (listener, subject, idempotency_key, counted, until) VALUES ($1, $2, $3, $4, $5)
"""
# Each call tidies up after some others, so that no more is kept than is needed.
_FORGET = """
    DELETE FROM plyr.play_turns WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM plyr.play_turns WHERE until < $1 ORDER BY until LIMIT 20 FOR UPDATE SKIP LOCKED))
"""


@dataclass(frozen=True, slots=True)
class Play:
    """What somebody says to have played: `viewer_did` who is signed in, else they are known by their address."""

    subject: str
    viewer_did: str | None
    address: str | None
    idempotency_key: str
    duration_seconds: int | None
    played_at: datetime
    listener_key: bytes

    @property
    def listener(self) -> str:
        """Return what stands for the listener."""
        if self.viewer_did is not None:
            return self.viewer_did
        return (
            "address:"
            + hashlib.blake2b((self.address or "").encode(), key=self.listener_key, digest_size=16).hexdigest()
        )

    @property
    def until(self) -> datetime:
        """Return when the track could have been heard to its end."""
        seconds = _UNKNOWN_DURATION_SECONDS if self.duration_seconds is None else min(self.duration_seconds, 86_400)
        return self.played_at + min(max(timedelta(seconds=seconds), _SHORTEST), _LONGEST)


async def record(connection: asyncpg.Connection, play: Play) -> tuple[bool, int]:
    """Count a play unless it is one too many, and return whether it counted, and how many there are here now."""
    listener = play.listener
    # Rows cannot hold U+0000.
    key = play.idempotency_key.replace("\0", "\ufffd")
    async with connection.transaction():
        await connection.execute(_TAKE_TURN, listener, play.subject)
        earlier = await connection.fetchrow(_EARLIER, listener, play.subject, key, play.played_at)
        is_counted = earlier["counted"]
        if is_counted is None:
            is_counted = not earlier["is_heard"]
            if is_counted:
                await connection.execute(_PLAY, play.subject, play.viewer_did, play.played_at)
                await connection.execute(_COUNT, play.subject)
            await connection.execute(_TURN, listener, play.subject, key, is_counted, play.until)
        await connection.execute(_FORGET, play.played_at - _REMEMBERED)
        count: int = await connection.fetchval(_COUNT_OF, play.subject)
    return is_counted, count
