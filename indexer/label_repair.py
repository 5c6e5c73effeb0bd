"""Ask a labeler for its labels page by page, when its stream may have left some out.

Wanted when it no longer has our cursor, or sent what cannot be read. As long as a repair is wanted the stored cursor stays
where it is, while labels are written: a process that dies before the end meets the same answer again. What a labeler took
back and no longer tells of cannot be learned so; its later word counts.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

import asyncpg

from atprotocol.data_model import Value
from atprotocol.errors import NetworkError, ProtocolError, QueryRefused
from atprotocol.net.firehose import Backoff
from atprotocol.syntax.did import DID
from indexer.cancellation import cancellations, end_if_cancelled
from indexer.label_checks import LabelChecks
from indexer.label_rows import LabelRows
from indexer.metrics import Metrics

# From the end of one repair to the beginning of the next.
INTERVAL_SECONDS = 600.0

Query = Callable[[str, DID], AsyncIterator[list[Value]]]


class LabelRepair:
    """Repairs what is known of one labeler's labels."""

    def __init__(
        self,
        did: DID,
        query: Query,
        checks: LabelChecks,
        rows: LabelRows,
        metrics: Metrics,
        backoff: Backoff,
        interval_seconds: float = INTERVAL_SECONDS,
    ) -> None:
        """Take the parts; `query` gives the pages of a source at an origin. Nothing runs before run()."""
        self._did = did
        self._query = query
        self._checks = checks
        self._rows = rows
        self._metrics = metrics
        self._backoff = backoff
        self._interval_seconds = interval_seconds
        self._wanted = asyncio.Event()
        self.is_pending = False

    def want(self) -> None:
        """Have all labels asked for, as soon as the last time is long enough ago."""
        self.is_pending = True
        self._wanted.set()

    async def run(self) -> None:
        """Repair whenever it is wanted, for ever."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            await self._repair()
            self.is_pending = self._wanted.is_set()
            await asyncio.sleep(self._interval_seconds)

    async def _repair(self) -> None:
        cancelled = cancellations()
        while True:
            wait: float | None = None
            try:
                stored = await self._ask_for_all()
            except QueryRefused as error:
                self._metrics.event("indexer.labels_unrepaired", labeler=self._did, reason=str(error)[:200])
                return
            except (NetworkError, ProtocolError) as error:
                self._metrics.event("indexer.labels_repair_failed", labeler=self._did, reason=str(error)[:200])
                wait = error.retry_after_seconds if isinstance(error, NetworkError) else None
            except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
                end_if_cancelled(cancelled)
                self._metrics.event("indexer.labels_unwritten", labeler=self._did, reason=str(error)[:200])
            else:
                self._backoff.succeeded()
                self._metrics.note("indexer.labels_repaired", labeler=self._did, changed=stored)
                return
            await asyncio.sleep(self._backoff.failed(wait))

    async def _ask_for_all(self) -> int:
        endpoint = (await self._checks.identify()).endpoint
        changed = 0
        async for page in self._query(endpoint, self._did):
            labels = await self._checks.accepted(page)
            if labels:
                rows = await self._rows.store(labels, None)
                self._metrics.labels_stored[self._did] += rows
                changed += rows
        return changed
