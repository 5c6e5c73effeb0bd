"""Folders for files on their way, which are gone when their process is: at once when it ends, at the next start when it was killed.

A folder carries the number of its process, so whoever starts later on the same machine can tell which are abandoned.
"""

import os
import re
import shutil
import tempfile
from pathlib import Path

_NAME = re.compile(r"plyr-media-([0-9]{1,10})-.*")


def make_scratch_folder(parent: Path | None) -> Path:
    """Make a folder of this process' own, below a folder or else the system's temporary one, and remove abandoned ones."""
    place = Path(tempfile.gettempdir()) if parent is None else parent
    place.mkdir(parents=True, exist_ok=True)
    for folder in place.glob("plyr-media-*"):
        found = _NAME.fullmatch(folder.name)
        if found is not None and not _is_running(int(found[1])):
            shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"plyr-media-{os.getpid()}-", dir=place))


def _is_running(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except OSError:
        # Somebody else's: it runs.
        return True
    return True
