"""The configured labelers: each followed by a task of its own, and every other forgotten.

Only the operator's choice is kept, so removing a labeler takes its labels away at the next start. What one of them does
wrong, or does not do, concerns nobody else. Source: https://atproto.com/specs/label
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence, Set
from contextlib import asynccontextmanager
from datetime import datetime

import asyncpg

from atprotocol.data_model import Value
from atprotocol.net import firehose
from atprotocol.net.addresses import Policy
from atprotocol.net.directory import Directory
from atprotocol.net.firehose import Backoff
from atprotocol.net.http import BoundedClient
from atprotocol.net.label_queries import query_labels
from atprotocol.syntax.did import DID
from indexer import label_rows
from indexer.cancellation import cancellations, end_if_cancelled
from indexer.label_checks import LabelChecks
from indexer.label_repair import LabelRepair
from indexer.label_rows import LabelRows
from indexer.label_stream import LabelStream
from indexer.label_takedowns import LabelTakedowns
from indexer.metrics import LabelerView, Metrics
from indexer.records import BLUESKY_PROFILE

ENDPOINT = "com.atproto.label.subscribeLabels"
USER_AGENT = "plyr-indexer"
LONGEST_REPAIR_WAIT_SECONDS = 600.0


class Labelers:
    """Follows what the settings name."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        client: BoundedClient,
        policy: Policy,
        directory: Directory,
        own_collections: Set[str],
        takedowns: LabelTakedowns,
        metrics: Metrics,
        clock: Callable[[], datetime],
        labelers: Sequence[DID],
        backoff: Callable[..., Backoff] = Backoff,
    ) -> None:
        """Take the parts; labels about accounts, records of `own_collections` and profiles are kept. Nothing runs before run()."""
        self._pool = pool
        self._client = client
        self._policy = policy
        self._directory = directory
        self._collections = frozenset((*own_collections, BLUESKY_PROFILE))
        self._takedowns = takedowns
        self._metrics = metrics
        self._clock = clock
        self._labelers = tuple(dict.fromkeys(labelers))
        self._backoff = backoff
        for did in self._labelers:
            metrics.labelers[did] = LabelerView()

    async def run(self) -> None:
        """Forget whoever is configured no more, then follow the others for ever."""
        await self._begin()
        async with asyncio.TaskGroup() as group:
            for did in self._labelers:
                stream, repair = self._parts(did)
                group.create_task(stream.run(), name=f"labels of {did}")
                group.create_task(repair.run(), name=f"label repair of {did}")

    async def _begin(self) -> None:
        backoff, cancelled = self._backoff(random.random), cancellations()
        while True:
            try:
                async with self._pool.acquire() as connection:
                    forgotten = await label_rows.begin(connection, self._labelers)
                for did in forgotten:
                    self._metrics.note("indexer.labeler_forgotten", labeler=did)
                return
            except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
                end_if_cancelled(cancelled)
                self._metrics.event("indexer.labels_unwritten", reason=str(error)[:200])
            await asyncio.sleep(backoff.failed())

    def _parts(self, did: DID) -> tuple[LabelStream, LabelRepair]:
        checks = LabelChecks(did, self._directory, self._collections, self._metrics, self._clock)
        rows = LabelRows(self._pool, did, self._takedowns)
        slow = self._backoff(random.random, longest_seconds=LONGEST_REPAIR_WAIT_SECONDS)
        repair = LabelRepair(did, self._query, checks, rows, self._metrics, slow)
        stream = LabelStream(
            did, self._connect, checks, rows, repair, self._metrics, self._backoff(random.random), self._clock
        )
        return stream, repair

    @asynccontextmanager
    async def _connect(self, endpoint: str, cursor: int) -> AsyncIterator[AsyncIterator[bytes]]:
        url = f"{endpoint}/xrpc/{ENDPOINT}"
        async with firehose.connect(url, cursor, self._policy, user_agent=USER_AGENT) as connection:
            yield aiter(connection)

    def _query(self, endpoint: str, did: DID) -> AsyncIterator[list[Value]]:
        return query_labels(self._client, endpoint, did)
