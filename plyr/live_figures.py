"""The figures of an indexer that runs in another process, asked at its metrics endpoint: for `plyr status`.

Nothing is wrong when nobody answers: the database tells the rest.
"""

import asyncio
import urllib.request
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from indexer.instruments import PREFIX
from plyr.settings import Settings

TIMEOUT_SECONDS = 3.0
MAX_BYTES = 5_000_000
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (what is served everywhere is asked here)

LiveFigures = dict[str, Any]


async def read_live_figures(settings: Settings) -> LiveFigures | None:
    """Return the figures by metric, without the common prefix, and by label; None when no port is set or nobody answers."""
    if not settings.metrics_port:
        return None
    host = _LOOPBACK.get(settings.metrics_host, settings.metrics_host)
    shown = f"[{host}]" if ":" in host else host
    try:
        return parse_live_figures(await asyncio.to_thread(_asked, f"http://{shown}:{settings.metrics_port}/metrics"))
    except (OSError, ValueError):
        return None


def parse_live_figures(text: str) -> LiveFigures:
    """Return what an exposition says of the indexer; of several labels the values stand beside one another."""
    figures: LiveFigures = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if not sample.name.startswith(PREFIX) or sample.name.endswith("_bucket"):
                continue
            name = sample.name.removeprefix(PREFIX)
            value = int(sample.value) if sample.value.is_integer() else round(sample.value, 3)
            if sample.labels:
                figures.setdefault(name, {})[" ".join(sample.labels.values())] = value
            else:
                figures[name] = value
    return figures


def _asked(url: str) -> str:
    """Return what an address of our own answers, asked without any proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=TIMEOUT_SECONDS) as answer:
        content: bytes = answer.read(MAX_BYTES)
    return content.decode()
