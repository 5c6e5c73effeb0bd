"""`plyr resync`: have a repository fetched anew by the indexer that runs."""

import asyncio
import time
from typing import Annotated

import asyncpg
from cyclopts import Parameter

from atprotocol.errors import InvalidSyntax
from atprotocol.syntax.did import DID, parse_did
from atprotocol.syntax.excerpt import excerpt
from database.connect import parse_database_url
from indexer.leadership import is_led
from plyr.clusters import existing_database
from plyr.commands.options import AsJson, DataDir
from plyr.outcome import CommandError, ExitCode
from plyr.program import complain, run
from plyr.rendering import print_json
from plyr.settings import Settings, read_settings

POLL_SECONDS = 0.1
# The indexer asks the host of an inactive account before it believes that nothing changed.
INACTIVE_SECONDS = 5.0

_REQUEST = """
    INSERT INTO plyr.sync_requests (did) VALUES ($1)
    ON CONFLICT (did) DO UPDATE SET requested_at = clock_timestamp(), taken_at = NULL
    RETURNING requested_at
"""
_STATE = """
    SELECT s.taken_at, r.sync_status, r.cause, r.cause_detail, r.active, r.upstream_status, r.rev, r.synchronized_at
    FROM plyr.sync_requests s
    LEFT JOIN network.actors a ON a.did = s.did
    LEFT JOIN network.repos r ON r.actor_id = a.actor_id
    WHERE s.did = $1
"""


def resync(
    did: Annotated[str, Parameter(help="DID of the account.")],
    /,
    *,
    wait: Annotated[
        bool, Parameter(negative="", show_default=False, help="Wait until the repository is synchronized.")
    ] = False,
    timeout: Annotated[float, Parameter(help="Seconds to wait at most.")] = 300.0,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> ExitCode:
    """Have a repository fetched anew."""
    settings = read_settings(data_dir=data_dir)
    try:
        parsed = parse_did(did)
    except InvalidSyntax as error:
        raise CommandError(
            f"{excerpt(did)} is no DID: write it like did:plc:… or did:web:…", ExitCode.WRONG_USAGE
        ) from error
    return run(_resync(settings, parsed, wait, timeout, json), settings, stopped=ExitCode.INTERRUPTED)


async def _resync(settings: Settings, did: DID, wait: bool, timeout_seconds: float, json: bool) -> ExitCode:
    async with existing_database(settings) as url:
        database = parse_database_url(url)
        is_indexed = database.pooled or await is_led(url)
        connection = await asyncpg.connect(database.dsn, statement_cache_size=0)
        try:
            requested_at = await connection.fetchval(_REQUEST, did)
            if not is_indexed:
                complain("no indexer is running: the request waits for the next one")
            result: dict[str, object] = {"did": did, "requested": True, "indexer_running": is_indexed}
            if wait:
                result |= await _outcome(connection, did, requested_at, timeout_seconds)
        finally:
            await connection.close()
    if json:
        print_json(result)
    elif wait:
        state = result["sync_status"]
        print(f"{did} is {state}" + (f": {result['detail']}" if result["detail"] else f" at rev {result['rev']}"))
    else:
        print(f"Requested: {did} will be fetched anew. `plyr index` or `plyr up` does it.")
    return ExitCode.OK if not wait or result["sync_status"] == "synchronized" else ExitCode.FAILED


async def _outcome(
    connection: asyncpg.Connection, did: DID, requested_at: object, timeout_seconds: float
) -> dict[str, object]:
    """Wait for the repair that follows the request, and return how it ended."""
    deadline = time.monotonic() + timeout_seconds
    inactive_since: float | None = None
    while True:
        row = await connection.fetchrow(_STATE, did)
        assert row is not None
        now = time.monotonic()
        detail = ": ".join(text for text in (row["cause"], row["cause_detail"]) if text)
        answer: dict[str, object] = {"sync_status": row["sync_status"], "rev": row["rev"], "detail": detail or None}
        if row["taken_at"] is not None and row["sync_status"] is not None:
            if row["active"]:
                inactive_since = None
                if row["sync_status"] == "synchronized" and row["synchronized_at"] > requested_at:
                    return answer
                if row["sync_status"] in ("too-large", "error"):
                    return answer
            else:
                inactive_since = inactive_since or now
                if now - inactive_since > INACTIVE_SECONDS:
                    return answer | {"sync_status": "inactive", "detail": row["upstream_status"]}
        if now > deadline:
            raise CommandError(
                f"{did} is not synchronized after {timeout_seconds:g} s ({detail or 'no indexer took the request'})"
            )
        await asyncio.sleep(POLL_SECONDS)
