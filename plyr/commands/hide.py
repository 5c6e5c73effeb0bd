"""`plyr hide` and `plyr unhide`: take an account or a record out of every answer, and undo it.

Nothing is deleted: the data stay indexed. Whoever asks learns no more than of what never existed.
"""

from typing import Annotated

import asyncpg
from cyclopts import Parameter

from atprotocol.errors import InvalidSyntax
from atprotocol.syntax.at_uri import parse_at_uri
from atprotocol.syntax.did import parse_did
from atprotocol.syntax.excerpt import excerpt
from database.connect import parse_database_url
from plyr.clusters import existing_database
from plyr.commands.options import AsJson, DataDir
from plyr.outcome import CommandError, ExitCode
from plyr.program import run
from plyr.rendering import print_json
from plyr.settings import Settings, read_settings

_HIDE = """
    INSERT INTO plyr.takedowns (subject, reason) VALUES ($1, $2)
    ON CONFLICT (subject) DO NOTHING
    RETURNING true
"""
_REASON = "SELECT reason FROM plyr.takedowns WHERE subject = $1"
_UNHIDE = "DELETE FROM plyr.takedowns WHERE subject = $1 RETURNING reason"

Subject = Annotated[str, Parameter(help="A DID, or the AT-URI of a record.")]


def hide(
    subject: Subject,
    /,
    *,
    reason: Annotated[str, Parameter(help="Why, for those who ask later. Shown to nobody outside.")],
    data_dir: DataDir = None,
    json: AsJson = False,
) -> ExitCode:
    """Hide an account or a record."""
    settings = read_settings(data_dir=data_dir)
    if not reason.strip():
        raise CommandError("--reason is empty: say why, for those who ask later", ExitCode.WRONG_USAGE)
    return run(_hide(settings, parse_subject(subject), reason.strip(), json), settings, stopped=ExitCode.INTERRUPTED)


def unhide(subject: Subject, /, *, data_dir: DataDir = None, json: AsJson = False) -> ExitCode:
    """Show again what was hidden."""
    settings = read_settings(data_dir=data_dir)
    return run(_unhide(settings, parse_subject(subject), json), settings, stopped=ExitCode.INTERRUPTED)


def parse_subject(text: str) -> str:
    """Return a DID, or an AT-URI of a record whose account is named by its DID. Raises CommandError."""
    try:
        if not text.startswith("at://"):
            return parse_did(text)
        uri = parse_at_uri(text)
    except InvalidSyntax as error:
        raise CommandError(
            f"{excerpt(text)} is neither a DID (did:plc:…) nor an AT-URI (at://did:plc:…/COLLECTION/KEY)",
            ExitCode.WRONG_USAGE,
        ) from error
    if not str(uri.authority).startswith("did:"):
        raise CommandError(
            f"{excerpt(text)} names the account by a handle, which may change hands: write its DID",
            ExitCode.WRONG_USAGE,
        )
    if uri.collection is None:
        return str(uri.authority)
    if uri.record_key is None:
        raise CommandError(f"{excerpt(text)} names a collection: hide an account, or a record", ExitCode.WRONG_USAGE)
    return str(uri)


async def _hide(settings: Settings, subject: str, reason: str, json: bool) -> ExitCode:
    async with existing_database(settings) as url:
        connection = await asyncpg.connect(parse_database_url(url).dsn, statement_cache_size=0)
        try:
            is_new = bool(await connection.fetchval(_HIDE, subject, reason))
            kept = reason if is_new else await connection.fetchval(_REASON, subject)
        finally:
            await connection.close()
    if json:
        print_json({"subject": subject, "changed": is_new, "hidden": True, "reason": kept})
    else:
        print(f"{subject} is hidden" + ("." if is_new else f" already: {kept}"))
    return ExitCode.OK if is_new else ExitCode.FAILED


async def _unhide(settings: Settings, subject: str, json: bool) -> ExitCode:
    async with existing_database(settings) as url:
        connection = await asyncpg.connect(parse_database_url(url).dsn, statement_cache_size=0)
        try:
            reason = await connection.fetchval(_UNHIDE, subject)
        finally:
            await connection.close()
    if json:
        print_json({"subject": subject, "changed": reason is not None, "hidden": False, "reason": reason})
    elif reason is None:
        print(f"{subject} was not hidden.")
    else:
        print(f"{subject} is shown again; it was hidden because: {reason}")
    return ExitCode.OK if reason is not None else ExitCode.FAILED
