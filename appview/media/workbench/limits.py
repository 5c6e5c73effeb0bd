"""What a worker process denies itself before it looks at a file of a stranger.

Memory, processor time, the size of what it writes and the number of open files are capped by the kernel (setrlimit(2)), it
yields to everything else that runs, and it dies with its parent. Once its files are open it seals itself: from then on
it can open nothing, so that no format that refers to other files leads anywhere, whatever its demuxer tries.
"""

import contextlib
import ctypes
import math
import os
import resource
import signal
import sys
from dataclasses import dataclass

_NICENESS = 10
_OPEN_FILES = 64
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Caps:
    """The caps of one job, as the workshop sends them."""

    seconds: float
    memory_bytes: int
    output_bytes: int
    audio_seconds: int
    pixels: int


def confine(caps: Caps, parent_pid: int) -> None:
    """Take on the caps, for good. Raises SystemExit when the parent has ended already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        raise SystemExit(1)
    os.nice(_NICENESS)
    processor_seconds = math.ceil(caps.seconds) + 1
    _cap(resource.RLIMIT_CORE, 0)
    _cap(resource.RLIMIT_CPU, processor_seconds, processor_seconds + 5)
    _cap(resource.RLIMIT_FSIZE, caps.output_bytes)
    _cap(resource.RLIMIT_NOFILE, _OPEN_FILES)
    # Not every system knows this one; the wall clock and the others hold there all the same.
    with contextlib.suppress(ValueError, OSError):
        _cap(resource.RLIMIT_AS, caps.memory_bytes)


def seal() -> None:
    """Open no further file in this process, ever; those that are open stay."""
    _cap(resource.RLIMIT_NOFILE, 0)


def _cap(kind: int, soft: int, hard: int | None = None) -> None:
    _, ceiling = resource.getrlimit(kind)
    wanted = soft if hard is None else hard
    if ceiling != resource.RLIM_INFINITY:
        wanted = min(wanted, ceiling)
    resource.setrlimit(kind, (min(soft, wanted), wanted))
