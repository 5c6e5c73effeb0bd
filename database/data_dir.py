"""Where our data live when nobody says: a folder per user that Postgres can enter as well.

Refuses to widen the mode of any folder, and to replace a folder that the user named: it is taken, or
refused with the reason. Source: https://specifications.freedesktop.org/basedir-spec/latest/
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from database.postgres_binaries import (
    EmbeddedPostgresError,
    closed_folder_sentence,
    first_closed_folder,
    service_account,
)

SYSTEM_DATA_DIR = Path("/var/lib/plyr")


def choose_data_dir(wanted: Path | None, home: Path, environment: Mapping[str, str]) -> tuple[Path, str | None]:
    """Return the folder for our data, and a sentence for the user when it is not where they would look.

    `wanted` is the user's own choice, which is taken or refused, never replaced. Otherwise it is the XDG data
    home; where we or (as root) Postgres cannot live there, a system folder; at last a temporary folder.
    Raises EmbeddedPostgresError.
    """
    account = service_account()
    if wanted is not None:
        closed = first_closed_folder(wanted.absolute(), account)
        if closed is not None:
            raise EmbeddedPostgresError(closed_folder_sentence(closed, account))
        return wanted.absolute(), None
    data_home = environment.get("XDG_DATA_HOME", "")
    usual = (Path(data_home) if data_home.startswith("/") else home / ".local" / "share") / "plyr"
    closed = first_closed_folder(usual, account)
    if closed is None and _can_make(usual):
        return usual, None
    reason = (
        f"{usual} cannot be made"
        if closed is None
        else closed_folder_sentence(closed, account, advice=False).rstrip(".")
    )
    if account is not None and first_closed_folder(SYSTEM_DATA_DIR, account) is None and _can_make(SYSTEM_DATA_DIR):
        return SYSTEM_DATA_DIR, f"{reason}: data are kept in {SYSTEM_DATA_DIR}."
    temporary = Path(tempfile.gettempdir()) / f"plyr-{os.geteuid()}"
    if first_closed_folder(temporary, account) is None and _can_make(temporary) and not _foreign(temporary):
        return (
            temporary,
            f"{reason}: data are kept in {temporary}, which is temporary; name a data folder to keep them.",
        )
    raise EmbeddedPostgresError(f"{reason}, and no other folder serves: name a data folder.")


def _can_make(path: Path) -> bool:
    nearest = next(folder for folder in (path, *path.parents) if folder.exists())
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


def _foreign(path: Path) -> bool:
    return path.is_symlink() or (path.exists() and path.stat().st_uid != os.geteuid())
