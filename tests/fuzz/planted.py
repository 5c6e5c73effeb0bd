"""Targets with bugs in them, to see that the harness notices each kind."""

import os
import signal
import time

from fuzz.targets import Target

_HOARD: list[bytes] = []


def breaks_a_law(data: bytes) -> str:
    """Fail for inputs that hold a certain byte."""
    assert 0xBB not in data
    return "fine"


def hangs(data: bytes) -> str:
    """Take very long for inputs that hold a certain byte."""
    if 0xBB in data:
        time.sleep(3600)
    return "fine"


def dies(data: bytes) -> str:
    """End the process, as native code does, for inputs that hold a certain byte."""
    if 0xBB in data:
        os.kill(os.getpid(), signal.SIGKILL)
    return "fine"


def hoards(data: bytes) -> str:
    """Keep memory at every execution."""
    _HOARD.append(bytes(20_000) + data)
    return "fine"


def is_sound(data: bytes) -> str:
    """Find nothing."""
    return str(len(data))


def make_targets() -> dict[str, Target]:
    """Return all targets by name."""
    functions = (breaks_a_law, hangs, dies, hoards, is_sound)
    return {each.__name__: Target(each.__name__, 1, each, (b"seed", bytes(40))) for each in functions}
