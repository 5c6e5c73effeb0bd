"""Run `plyr` as a process of its own, as a user does, with nothing of the tester's environment but what is needed."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
TIMEOUT_SECONDS = 60


def environment(**variables: str) -> dict[str, str]:
    """Return an environment in which no setting of ours is set but these."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {"PYTHONPATH": str(REPOSITORY)} | variables


def run_plyr(*arguments: str, timeout: float = TIMEOUT_SECONDS, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "plyr", *arguments],
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def start_plyr(*arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Start a command that runs until it is stopped."""
    return subprocess.Popen(
        [sys.executable, "-m", "plyr", *arguments],
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def lines_until(process: subprocess.Popen[str], wanted: str) -> list[str]:
    """Return what a process said up to a line that holds a text; fail with all of it when it ends before."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if wanted in line:
            return lines
    raise AssertionError("".join(lines))


def json_of(finished: subprocess.CompletedProcess[str]) -> Any:
    """Return the JSON that a command printed."""
    try:
        return json.loads(finished.stdout)
    except ValueError as error:
        raise AssertionError(finished.stdout + finished.stderr) from error


@contextmanager
def open_folder() -> Iterator[Path]:
    """Give a temporary folder that a server of another user may enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="plyr-test-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def processes_in(folder: Path) -> list[str]:
    """Return the command lines of living processes that name a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if str(folder) in command:
            found.append(command)
    return found
