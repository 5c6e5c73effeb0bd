"""`plyr audit`: compare every repository with its host, now, and have those that differ fetched anew."""

import asyncio
import sys
from datetime import UTC, datetime
from json import dumps
from typing import Annotated

import asyncpg
from cyclopts import Parameter

from atprotocol.syntax.did import DID
from database.connect import parse_database_url
from indexer import comparing, repo_rows
from indexer.comparing import Comparing, ComparingSettings, Finding
from indexer.leadership import is_led
from indexer.state import Repo
from indexer.verdicts import DIFFERENT, HostView, Verdict, share_of_same
from plyr.clusters import existing_database
from plyr.commands.options import AllowHost, AsJson, DataDir, Plc
from plyr.indexing import outside
from plyr.outcome import ExitCode
from plyr.program import complain, run
from plyr.progress import Progress
from plyr.rendering import columns, print_json
from plyr.settings import Settings, read_settings

SHOW_SECONDS = 0.5

_REQUEST = """
    INSERT INTO plyr.sync_requests (did) SELECT unnest($1::text[])
    ON CONFLICT (did) DO UPDATE SET requested_at = clock_timestamp(), taken_at = NULL
"""
_KEEP = """
    INSERT INTO network.audits (requested_at, reason, started_at, finished_at, counts)
    VALUES ($1, 'plyr audit', $1, clock_timestamp(), $2)
"""

Grace = Annotated[
    float,
    Parameter(name="--grace", help="Seconds after which what differs is looked at again, as it may be on its way."),
]


def audit(
    *,
    dry_run: Annotated[
        bool, Parameter(negative="", show_default=False, help="Tell what differs, and have nothing fetched.")
    ] = False,
    grace: Grace = 15.0,
    plc: Plc = None,
    data_dir: DataDir = None,
    allow_host: AllowHost = None,
    json: AsJson = False,
) -> ExitCode:
    """Compare every repository with its host."""
    settings = read_settings(plc=plc, data_dir=data_dir, allow_host=allow_host)
    comparing_settings = ComparingSettings(grace_seconds=grace)
    return run(_audit(settings, comparing_settings, dry_run, json), settings, stopped=ExitCode.INTERRUPTED)


async def _audit(settings: Settings, gently: ComparingSettings, dry_run: bool, json: bool) -> ExitCode:
    started_at = datetime.now(UTC)
    findings: list[Finding] = []
    async with existing_database(settings) as url, outside(settings) as ways:
        database = parse_database_url(url)
        connection = await asyncpg.connect(database.dsn, statement_cache_size=0)
        try:
            repos = await repo_rows.load(connection)
            lock = asyncio.Lock()

            async def look(pds: str, did: DID) -> HostView:
                return await comparing.look(ways.client, pds, did)

            async def present(did: str) -> Repo | None:
                # From the table each time: the indexer goes on meanwhile.
                async with lock:
                    return await repo_rows.load_one(connection, did)

            async def prepare(_: Repo) -> None:
                """Take the host that is known: the indexer's own audit reads old DID documents anew."""

            compared = Comparing(look, gently, prepare=prepare, present=present)
            showing = asyncio.create_task(_show(compared, len(repos.by_did)))
            try:
                await compared.run(list(repos.by_did.values()), findings.append)
            finally:
                showing.cancel()
            different = [finding.did for finding in findings if finding.verdict in DIFFERENT]
            counts = {verdict.value: compared.counts[verdict] for verdict in Verdict if compared.counts[verdict]}
            await connection.execute(_KEEP, started_at, dumps(counts))
            if different and not dry_run:
                await connection.execute(_REQUEST, different)
                if not database.pooled and not await is_led(url):
                    complain("no indexer is running: what differs is fetched by the next one")
        finally:
            await connection.close()
    share = share_of_same(counts)
    if json:
        told = [{"did": each.did, "verdict": each.verdict, "detail": each.detail} for each in findings]
        print_json(
            {"counts": counts, "share_of_same": share, "findings": told, "requested": [] if dry_run else different}
        )
    else:
        print(_rendered(counts, share, findings, dry_run))
    # Where nothing could be compared nothing is known to be right.
    return ExitCode.FAILED if different or (repos.by_did and share is None) else ExitCode.OK


async def _show(compared: Comparing, total: int) -> None:
    progress = Progress("Comparing", "repositories", sys.stderr)
    try:
        while True:
            progress.report(compared.done_count, total)
            await asyncio.sleep(SHOW_SECONDS)
    finally:
        progress.close()


def _rendered(counts: dict[str, int], share: float | None, findings: list[Finding], dry_run: bool) -> str:
    lines = [columns([(name, f"{count:,}") for name, count in counts.items()]) or "No repository is tracked."]
    if findings:
        lines += ["", columns([(each.did, each.verdict.value, _printable(each.detail or "")) for each in findings])]
    if share is not None:
        lines += ["", f"{share:.2%} of the repositories that could be compared equal their hosts'."]
    if any(each.verdict in DIFFERENT for each in findings):
        lines.append("What differs was left as it is." if dry_run else "What differs will be fetched anew.")
    return "\n".join(lines)


def _printable(text: str) -> str:
    """Return what a host said without what would act on a terminal."""
    return "".join(character if character.isprintable() else f"\\x{ord(character):02x}" for character in text)
