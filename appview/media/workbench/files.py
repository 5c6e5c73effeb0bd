"""The only files that a job opens, and what an error of theirs means.

The original is opened for reading, the target for writing (and once more for reading, since an MP4 is put in order at
its end); then the process is sealed. A full disk is our failure; a target beyond the cap on output is the file's.
"""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from appview.media.workbench.limits import seal
from appview.media.workbench.verdicts import Failed, Rejected


@contextlib.contextmanager
def original(path: str) -> Iterator[BinaryIO]:
    """Open the original and nothing else. Raises Failed when it cannot be read, and Rejected or Failed by `judged`."""
    with judged(), Path(path).open("rb") as source:
        seal()
        yield source


@contextlib.contextmanager
def original_and_target(path: str, target: str) -> Iterator[tuple[BinaryIO, BinaryIO, BinaryIO]]:
    """Open the original, the target, and the target once more for reading; and nothing else. Raises as `original` does."""
    with judged(), Path(path).open("rb") as source, Path(target).open("wb") as sink, Path(target).open("rb") as written:
        seal()
        yield source, sink, written


@contextlib.contextmanager
def judged() -> Iterator[None]:
    """Turn errors of the system into Rejected (output beyond the cap) or Failed (everything else)."""
    try:
        yield
    except MemoryError:
        raise
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise Rejected("too-expensive", "what would be written is larger than it may be") from error
        raise Failed(f"{type(error).__name__}: {error.strerror or 'input or output failed'}") from error
