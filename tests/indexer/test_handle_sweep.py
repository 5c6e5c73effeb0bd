"""Handles: what cannot be found out is not asked about every minute, and no names are kept of those that were left."""

import asyncio
from datetime import UTC, datetime, timedelta

from atprotocol.net.handles import HandleStatus, HandleVerdict
from atprotocol.syntax.did import DID
from atprotocol.syntax.handle import Handle
from indexer.decisions import Cause
from indexer.handles import HOLDERS_LIMIT, Handles
from indexer.journal import Journal
from indexer.metrics import Metrics
from indexer.state import Repos

GUARD_SECONDS = 60


class Verifier:
    """Says the same of every handle."""

    def __init__(self, status: HandleStatus) -> None:
        self.status = status
        self.asked = 0

    async def verify_handle(self, handle: Handle, did: DID) -> HandleVerdict:
        self.asked += 1
        return HandleVerdict(self.status)


async def settle(handles: Handles) -> None:
    running = asyncio.create_task(handles.run())
    await asyncio.sleep(0)
    async with asyncio.timeout(GUARD_SECONDS):
        while not handles.is_idle:
            await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_the_sweep_does_not_hasten_what_is_to_be_asked_again_later() -> None:
    repos, verifier = Repos(), Verifier(HandleStatus.UNAVAILABLE)
    repos.track("did:plc:a", Cause.NEW).handle = "a.test"
    handles = Handles(repos, Journal(), verifier, Metrics(), lambda: datetime(2026, 1, 1, tzinfo=UTC))
    await settle(handles)
    await settle(handles)

    assert verifier.asked == 1


async def test_handles_that_nobody_holds_any_more_are_forgotten() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    repos = Repos()
    repo = repos.track("did:plc:a", Cause.NEW)
    handles = Handles(repos, Journal(), Verifier(HandleStatus.VERIFIED), Metrics(), lambda: now)
    for number in range(HOLDERS_LIMIT + 10):
        repo.handle = f"h{number}.test"
        now += timedelta(minutes=1)
        await handles._verify(repo, repo.handle)
    await handles.sweep()

    assert handles._holders == {repo.handle: repo.did}
