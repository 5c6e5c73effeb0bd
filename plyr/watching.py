"""What others may see of the indexer of this process: its figures, and whether it does its work.

Nothing that serves is loaded unless a port is set: an indexer alone needs none of it.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

from prometheus_client.metrics_core import Metric

from indexer.observation import Observation, families_of_a_standby
from plyr.settings import Settings


class Watched:
    """The indexer of this process as others may see it: it begins, waits for another one to end, or leads."""

    def __init__(self) -> None:
        """Begin with none."""
        self.is_standby = False
        self._observation: Observation | None = None
        # As of the last call of families(): what may be read from another thread.
        self.latest: Sequence[Metric] = families_of_a_standby()

    @contextmanager
    def leading(self, observation: Observation) -> Iterator[None]:
        """Show this indexer within the block."""
        self.is_standby, self._observation = False, observation
        try:
            yield
        finally:
            self._observation = None

    async def families(self) -> Sequence[Metric]:
        """Return all metrics as they are now; of one that does not lead only that."""
        self.latest = families_of_a_standby() if self._observation is None else await self._observation.families()
        return self.latest

    async def refresh(self, seconds: float) -> None:
        """Keep `latest` no older than so many seconds, for ever."""
        while True:
            await self.families()
            await asyncio.sleep(seconds)

    def health(self) -> tuple[bool, dict[str, object]]:
        """Tell whether the indexer leads and writes what it has to, and what there is to say of it."""
        if self._observation is None:
            waits = "standby" if self.is_standby else "starting"
            why = "another indexer leads" if self.is_standby else "it does not lead yet"
            return False, {"status": waits, "why": why}
        trouble = self._observation.trouble()
        silence = {host: round(seconds, 1) for host, seconds in self._observation.silence().items()}
        said: dict[str, object] = {"status": "ok" if trouble is None else "stuck", "last_frame_seconds": silence}
        return trouble is None, said if trouble is None else said | {"why": trouble}


@asynccontextmanager
async def metrics_served(settings: Settings) -> AsyncIterator[Watched]:
    """Serve, within the block, what is watched, if a port is set. Raises CommandError when it is not to be had."""
    watched = Watched()
    if settings.metrics_port is None:
        yield watched
        return
    # Here and not above: they load a web server.
    from plyr.listening import port_taken
    from plyr.metrics_endpoint import serve_metrics

    names = ("--metrics-port (PLYR_METRICS_PORT)", "PLYR_METRICS_HOST")
    with port_taken(settings.metrics_host, settings.metrics_port, names) as sockets:
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(serve_metrics(watched, settings, sockets), name="metrics")
            yield watched
            serving.cancel()
