"""How a command ends: its exit code, and the sentence that it ends with when it could not do what was asked.

0 ok (a program that runs until it is stopped ends with 0 when it is), 1 failed or nothing changed, 2 wrong usage or
settings, 3 no database to be reached, 4 something else holds what is needed (a port, the indexer's lock),
130 interrupted before it was done.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """What a script may rely on."""

    OK = 0
    FAILED = 1
    WRONG_USAGE = 2
    NO_DATABASE = 3
    OCCUPIED = 4
    INTERRUPTED = 130


class CommandError(Exception):
    """The command ends here; the message says what went wrong, where, and what to do."""

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILED) -> None:
        """Say why, and with which exit code."""
        super().__init__(message)
        self.code = code
