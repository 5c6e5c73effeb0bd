"""The rows of network.repos: all read at the start, then written whenever a batch touched a repository."""

import gc
from collections.abc import Mapping, Sequence
from dataclasses import fields

import asyncpg

from indexer.decisions import Cause, SyncStatus
from indexer.state import Repo, Repos

# Everything that the memory holds, in the order of the table; `did` comes first and becomes a number.
_COLUMNS = [
    "sync_status",
    "cause",
    "cause_detail",
    "active",
    "upstream_status",
    "takendown",
    "account_seq",
    "account_host",
    "rev",
    "seen_rev",
    "data",
    "commit_cid",
    "handle",
    "handle_verified_at",
    "handle_checked_at",
    "signing_key",
    "pds",
    "identity_at",
    "retry_count",
    "retry_at",
    "synchronized_at",
    "deleted_at",
    "purged_at",
]

RepoRow = tuple[object, ...]

LOADED_AT_ONCE = 5000
# A row is taken for a Repo by place, which is faster than by name.
assert [each.name for each in fields(Repo)][3 : len(_COLUMNS) + 2] == _COLUMNS[1:]
_STATUSES = {status.value: status for status in SyncStatus}

_SELECT = f"SELECT a.did, r.actor_id, {', '.join('r.' + name for name in _COLUMNS)} FROM network.repos r JOIN network.actors a USING (actor_id)"  # noqa: S608
_HANDLE, _HANDLE_VERIFIED_AT = _COLUMNS.index("handle"), _COLUMNS.index("handle_verified_at")
_HANDLES = (
    "SELECT actor_id, handle FROM network.repos WHERE actor_id = ANY($1::bigint[]) AND handle_verified_at IS NOT NULL"
)
_VISIBLE = "SELECT actor_id, visible FROM network.repos WHERE actor_id = ANY($1::bigint[])"
_UPSERT = f"""
    INSERT INTO network.repos (actor_id, {", ".join(_COLUMNS)})
    VALUES ({", ".join(f"${number}" for number in range(1, len(_COLUMNS) + 2))})
    ON CONFLICT (actor_id) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _COLUMNS)}
"""  # noqa: S608


def capture(repo: Repo) -> RepoRow:
    """Return the repository's state as it is now, for a batch to write later."""
    return tuple(_storable(getattr(repo, name)) for name in _COLUMNS)


def _storable(value: object) -> object:
    """Return a text as Postgres can hold it: what strangers say may hold U+0000 or a lone surrogate."""
    if type(value) is not str or (value.isascii() and "\0" not in value):
        return value
    return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


async def load(connection: asyncpg.Connection) -> Repos:
    """Return all tracked repositories as the database knows them."""
    repos = Repos()
    # All of it stays: looking again and again for what could be collected would take as long as reading it.
    gc.disable()
    try:
        await _load_into(repos, connection)
    finally:
        gc.enable()
    return repos


async def _load_into(repos: Repos, connection: asyncpg.Connection) -> None:
    hosts = dict[str | None, str | None]()
    async with connection.transaction(readonly=True):
        cursor = await connection.cursor(_SELECT)
        # In parts, and without keeping twice what is the same: there may be hundreds of thousands.
        while rows := await cursor.fetch(LOADED_AT_ONCE):
            for row in rows:
                repo = repos.add(_repo(row))
                repo.pds = hosts.setdefault(repo.pds, repo.pds)
                repo.account_host = hosts.setdefault(repo.account_host, repo.account_host)
                if repo.seen_rev == repo.rev:
                    repo.seen_rev = repo.rev
                # Commits that waited when the last process ended are gone: what is stored cannot be continued by others.
                repo.has_lost_commits = repo.seen_rev is not None and (repo.rev is None or repo.seen_rev > repo.rev)
                # Of one that was given up none was listened to.
                repo.has_lost_commits |= repo.sync_status is SyncStatus.TOO_LARGE


async def load_one(connection: asyncpg.Connection, did: str) -> Repo | None:
    """Return one tracked repository as the database knows it."""
    row = await connection.fetchrow(f"{_SELECT} WHERE a.did = $1", did)
    return None if row is None else _repo(row)


def _repo(row: asyncpg.Record) -> Repo:
    did, actor_id, sync_status, cause, *others = row
    return Repo(did, _STATUSES[sync_status], actor_id, None if cause is None else Cause(cause), *others)


async def visibility(connection: asyncpg.Connection, actor_ids: Sequence[int]) -> dict[int, bool]:
    """Return, of those that have a row, whether the accounts are visible."""
    return {row["actor_id"]: row["visible"] for row in await connection.fetch(_VISIBLE, actor_ids)}


async def renamed(connection: asyncpg.Connection, rows: Mapping[int, RepoRow]) -> list[int]:
    """Return which accounts these states will give another verified handle, or none any more."""
    known = {row["actor_id"]: row["handle"] for row in await connection.fetch(_HANDLES, list(rows))} if rows else {}
    handles = {
        actor_id: None if row[_HANDLE_VERIFIED_AT] is None else row[_HANDLE] for actor_id, row in sorted(rows.items())
    }
    return [actor_id for actor_id, handle in handles.items() if handle != known.get(actor_id)]


async def save(connection: asyncpg.Connection, rows: Mapping[int, RepoRow]) -> None:
    """Write the captured states by account number."""
    if rows:
        await connection.executemany(_UPSERT, [(actor_id, *row) for actor_id, row in sorted(rows.items())])
