"""Logs for people, and Logfire or OpenTelemetry for whoever configured it.

Without a token and without an OTLP endpoint nothing is set up, nothing is sent and nothing is said about it. Log lines go to
standard error, one line each: time, level, logger, text. What the network sent cannot break a line, and
secrets of the settings are struck out.
"""

import logging
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Sequence

import logfire
from logfire.exceptions import LogfireConfigError
from opentelemetry.metrics import CallbackOptions, Observation
from prometheus_client.metrics_core import Metric

from indexer.instruments import INSTRUMENTS, Kind
from plyr.outcome import CommandError, ExitCode
from plyr.settings import Settings
from plyr.shipped import program_version

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class LineFormatter(logging.Formatter):
    """Formats each record as one line; a traceback follows in lines of its own."""

    def __init__(self, scrub: Callable[[str], str]) -> None:
        """Take what strikes out secrets."""
        super().__init__("%(asctime)s.%(msecs)03dZ %(levelname)-7s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S")
        self._scrub = scrub

    def converter(self, seconds: float | None) -> time.struct_time:
        """Return the time in UTC."""
        return time.gmtime(seconds)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Return the line without what would break it."""
        return _CONTROL.sub(_escaped, super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without secrets."""
        return self._scrub(super().format(record))


class _TerminalHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes below a line of progress that is shown on the same terminal."""

    def emit(self, record: logging.LogRecord) -> None:
        if self.stream.isatty():
            self.stream.write("\r\x1b[K")
        super().emit(record)


def is_sending(settings: Settings) -> bool:
    """Tell whether the operator has named somebody who is to be told."""
    return settings.logfire_token is not None or settings.otlp_endpoint is not None


def configure(settings: Settings) -> None:
    """Set up logging, and sending where it is asked for. Raises CommandError when that is configured wrongly."""
    handler = _TerminalHandler(sys.stderr)
    handler.setFormatter(LineFormatter(settings.scrub))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    # What these say of every connection and file is not ours to repeat.
    for name in ("uvicorn.error", "uvicorn.access", "alembic", "websockets", "asyncio", "aiohttp", "urllib3"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    if not is_sending(settings):
        warnings.filterwarnings("ignore", message=r".*until `logfire\.configure\(\)` has been called")
        return
    try:
        logfire.configure(
            token=settings.logfire_token,
            send_to_logfire=settings.logfire_token is not None,
            service_name="plyr",
            service_version=program_version(),
            console=False,
            inspect_arguments=False,
        )
    except LogfireConfigError as error:
        raise CommandError(settings.scrub(f"LOGFIRE_TOKEN: {error}"), ExitCode.WRONG_USAGE) from None
    # Each canonical line goes the same way as the spans.
    root.addHandler(logfire.LogfireLoggingHandler())


def export_metrics(
    latest: Callable[[], Sequence[Metric]], to: logfire.Logfire = logfire.DEFAULT_LOGFIRE_INSTANCE
) -> None:
    """Have every declared metric sent with its Prometheus name; `latest` is called from another thread.

    OpenTelemetry observes no histograms: theirs go as counts and sums.
    """
    for instrument in INSTRUMENTS:
        if instrument.kind is Kind.HISTOGRAM:
            for suffix in ("_count", "_sum"):
                to.metric_counter_callback(
                    instrument.name + suffix,
                    callbacks=[_observer(instrument.name + suffix, latest)],
                    description=instrument.help,
                )
        else:
            observe = to.metric_counter_callback if instrument.kind is Kind.COUNTER else to.metric_gauge_callback
            observe(instrument.name, callbacks=[_observer(instrument.name, latest)], description=instrument.help)


def _observer(name: str, latest: Callable[[], Sequence[Metric]]) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_: CallbackOptions) -> Iterable[Observation]:
        samples = [sample for family in latest() for sample in family.samples if sample.name == name]
        return [Observation(sample.value, sample.labels) for sample in samples]

    return observe


def _escaped(found: re.Match[str]) -> str:
    return f"\\x{ord(found[0]):02x}"
