"""Compare repositories with their hosts: each host asked slowly, many hosts at once.

A commit may be on its way to us while its host is asked: what differs is looked at again after a while before it counts.
A host that does not answer changes nothing; after some failures in a row its other repositories are not asked.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from atprotocol.errors import NetworkError, RepoGone
from atprotocol.net.http import BoundedClient
from atprotocol.net.repos import get_latest_commit, get_repo_status
from atprotocol.syntax.did import DID
from indexer.accounts import STATUS_OF
from indexer.decisions import STATUS_LENGTH_LIMIT
from indexer.state import Repo
from indexer.verdicts import DIFFERENT, HostView, Verdict, compare, is_comparable


@dataclass(frozen=True, slots=True)
class ComparingSettings:
    """How gently to ask."""

    hosts: int = 16
    # Hosts allow ten requests a second and address; others share that with us.
    seconds_between: float = 0.15
    failures: int = 3
    # What differs is looked at again after so long.
    grace_seconds: float = 15.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one repository."""

    did: str
    verdict: Verdict
    detail: str | None = None


async def look(client: BoundedClient, pds: str, did: DID) -> HostView:
    """Return what a host says of a repository. Raises NetworkError when it cannot be asked."""
    try:
        latest = await get_latest_commit(client, pds, did)
    except RepoGone as gone:
        return HostView(active=False, status=STATUS_OF.get(gone.reason))
    except NetworkError as error:
        if error.retry_after_seconds is not None:
            raise
        # A host may have the one method and not the other.
        try:
            status = await get_repo_status(client, pds, did)
        except RepoGone as gone:
            return HostView(active=False, status=STATUS_OF.get(gone.reason))
        told = None if status.status is None else status.status[:STATUS_LENGTH_LIMIT]
        return HostView(status.active, told, status.rev)
    return HostView(active=True, rev=latest.rev, commit_cid=latest.cid.raw)


class Comparing:
    """One comparison of many repositories."""

    def __init__(
        self,
        look: Callable[[str, DID], Awaitable[HostView]],
        settings: ComparingSettings,
        *,
        prepare: Callable[[Repo], Awaitable[None]],
        present: Callable[[str], Awaitable[Repo | None]],
    ) -> None:
        """Take who asks a host, what to do with a repository first (NetworkError: it cannot be compared), and who knows it."""
        self._look = look
        self._settings = settings
        self._prepare = prepare
        self._present = present
        self.counts: Counter[str] = Counter()
        self.done_count = 0

    async def run(self, repos: Iterable[Repo], found: Callable[[Finding], None]) -> None:
        """Compare them all; `found` hears of each that differs, and of each that could not be compared."""
        by_host: dict[str, list[str]] = {}
        for repo in repos:
            by_host.setdefault(repo.pds or "", []).append(repo.did)
        turns = asyncio.Semaphore(self._settings.hosts)
        suspects: list[str] = []

        def suspect(finding: Finding) -> None:
            suspects.append(finding.did)

        async def ask(dids: list[str], heard: Callable[[Finding], None]) -> None:
            async with turns:
                await self._compare(dids, heard, found)

        async with asyncio.TaskGroup() as group:
            for dids in by_host.values():
                group.create_task(ask(dids, suspect))
        if not suspects:
            return
        await asyncio.sleep(self._settings.grace_seconds)
        again: dict[str, list[str]] = {}
        for did in suspects:
            present = await self._present(did)
            again.setdefault((present.pds if present else None) or "", []).append(did)
        async with asyncio.TaskGroup() as group:
            for dids in again.values():
                group.create_task(ask(dids, found))

    async def _compare(
        self, dids: list[str], differs: Callable[[Finding], None], found: Callable[[Finding], None]
    ) -> None:
        failures = 0
        for did in dids:
            if failures >= self._settings.failures:
                self._count(Verdict.UNREACHABLE)
                continue
            try:
                finding = await self._finding(did)
                failures = 0
            except NetworkError as error:
                failures += 1
                finding = Finding(did, Verdict.UNREACHABLE, str(error)[:200])
            if finding.verdict in DIFFERENT:
                differs(finding)
            elif finding.verdict is Verdict.UNREACHABLE:
                found(finding)
            if finding.verdict not in DIFFERENT or differs is found:
                self._count(finding.verdict)
            await asyncio.sleep(self._settings.seconds_between)

    async def _finding(self, did: str) -> Finding:
        repo = await self._present(did)
        if repo is None or not is_comparable(repo):
            return Finding(did, Verdict.UNDER_REPAIR)
        try:
            await self._prepare(repo)
        except NetworkError as error:
            if not did.startswith("did:web:"):
                raise
            # Its document is at a host of its own, whose silence says nothing of where its repository is.
            return Finding(did, Verdict.UNREACHABLE, str(error)[:200])
        if not is_comparable(repo):
            return Finding(did, Verdict.UNDER_REPAIR)
        if repo.pds is None:
            return Finding(did, Verdict.UNREACHABLE, "the DID document names no PDS")
        view = await self._look(repo.pds, DID(did))
        return Finding(did, compare(repo, view), _told(repo, view))

    def _count(self, verdict: Verdict) -> None:
        self.counts[verdict] += 1
        self.done_count += 1


def _told(repo: Repo, view: HostView) -> str:
    ours = f"rev {repo.rev}" if repo.active else f"not active ({repo.upstream_status or 'unexplained'})"
    theirs = f"rev {view.rev}" if view.active else f"not active ({view.status or 'unexplained'})"
    return f"here {ours}, at its host {theirs}"
