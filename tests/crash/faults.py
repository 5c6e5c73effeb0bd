"""The ways in which the campaign disturbs a running indexer, each with the proof that it happened.

Every function returns a `Proof` or None: None is a fault that found nothing to disturb, and does not count as fired.
"""

import asyncio
import random
import signal
from dataclasses import dataclass

import asyncpg
from recorded_upstream import RecordedUpstream
from running_indexer import GUARD_SECONDS, CrashablePostgres, RunningIndexer

from indexer.leadership import LOCK

# What the writer writes after its transaction has a number; held from outside, it waits there.
HELD_TABLES = (
    "records", "uris", "tracks", "track_features", "track_search", "likes", "comments", "lists", "list_items", "profiles", "actor_search",
    "track_counters", "collection_totals", "cursors",
)  # fmt: skip
FOUND_SECONDS = 4.0
STATEMENT_TIMEOUT_MS = 300
_INSIDE = """
    SELECT pid, backend_xid::text AS xid FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'plyr-indexer' AND wait_event_type = 'Lock'
      AND state = 'active' AND backend_xid IS NOT NULL
"""
_TERMINATE = """
    SELECT pid, pg_terminate_backend(pid) AS is_told FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'plyr-indexer'
"""
_TERMINATE_LEADER = """
    SELECT pid, pg_terminate_backend(pid) AS is_told FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND classid = $1::bigint::oid AND objid = $2::bigint::oid
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_ALIVE = "SELECT pid FROM pg_stat_activity WHERE pid = ANY($1::int[])"


@dataclass(frozen=True, slots=True)
class Proof:
    """What shows that a fault happened; `interrupted` tells whether frames were sent that were not yet stored."""

    what: str
    interrupted: bool = False


class Disturbance:
    """Faults for one indexer."""

    def __init__(
        self, indexer: RunningIndexer, upstream: RecordedUpstream, postgres: CrashablePostgres, chance: random.Random
    ) -> None:
        """Take what is to be disturbed."""
        self._indexer = indexer
        self._upstream = upstream
        self._postgres = postgres
        self._chance = chance

    async def kill(self) -> Proof | None:
        """Kill the process after some of the frames that it may have, or some time after its start."""
        if self._chance.random() < 0.2:
            await asyncio.sleep(self._chance.uniform(0.1, 1.5))
        else:
            await self.some_frames(share=self._chance.random())
            await asyncio.sleep(self._chance.choice([0.0, 0.0, 0.0, 0.01, 0.03, 0.08]))
        code = await self._indexer.stop(signal.SIGKILL)
        await self._indexer.backends_gone()
        if code != -signal.SIGKILL:
            return None
        cursor = await self._indexer.cursor()
        return Proof(
            f"ended by signal 9 at cursor {cursor} of {self._upstream.sent_seq}", cursor < self._upstream.sent_seq
        )

    async def some_frames(self, share: float) -> None:
        """Wait until this part of what can be sent was sent, or nothing moves for a while."""
        wanted = max(1, round(share * (self._upstream.released_seq - await self._indexer.cursor())))
        try:
            async with asyncio.timeout(6):
                await self._upstream.delivered_at_least(wanted)
        except TimeoutError:
            pass

    async def kill_in_transaction(self, frames: int) -> Proof | None:
        """Hold the writer inside its transaction, see it there, kill the process, and see the transaction aborted."""
        async with asyncio.timeout(GUARD_SECONDS):
            await self._upstream.followed()
        table = self._chance.choice(HELD_TABLES)
        async with self._indexer.looking() as watcher:
            async with self._indexer.looking() as holder, holder.transaction():
                await holder.execute(f"LOCK TABLE network.{table} IN ACCESS EXCLUSIVE MODE")
                await self._upstream.release(frames)
                inside = await self._found(watcher)
                if inside is None:
                    return None
                code = await self._indexer.stop(signal.SIGKILL)
                at_kill = await watcher.fetchval(_status(inside["xid"]))
            await self._indexer.backends_gone()
            after = await watcher.fetchval(_status(inside["xid"]))
        moved = await self._indexer.cursor()
        if code != -signal.SIGKILL or (at_kill, after) != ("in progress", "aborted"):
            return None
        return Proof(
            f"transaction {inside['xid']} was open at network.{table}, and aborted; cursor {moved} of {self._upstream.sent_seq}",
            moved < self._upstream.sent_seq,
        )

    async def cut_connections(self) -> Proof | None:
        """Cut all connections of the pool while it works; the process must live on."""
        async with asyncio.timeout(GUARD_SECONDS):
            await self._upstream.followed()
        await self.some_frames(self._chance.random())
        async with self._indexer.looking() as connection:
            told = [row["pid"] for row in await connection.fetch(_TERMINATE) if row["is_told"]]
            await _gone(connection, told)
        return Proof(f"{len(told)} connections cut") if told else None

    async def cut_leadership(self) -> Proof | None:
        """Cut the connection that holds the lock: the process must end by itself, or win its lock anew."""
        async with asyncio.timeout(GUARD_SECONDS):
            await self._upstream.followed()
        await self.some_frames(self._chance.random())
        async with self._indexer.looking() as connection:
            rows = await connection.fetch(_TERMINATE_LEADER, LOCK >> 32, LOCK & 0xFFFFFFFF)
            told = [row["pid"] for row in rows if row["is_told"]]
            await _gone(connection, told)
        return Proof(f"the lock's connection cut; {await self._aftermath()}") if told else None

    async def crash_postgres(self) -> Proof | None:
        """End the server as if its machine went down, while the indexer works, and start it again."""
        async with asyncio.timeout(GUARD_SECONDS):
            await self._upstream.followed()
        await self.some_frames(self._chance.random())
        before = await self._started_at()
        cursor = await self._indexer.cursor()
        away_ms = await self._postgres.crash()
        if await self._started_at() == before:
            return None
        after = await self._indexer.cursor()
        lost = f", its last commits lost (cursor {cursor} then {after})" if after < cursor else ""
        return Proof(
            f"the server was away for {away_ms} ms{lost}; {await self._aftermath()}", after < self._upstream.sent_seq
        )

    async def time_out(self, frames: int) -> Proof | None:
        """Hold a table for longer than statements may take: the writer must give up its transaction and try again."""
        async with asyncio.timeout(GUARD_SECONDS):
            await self._upstream.followed()
        async with self._indexer.looking() as watcher, self._indexer.looking() as holder, holder.transaction():
            await holder.execute("SET LOCAL statement_timeout = 0")  # The limit is the indexer's.
            await holder.execute(f"LOCK TABLE network.{self._chance.choice(HELD_TABLES)} IN ACCESS EXCLUSIVE MODE")
            await self._upstream.release(frames)
            first = await self._found(watcher)
            if first is None:
                return None
            async with asyncio.timeout(GUARD_SECONDS):
                again = first
                while again["xid"] == first["xid"]:
                    again = await self._found(watcher) or first
            status = await watcher.fetchval(_status(first["xid"]))
        return (
            Proof(f"transaction {first['xid']} timed out, tried again as {again['xid']}")
            if status == "aborted"
            else None
        )

    async def limit_statements(self, is_limited: bool) -> None:
        """Let statements of the connections that are made from now on take a short time at most, or any again."""
        async with self._indexer.looking() as connection:
            name = await connection.fetchval("SELECT quote_ident(current_database())")
            change = f"SET statement_timeout = '{STATEMENT_TIMEOUT_MS}ms'" if is_limited else "RESET statement_timeout"
            await connection.execute(f"ALTER DATABASE {name} {change}")

    async def _found(self, watcher: asyncpg.Connection) -> asyncpg.Record | None:
        """Return the backend that waits for a lock inside its transaction, None when none comes."""
        try:
            async with asyncio.timeout(FOUND_SECONDS):
                while True:
                    row = await watcher.fetchrow(_INSIDE)
                    if row is not None:
                        return row
                    await asyncio.sleep(0.005)
        except TimeoutError:
            return None

    async def _started_at(self) -> object:
        async with self._indexer.looking() as connection:
            return await connection.fetchval("SELECT pg_postmaster_start_time()")

    async def _aftermath(self) -> str:
        """Wait until the process has ended by itself or works again, and say which."""
        async with asyncio.timeout(GUARD_SECONDS):
            while self._indexer.is_running:
                async with self._indexer.looking() as connection:
                    leads = await connection.fetchval(
                        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = $1::bigint::oid"
                        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
                        LOCK >> 32,
                    )
                if leads:
                    return "the process goes on"
                await asyncio.sleep(0.05)
        return f"the process ended with {self._indexer.exit_code}"


def _status(xid: str) -> str:
    return f"SELECT pg_xact_status('{int(xid)}'::xid8)"


async def _gone(connection: asyncpg.Connection, pids: list[int]) -> None:
    async with asyncio.timeout(GUARD_SECONDS):
        while await connection.fetch(_ALIVE, pids):
            await asyncio.sleep(0.01)
