"""`plyr media`: what is kept of audio and pictures, whether it is right, and what may go."""

import sys
from typing import Annotated

import asyncpg
from cyclopts import Parameter

from appview.media import jobs
from appview.media.jobs import Job
from appview.media.keys import BlobKey
from appview.media.sweeping import Sweep
from appview.media.verifying import Verification, Verifier
from appview.media.worker import MediaWorker
from database.connect import parse_database_url
from plyr.clusters import existing_database, running_database
from plyr.commands.options import AllowHost, AsJson, DataDir
from plyr.media import now_in_utc, opened_worker
from plyr.media_status import megabytes, read_media_status, render
from plyr.outcome import CommandError, ExitCode
from plyr.program import run
from plyr.progress import Progress
from plyr.rendering import columns, print_json
from plyr.schema import require_newest_schema
from plyr.settings import Settings, read_settings

_ENDED_BADLY = ("gone", "mismatch", "too-large", "unsupported")
_BY_STATE = "SELECT cid FROM plyr.blobs WHERE state = ANY($1::text[]) ORDER BY cid"
_ALL_URLS = "SELECT url FROM plyr.external_media WHERE state <> 'ready' ORDER BY url"
_UNRENDERED = "UPDATE plyr.blobs SET variant_reason = NULL WHERE variant_reason IS NOT NULL RETURNING cid"
_FORGET_REASON = "UPDATE plyr.blobs SET variant_reason = NULL WHERE cid = $1"
_SHOWN = 20

DryRun = Annotated[
    bool, Parameter(name="--dry-run", negative="", show_default=False, help="Only tell what would be let go.")
]
Force = Annotated[
    bool,
    Parameter(
        name="--force",
        negative="",
        show_default=False,
        help="Let go even of most of what is kept, which looks like an index that is being rebuilt.",
    ),
]
Cid = Annotated[str | None, Parameter(help="CID of a blob; all that ended badly if left out.")]


def status(*, data_dir: DataDir = None, json: AsJson = False) -> ExitCode:
    """Tell what is kept."""
    settings = read_settings(data_dir=data_dir)
    return run(_status(settings, json), settings, stopped=ExitCode.INTERRUPTED)


def verify(*, data_dir: DataDir = None, allow_host: AllowHost = None, json: AsJson = False) -> ExitCode:
    """Hash everything that is kept, and mend what is not right."""
    settings = read_settings(data_dir=data_dir, allow_host=allow_host)
    return run(_verify(settings, json), settings, stopped=ExitCode.INTERRUPTED)


def sweep(
    *,
    dry_run: DryRun = False,
    force: Force = False,
    data_dir: DataDir = None,
    allow_host: AllowHost = None,
    json: AsJson = False,
) -> ExitCode:
    """Let go of what nobody refers to."""
    settings = read_settings(data_dir=data_dir, allow_host=allow_host)
    return run(_sweep(settings, json, is_dry=dry_run, is_forced=force), settings, stopped=ExitCode.INTERRUPTED)


def retry(
    cid: Cid = None, /, *, data_dir: DataDir = None, allow_host: AllowHost = None, json: AsJson = False
) -> ExitCode:
    """Have blobs that ended badly fetched again."""
    settings = read_settings(data_dir=data_dir, allow_host=allow_host)
    if cid is not None:
        try:
            BlobKey(cid)
        except ValueError as error:
            raise CommandError(f"{error}: write it as records do, bafkrei…", ExitCode.WRONG_USAGE) from error
    return run(_retry(settings, cid, json), settings, stopped=ExitCode.INTERRUPTED)


async def _status(settings: Settings, json: bool) -> None:
    url = await running_database(settings)
    await require_newest_schema(url)
    connection = await asyncpg.connect(parse_database_url(url).dsn, statement_cache_size=0)
    try:
        found = {"mirror": settings.media.settings.mirroring.value, **await read_media_status(connection)}
    finally:
        await connection.close()
    if json:
        print_json(found)
    else:
        print(f"Mirroring: {found['mirror']}.\n{render(found)}")


async def _verify(settings: Settings, json: bool) -> ExitCode:
    async with existing_database(settings) as url:
        await require_newest_schema(url)
        async with opened_worker(url, settings) as (worker, _, pool, media):
            progress = Progress("Verifying", "objects", sys.stderr)
            found = await Verifier(pool, media.storage).verify(
                now_in_utc(), lambda done, total, _: progress.report(done, total)
            )
            progress.close()
            cids = list(dict.fromkeys(path.split("/")[1] for path, _ in found.lost))
            await _do_now(worker, pool, cids, "Mending")
            async with pool.acquire() as connection:
                left = await connection.fetch(_BY_STATE, ["pending", *_ENDED_BADLY])
    unmended = sorted({row["cid"] for row in left} & set(cids))
    _tell_verification(found, unmended, json=json)
    return ExitCode.FAILED if unmended else ExitCode.OK


def _tell_verification(found: Verification, unmended: list[str], *, json: bool) -> None:
    if json:
        lost = [{"key": path, "reason": reason} for path, reason in found.lost]
        figures = {"objects": found.objects, "size_bytes": found.size_bytes, "lost": lost, "unmended": unmended}
        print_json(figures)
        return
    print(f"{found.objects:,} objects ({megabytes(found.size_bytes)}) were read; {len(found.lost):,} were not right.")
    for path, reason in found.lost[:_SHOWN]:
        print(f"  {path}: {reason}{'' if path.split('/')[1] in unmended else ' (mended)'}")


async def _sweep(settings: Settings, json: bool, *, is_dry: bool, is_forced: bool) -> ExitCode:
    async with existing_database(settings) as url:
        await require_newest_schema(url)
        async with opened_worker(url, settings) as (worker, sweeper, pool, _):
            found = await sweeper.sweep(now_in_utc(), is_dry=is_dry, is_forced=is_forced)
            if not is_dry:
                await _do_now(worker, pool, [each.cid for each in found.freed], "Letting go")
    _tell_sweep(found, is_dry=is_dry, json=json)
    return ExitCode.FAILED if found.refused else ExitCode.OK


def _tell_sweep(found: Sweep, *, is_dry: bool, json: bool) -> None:
    if json:
        figures = {
            "dry_run": is_dry,
            "freed": [{"cid": each.cid, "size_bytes": each.size_bytes, "reason": each.reason} for each in found.freed],
            "size_bytes": found.size_bytes,
            "waiting": found.waiting,
            "wanted_again": found.fetched_again,
            "rechecked_urls": found.rechecked_urls,
            "leftovers": found.leftovers,
            "refused": found.refused,
        }
        print_json(figures)
        return
    would = "would be" if is_dry else "were"
    print(f"{len(found.freed):,} blobs ({megabytes(found.size_bytes)}) {would} let go.")
    if found.freed:
        shown = found.freed[:_SHOWN]
        print(columns([(each.cid, each.reason, megabytes(each.size_bytes)) for each in shown]))
    print(f"{found.waiting:,} more have no reference, and wait until their time of grace is over.")
    print(f"{found.fetched_again:,} are wanted again, {found.leftovers:,} leftovers of uploads {would} removed.")
    if found.refused:
        print(f"Nothing without a reference is let go: {found.refused}. Look first, then use --force.")


async def _retry(settings: Settings, cid: str | None, json: bool) -> ExitCode:
    async with existing_database(settings) as url:
        await require_newest_schema(url)
        connection = await asyncpg.connect(parse_database_url(url).dsn, statement_cache_size=0)
        try:
            async with connection.transaction():
                if cid is not None:
                    await connection.execute(_FORGET_REASON, cid)
                    cids, urls = [cid], []
                else:
                    rows = [
                        *await connection.fetch(_BY_STATE, [*_ENDED_BADLY, "pending"]),
                        *await connection.fetch(_UNRENDERED),
                    ]
                    cids = sorted({row["cid"] for row in rows})
                    urls = [row["url"] for row in await connection.fetch(_ALL_URLS)]
                await jobs.want(connection, "blob", cids, now_in_utc())
                await jobs.want(connection, "url", urls, now_in_utc())
        finally:
            await connection.close()
    if json:
        print_json({"blobs": cids, "urls": urls})
    else:
        print(f"{len(cids):,} blobs and {len(urls):,} URLs are tried again by the worker that runs, or the next one.")
    return ExitCode.OK if cids or urls else ExitCode.FAILED


async def _do_now(worker: MediaWorker, pool: asyncpg.Pool, cids: list[str], what: str) -> None:
    """Do these blobs' jobs here and now; those that another worker is at are left to it."""
    progress = Progress(what, "blobs", sys.stderr)
    for number, cid in enumerate(cids, 1):
        async with pool.acquire() as connection:
            job: Job | None = await jobs.take_this(connection, "blob", cid, now_in_utc())
        if job is not None:
            await worker.do(job)
        progress.report(number, len(cids))
    progress.close()
