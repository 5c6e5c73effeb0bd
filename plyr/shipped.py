"""Where the files lie that are read and not imported: lexicons, migrations, the demo's recording.

In a wheel the first two are inside this package, in a checkout at its root. Nothing is looked for in the working
directory.
"""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from plyr.outcome import CommandError

_PACKAGE = Path(__file__).resolve().parent


def lexicons() -> Path:
    """Return the folder of the lexicons. Raises CommandError when the installation lacks it."""
    return _folder("lexicons")


def migrations() -> Path:
    """Return the folder of the migrations. Raises CommandError when the installation lacks it."""
    return _folder("migrations")


def recording() -> Path:
    """Return the file of the recorded network."""
    return _PACKAGE / "recording" / "network.cbor.gz"


def program_version() -> str:
    """Return the version that is installed; a checkout that is not installed has none."""
    try:
        return version("plyr")
    except PackageNotFoundError:
        return "0"


def _folder(name: str) -> Path:
    for folder in (_PACKAGE / "shipped" / name, _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise CommandError(f"This installation lacks its {name}: install plyr again.")
