"""The jobs of media as rows of a table: asked for in anybody's transaction, taken under a lease, done once.

There is one row for each blob or URL, however often it is asked for. Whoever takes it has a lease that ends by itself
when its process does, and writes only while it holds it; a wish that comes meanwhile is counted, so that a job is never
removed before somebody has looked after the last wish. No notification, no session lock: it works behind any proxy.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

import asyncpg

from atprotocol.cid import RAW_PREFIX, cid_from_bytes

LEASE: Final = timedelta(minutes=3)
# What is raised while the database is away, full, read-only or had to break a deadlock: it is asked again.
DATABASE_AWAY: Final = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.ReadOnlySQLTransactionError,
)

_WANT = """
    INSERT INTO plyr.media_jobs AS job (kind, subject, run_at)
    SELECT $1, subject, $3 FROM (SELECT DISTINCT unnest($2::text[]) AS subject) AS wishes ORDER BY subject
    ON CONFLICT (kind, subject) DO UPDATE SET wanted = job.wanted + 1, run_at = least(job.run_at, excluded.run_at)
"""
# Where one is on its way already, or waits for its next try, whoever only listens does not hurry it.
_WANT_UNLESS_QUEUED = """
    INSERT INTO plyr.media_jobs (kind, subject, run_at) VALUES ($1, $2, $3) ON CONFLICT (kind, subject) DO NOTHING
"""
# So many are looked at for one whose host is free: a host with a hundred thousand files must not make each look long.
_LOOKED_AT: Final = 500
_IS_DUE: Final = "f.run_at <= $1 AND (f.leased_until IS NULL OR f.leased_until <= $1)"
_LONGEST_DUE: Final = f"""
    SELECT f.kind, f.subject FROM plyr.media_jobs f WHERE {_IS_DUE} ORDER BY f.run_at LIMIT {_LOOKED_AT}
"""
_ARE_MANY_DUE: Final = f"SELECT count(*) = {_LOOKED_AT} FROM ({_LONGEST_DUE}) AS due"
# CIDs are spread evenly: from a place by chance on, others come into sight than those of one host.
_SOMEWHERE: Final = f"""
    (SELECT f.kind, f.subject FROM plyr.media_jobs f WHERE {_IS_DUE} AND f.kind = 'blob' AND f.subject >= $5
     ORDER BY f.subject LIMIT {_LOOKED_AT})
    UNION ALL (SELECT f.kind, f.subject FROM plyr.media_jobs f WHERE {_IS_DUE} AND f.kind = 'url' LIMIT 1)
"""


def _take_of(candidates: str) -> str:
    return f"""
    WITH due AS (
        SELECT j.kind, j.subject FROM plyr.media_jobs j
        LEFT JOIN LATERAL (
            SELECT r.pds FROM network.blob_references n JOIN network.repos r ON r.actor_id = n.actor_id
            WHERE n.cid = j.subject AND r.pds IS NOT NULL LIMIT 1
        ) host ON j.kind = 'blob'
        WHERE (j.kind, j.subject) IN ({candidates})
            AND (j.leased_until IS NULL OR j.leased_until <= $1)
            AND (host.pds IS NULL OR host.pds <> ALL($4::text[]))
        ORDER BY j.run_at, j.subject
        LIMIT 1
        FOR UPDATE OF j SKIP LOCKED
    )
    UPDATE plyr.media_jobs j SET lease = $2, leased_until = $3, attempts = j.attempts + 1
    FROM due WHERE j.kind = due.kind AND j.subject = due.subject
    RETURNING j.kind, j.subject, j.wanted, j.attempts
    """


_TAKE = _take_of(_LONGEST_DUE)
_TAKE_SOMEWHERE = _take_of(_SOMEWHERE)
_TAKE_THIS = """
    INSERT INTO plyr.media_jobs AS job (kind, subject, run_at, lease, leased_until, attempts)
    VALUES ($1, $2, $3, $4, $5, 1)
    ON CONFLICT (kind, subject) DO UPDATE SET lease = $4, leased_until = $5, attempts = job.attempts + 1
    WHERE job.leased_until IS NULL OR job.leased_until <= $3
    RETURNING kind, subject, wanted, attempts
"""
# A job is found by its key; whether it is still ours its lease tells.
_OURS: Final = "kind = $1 AND subject = $2 AND lease = $3"
_KEEP = f"UPDATE plyr.media_jobs SET leased_until = $4 WHERE {_OURS} RETURNING wanted"
_HELD = f"SELECT wanted FROM plyr.media_jobs WHERE {_OURS} FOR UPDATE"
_DONE = f"DELETE FROM plyr.media_jobs WHERE {_OURS} AND wanted = $4 RETURNING subject"
_AGAIN = f"UPDATE plyr.media_jobs SET lease = NULL, leased_until = NULL, attempts = 0, run_at = $4 WHERE {_OURS}"
_PUT_OFF = f"""
    UPDATE plyr.media_jobs SET lease = NULL, leased_until = NULL, last_error = $5,
        run_at = CASE WHEN wanted = $7 THEN $4 ELSE least($4, run_at) END,
        attempts = CASE WHEN $6 THEN attempts ELSE attempts - 1 END
    WHERE {_OURS}
"""


class LeaseLost(Exception):
    """Somebody else has the job by now: nothing more is written in its name."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job that is ours while the lease lasts; `wanted` is how often it had been asked for when it was taken."""

    kind: str
    subject: str
    wanted: int
    attempts: int
    lease: UUID


async def want(connection: asyncpg.Connection, kind: str, subjects: Collection[str], at: datetime) -> None:
    """Ask for jobs, and have those that wait for another try run at once."""
    await connection.execute(_WANT, kind, list(subjects), at)


async def want_unless_queued(connection: asyncpg.Connection, kind: str, subject: str, at: datetime) -> None:
    """Ask for a job unless there is one."""
    await connection.execute(_WANT_UNLESS_QUEUED, kind, subject, at)


async def take(
    connection: asyncpg.Connection, now: datetime, busy_hosts: Sequence[str], somewhere: float = 0.0
) -> Job | None:
    """Take the job that has been due longest, but for those of hosts that are asked enough already.

    Where such a host has all that has been due long, the place `somewhere` from 0 to 1 is looked at.
    """
    lease = uuid4()
    row = await connection.fetchrow(_TAKE, now, lease, now + LEASE, busy_hosts)
    if row is None and busy_hosts and await connection.fetchval(_ARE_MANY_DUE, now):
        start = str(cid_from_bytes(RAW_PREFIX + int(somewhere * 0xFFFF_FFFF).to_bytes(4, "big") + bytes(28)))
        row = await connection.fetchrow(_TAKE_SOMEWHERE, now, lease, now + LEASE, busy_hosts, start)
    return None if row is None else Job(**row, lease=lease)


async def take_this(connection: asyncpg.Connection, kind: str, subject: str, now: datetime) -> Job | None:
    """Take one job, making it if there is none; None while somebody else is at it."""
    lease = uuid4()
    row = await connection.fetchrow(_TAKE_THIS, kind, subject, now, lease, now + LEASE)
    return None if row is None else Job(**row, lease=lease)


async def keep(connection: asyncpg.Connection, job: Job, now: datetime) -> None:
    """Lengthen the lease. Raises LeaseLost."""
    if await connection.fetchval(_KEEP, *_key(job), now + LEASE) is None:
        raise LeaseLost(job.subject)


async def hold(connection: asyncpg.Connection, job: Job) -> None:
    """Make sure that the job is ours until the caller's transaction ends. Raises LeaseLost."""
    if await connection.fetchval(_HELD, *_key(job)) is None:
        raise LeaseLost(job.subject)


async def finish(connection: asyncpg.Connection, job: Job, now: datetime) -> bool:
    """Remove the job and return True; or give it back to be done again, as it was asked for meanwhile."""
    if await connection.fetchval(_DONE, *_key(job), job.wanted) is not None:
        return True
    await connection.execute(_AGAIN, *_key(job), now)
    return False


async def put_off(
    connection: asyncpg.Connection, job: Job, until: datetime, error: str, *, counts: bool = True
) -> None:
    """Give the job back to be tried again later, or at once when it was asked for meanwhile.

    Without `counts` the try was cut short by us and is none.
    """
    await connection.execute(_PUT_OFF, *_key(job), until, storable(error), counts, job.wanted)


def storable(text: str) -> str:
    """Return an error's text as a row takes it: hosts write what they like into theirs."""
    return text[:500].encode(errors="replace").decode().replace("\0", "\ufffd")


def _key(job: Job) -> tuple[str, str, UUID]:
    return job.kind, job.subject, job.lease
