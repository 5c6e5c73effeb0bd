"""How far a long job is: one line that is rewritten on a terminal, a plain line now and then elsewhere.

Shows what is done, how fast, and how long the rest will take. It goes to standard error: standard output is for results.
"""

import time
from collections.abc import Callable
from typing import TextIO

TERMINAL_SECONDS = 0.1
PLAIN_SECONDS = 10.0


class Progress:
    """The progress of one job; `report` it as often as you like and `close` it at the end."""

    def __init__(self, what: str, unit: str, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        """Name the job (`Reindexing`) and what is counted (`records`)."""
        self._what = what
        self._unit = unit
        self._stream = stream
        self._clock = clock
        self._is_terminal = stream.isatty()
        self._began: tuple[float, int] | None = None
        self._shown_at: float | None = None
        self._shown = ""

    def report(self, done: int, total: int) -> None:
        """Say that so many of so many are done; shown at most ten times a second, and elsewhere every ten seconds."""
        now = self._clock()
        if self._began is None:
            # What was done before we looked says nothing about the rate.
            self._began = now, done
        pause = TERMINAL_SECONDS if self._is_terminal else PLAIN_SECONDS
        if self._shown_at is not None and now - self._shown_at < pause and done < total:
            return
        line = self._line(done, total, now)
        if line != self._shown:
            self._show(line)
            self._shown, self._shown_at = line, now

    def close(self) -> None:
        """Leave the last line standing."""
        if self._is_terminal and self._shown:
            self._stream.write("\n")
            self._stream.flush()

    def _line(self, done: int, total: int, now: float) -> str:
        line = f"{self._what}: {done:,} of {total:,} {self._unit}"
        assert self._began is not None
        began_at, done_before = self._began
        elapsed, progressed = now - began_at, done - done_before
        if elapsed > 0 and progressed > 0:
            rate = progressed / elapsed
            line += f", {rate:,.1f} per second" if rate < 100 else f", {rate:,.0f} per second"
            if done < total:
                line += f", about {_duration((total - done) / rate)} remaining"
        return line

    def _show(self, line: str) -> None:
        self._stream.write(f"\r{line}\x1b[K" if self._is_terminal else f"{line}\n")
        self._stream.flush()


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
