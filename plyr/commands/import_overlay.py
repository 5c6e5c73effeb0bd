"""`plyr import`: what an operator of the time before knows of tracks and no record tells, into `plyr.track_overlays`.

All or nothing: a file with one bad line imports nothing. The same file again changes nothing.
"""

import sys
from pathlib import Path
from typing import Annotated

import asyncpg
from cyclopts import Parameter

from database.connect import parse_database_url
from plyr.clusters import existing_database
from plyr.commands.options import AsJson, DataDir
from plyr.outcome import CommandError, ExitCode
from plyr.overlay_lines import BadLine, Overlay, parse_overlay
from plyr.program import run
from plyr.progress import Progress
from plyr.rendering import print_json
from plyr.schema import require_newest_schema
from plyr.settings import Settings, read_settings

_SLICE = 1000
_SHOWN_ERRORS = 20
_IMPORT = """
    INSERT INTO plyr.track_overlays AS o (uri, legacy_id, tags, visibility, play_count, album_image_url)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (uri) DO UPDATE SET legacy_id = excluded.legacy_id, tags = excluded.tags,
        visibility = excluded.visibility, play_count = excluded.play_count, album_image_url = excluded.album_image_url,
        imported_at = now()
    WHERE (o.legacy_id, o.tags, o.visibility, o.play_count, o.album_image_url)
        IS DISTINCT FROM (excluded.legacy_id, excluded.tags, excluded.visibility, excluded.play_count, excluded.album_image_url)
"""
_COUNT = "SELECT count(*) FROM plyr.track_overlays"

File = Annotated[Path, Parameter(help="The file: one JSON object a line. - reads standard input.")]


def import_overlay(file: File, /, *, data_dir: DataDir = None, json: AsJson = False) -> ExitCode:
    """Import what is known of tracks and no record tells."""
    settings = read_settings(data_dir=data_dir)
    overlays = read_overlays(_content(file), f"{settings.namespace}.track")
    return run(_import(settings, overlays, json), settings, stopped=ExitCode.INTERRUPTED)


def read_overlays(content: bytes, collection: str) -> list[Overlay]:
    """Return the overlays of all lines. Raises CommandError that names every bad line, up to some."""
    overlays: dict[str, Overlay] = {}
    seen: dict[int, str] = {}
    errors: list[str] = []
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            overlay = parse_overlay(line, collection)
            if overlay.uri in overlays:
                raise BadLine("the same track stands in an earlier line")
            if overlay.legacy_id is not None and overlay.legacy_id in seen:
                raise BadLine(f"legacyId {overlay.legacy_id} is that of another line's track")
        except BadLine as error:
            errors.append(f"line {number}: {error}")
            continue
        overlays[overlay.uri] = overlay
        if overlay.legacy_id is not None:
            seen[overlay.legacy_id] = overlay.uri
    if errors:
        more = f"\nand {len(errors) - _SHOWN_ERRORS} more" if len(errors) > _SHOWN_ERRORS else ""
        raise CommandError("nothing was imported:\n" + "\n".join(errors[:_SHOWN_ERRORS]) + more)
    return list(overlays.values())


def _content(file: Path) -> bytes:
    if str(file) == "-":
        return sys.stdin.buffer.read()
    try:
        return file.read_bytes()
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}", ExitCode.WRONG_USAGE) from error


async def _import(settings: Settings, overlays: list[Overlay], json: bool) -> None:
    async with existing_database(settings) as url:
        await require_newest_schema(url)
        connection = await asyncpg.connect(parse_database_url(url).dsn, statement_cache_size=0)
        progress = Progress("Importing", "tracks", sys.stderr)
        try:
            async with connection.transaction():
                for start in range(0, len(overlays), _SLICE):
                    part = overlays[start : start + _SLICE]
                    rows = [
                        (each.uri, each.legacy_id, each.tags, each.visibility, each.play_count, each.album_image_url)
                        for each in part
                    ]
                    await connection.executemany(_IMPORT, rows)
                    progress.report(start + len(part), len(overlays))
            known = await connection.fetchval(_COUNT)
        except asyncpg.UniqueViolationError as error:
            raise CommandError(f"nothing was imported: {error.detail or error}") from error
        finally:
            progress.close()
            await connection.close()
    if json:
        print_json({"imported": len(overlays), "known": known})
    else:
        print(f"Imported {len(overlays):,} tracks; {known:,} are known. A running indexer takes them up in seconds.")
