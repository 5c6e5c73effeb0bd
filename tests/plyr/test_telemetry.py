"""One line for each record, whatever the network sent, and no secret in it."""

import io
import logging
import subprocess
import sys
from pathlib import Path

from plyr_command import environment

from plyr.progress import Progress
from plyr.telemetry import LineFormatter


def _record(message: str) -> logging.LogRecord:
    record = logging.LogRecord("plyr.indexer", logging.INFO, "x.py", 1, message, None, None)
    record.created, record.msecs = 0.0, 7.0
    return record


def test_a_line_stays_one_line_and_loses_its_secrets() -> None:
    formatter = LineFormatter(lambda text: text.replace("s3cret", "***"))
    line = formatter.format(_record("indexer.resync detail=a\nb\x1b[31m\u2028 s3cret"))
    assert line == "1970-01-01T00:00:00.007Z INFO    plyr.indexer indexer.resync detail=a\\x0ab\\x1b[31m\\x2028 ***"


def test_without_a_token_nothing_is_sent_and_nothing_is_said(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import logfire; from plyr import telemetry; from plyr.settings import read_settings\n"
        "telemetry.configure(read_settings(environment={}))\nwith logfire.span('batch'):\n    logfire.info('x')\n"
    )
    finished = subprocess.run(
        [sys.executable, "-W", "always::UserWarning", str(program)],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert (finished.stdout, finished.stderr) == ("", "")


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_a_line_now_and_then_with_rate_and_remaining_time() -> None:
    times = iter([0.0, 1.0, 20.0, 40.0])
    stream = io.StringIO()
    progress = Progress("Reindexing", "records", stream, clock=lambda: next(times))
    for done in (0, 100, 2000, 4000):
        progress.report(done, 4000)
    progress.close()
    assert stream.getvalue().splitlines() == [
        "Reindexing: 0 of 4,000 records",
        "Reindexing: 2,000 of 4,000 records, 100 per second, about 20 s remaining",
        "Reindexing: 4,000 of 4,000 records, 100 per second",
    ]


def test_progress_rewrites_its_line_on_a_terminal() -> None:
    times = iter([0.0, 1.0])
    stream = _Terminal()
    progress = Progress("Fetching", "repositories", stream, clock=lambda: next(times))
    progress.report(1, 3)
    progress.report(2, 3)
    progress.close()
    assert stream.getvalue() == (
        "\rFetching: 1 of 3 repositories\x1b[K"
        "\rFetching: 2 of 3 repositories, 1.0 per second, about 1 s remaining\x1b[K\n"
    )
