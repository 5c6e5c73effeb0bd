"""The worker: takes jobs, does for each what is to be done next, and writes down how it ended.

It may be killed at any step: a job whose process is gone is taken by another when its lease ends, and what it had
staged is found by the sweeper. Passing trouble puts a job off, longer each time; our own trouble counts no try. Several
workers may share a database and a storage.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg
import logfire

from appview.media import blob_rows, jobs
from appview.media.external import UrlCheck
from appview.media.facts import AAC_160
from appview.media.jobs import DATABASE_AWAY, Job, LeaseLost
from appview.media.keys import is_blob
from appview.media.letting_go import LettingGo
from appview.media.mirror import PER_HOST, AtStep, Mirror, NotKept, NotNow, Published, ignore_step
from appview.media.plan import READY, Kept
from appview.media.references import Situation, situation_of
from appview.media.renderer import Renderer
from appview.media.settings import MediaSettings
from appview.media.steps import Step, next_step
from appview.media.storage import ObjectChanged, ObjectMissing, StorageError
from appview.media.workshop import MediaRejected, WorkshopFailed
from atprotocol.errors import NetworkError

FIRST_RETRY_SECONDS = 15.0
LONGEST_RETRY_SECONDS = 6 * 3600.0
# With the waits above about four days: then the host is taken for gone.
MAX_ATTEMPTS = 24
IDLE_SECONDS = 0.5
KEEP_SECONDS = 30.0
# A database that is away, full or had to break a deadlock is asked again.
DATABASE_RETRY_SECONDS = 2.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tools:
    """What steps are done with."""

    mirror: Mirror
    renderer: Renderer
    letting_go: LettingGo
    url_check: UrlCheck


class MediaWorker:
    """Does jobs, several at a time."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        tools: Tools,
        settings: MediaSettings,
        clock: Callable[[], datetime],
        chance: Callable[[], float],
        *,
        is_public_storage: bool = False,
        renders: bool = True,
        at_step: AtStep = ignore_step,
    ) -> None:
        """Take the parts; `chance` gives numbers from 0 to 1, to spread retries. Without `renders` others make variants."""
        self._pool = pool
        self._tools = tools
        self._settings = settings
        self._clock = clock
        self._chance = chance
        self._is_public_storage = is_public_storage
        self._renders = renders
        self._at_step = at_step
        self._hosts: Counter[str] = Counter()
        # Hosts that asked to be left alone, and until when.
        self._resting: dict[str, datetime] = {}
        self.done: Counter[str] = Counter()

    async def run(self) -> None:
        """Do jobs for ever."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._settings.fetches_at_once):
                group.create_task(self._work(), name=f"media-{number}")

    async def _work(self) -> None:
        while True:
            try:
                if not await self.work_once():
                    await asyncio.sleep(IDLE_SECONDS)
            except DATABASE_AWAY as error:
                logger.warning("the media worker waits for the database: %s", type(error).__name__)
                await asyncio.sleep(DATABASE_RETRY_SECONDS)

    async def work_once(self) -> bool:
        """Take one job that is due and do it; False when there was none."""
        now = self._clock()
        self._resting = {host: until for host, until in self._resting.items() if until > now}
        busy = [*self._resting, *(host for host, count in self._hosts.items() if count >= PER_HOST)]
        async with self._pool.acquire() as connection:
            job = await jobs.take(connection, now, busy, self._chance())
        if job is None:
            return False
        self._at_step("taken")
        await self.do(job)
        return True

    async def do(self, job: Job) -> None:
        """Do a job that was taken, to its end or until it has to wait."""
        try:
            with logfire.span("media.job", kind=job.kind, attempts=job.attempts):
                async with self._kept(job):
                    if job.kind == "url":
                        await self._tools.url_check.check(job, self._clock())
                    elif not await self._do_blob(job):
                        return
        except LeaseLost:
            logger.warning("another worker has taken over %s", job.subject)
            return
        except NetworkError as error:
            await self._put_off(job, str(error), error.retry_after_seconds)
            return
        except (StorageError, WorkshopFailed) as error:
            # Ours to put right: no word about the blob. One whose processes are killed is tried ever more rarely, though.
            logger.warning("media.trouble subject=%s error=%s", job.subject, error)
            await self._put_off(job, str(error), None, counts=isinstance(error, WorkshopFailed))
            return
        except asyncio.CancelledError:
            with contextlib.suppress(*DATABASE_AWAY):
                await self._put_off(job, "the worker ended", 0.0, counts=False)
            raise
        async with self._pool.acquire() as connection:
            await jobs.finish(connection, job, self._clock())
        self._at_step("finished")

    async def _do_blob(self, job: Job) -> bool:
        """Do steps until there are none; False when the job was put off."""
        cid = job.subject
        if not is_blob(cid):
            # What names no file is nothing to be done.
            return True
        has_begun = False
        while True:
            async with self._pool.acquire() as connection:
                situation = await situation_of(connection, cid, AAC_160.name)
            if has_begun and situation.standing.state != READY:
                # A step found out that it cannot be kept: whoever asks for it again makes another job.
                return True
            has_begun = True
            now, grace = self._clock(), timedelta(seconds=self._settings.grace_seconds)
            step = next_step(
                situation.standing, self._settings.mirroring, now, grace, is_public_storage=self._is_public_storage
            )
            self.done[step] += 1
            match step:
                case Step.NOTHING:
                    return True
                case Step.LET_GO:
                    await self._tools.letting_go.let_go(job)
                    self._at_step("let go")
                    return True
                case Step.FETCH:
                    if not await self._fetch(job, situation):
                        return False
                case Step.RENDER if not self._renders:
                    await self._put_off(job, "somebody who waits is not kept by this", 0.0, counts=False)
                    return False
                case Step.RENDER:
                    await self._render(job)

    async def _fetch(self, job: Job, situation: Situation) -> bool:
        cid = job.subject
        # Where everybody reads what we keep, nobody's gated bytes come from for others who only name them.
        sources = [each for each in situation.sources if each.is_open or not self._is_public_storage]
        hosts = {source.pds for source in sources}
        self._hosts.update(hosts)
        try:
            outcome = await self._tools.mirror.fetch(cid, sources)
        finally:
            self._hosts.subtract(hosts)
            self._hosts += Counter()
        if isinstance(outcome, NotNow) and outcome.retry_after_seconds:
            until = self._clock() + timedelta(seconds=outcome.retry_after_seconds)
            self._resting.update(dict.fromkeys(hosts, until))
        if isinstance(outcome, NotNow) and job.attempts >= MAX_ATTEMPTS:
            outcome = NotKept("gone", f"no host answered in {job.attempts} tries: {outcome.reason}")
        async with self._writing(job) as connection:
            match outcome:
                case Published(stored=stored, mime_type=mime_type, facts=facts, host=host):
                    await blob_rows.save_ready(
                        connection,
                        cid,
                        fetched_from=host,
                        size_bytes=stored.size_bytes,
                        mime_type=mime_type,
                        etag=stored.etag,
                        facts=facts,
                        at=self._clock(),
                    )
                case NotKept(state=state, reason=reason, host=host):
                    await blob_rows.save_state(connection, cid, state, reason, self._clock(), host)
                    logger.info("media.not_kept cid=%s state=%s reason=%s", cid, state, reason)
                case NotNow(reason=reason):
                    await blob_rows.save_state(connection, cid, "pending", reason, self._clock())
        self._at_step("written")
        if isinstance(outcome, NotNow):
            await self._put_off(job, outcome.reason, outcome.retry_after_seconds)
            return False
        return True

    async def _render(self, job: Job) -> None:
        cid = job.subject
        async with self._pool.acquire() as connection:
            sound = await blob_rows.load_sound(connection, cid)
        kept = None if sound is None else sound.original
        if kept is None:
            return
        try:
            made = await self._tools.renderer.render(kept, AAC_160)
        except MediaRejected as error:
            async with self._writing(job) as connection:
                await blob_rows.save_unrendered(connection, cid, error.reason)
            return
        except (ObjectMissing, ObjectChanged) as error:
            await self._lost(job, kept, str(error))
            return
        self._at_step("rendered")
        async with self._writing(job) as connection:
            assert made.rendering is not None
            await blob_rows.save_variant(
                connection,
                cid,
                AAC_160.name,
                content_cid=made.content_cid,
                size_bytes=made.stored.size_bytes,
                mime_type=made.mime_type,
                etag=made.stored.etag,
                bitrate_kbps=made.rendering.bitrate_kbps,
            )
            await blob_rows.save_rendering(connection, cid, made.rendering)

    async def _lost(self, job: Job, kept: Kept, reason: str) -> None:
        """Have an object that is not there, or is another, fetched again."""
        async with self._writing(job) as connection:
            await blob_rows.lose(connection, kept, reason)
            await jobs.want(connection, "blob", [kept.cid], self._clock())

    async def _put_off(self, job: Job, error: str, wait_seconds: float | None, *, counts: bool = True) -> None:
        wait = retry_seconds(job.attempts, self._chance()) if wait_seconds is None else wait_seconds
        async with self._pool.acquire() as connection:
            await jobs.put_off(connection, job, self._clock() + timedelta(seconds=wait), error, counts=counts)

    @asynccontextmanager
    async def _writing(self, job: Job) -> AsyncIterator[asyncpg.Connection]:
        """Give a transaction in which the job is ours. Raises LeaseLost."""
        async with self._pool.acquire() as connection, connection.transaction():
            await jobs.hold(connection, job)
            yield connection

    @asynccontextmanager
    async def _kept(self, job: Job) -> AsyncIterator[None]:
        """Lengthen the lease for as long as the block lasts; the block is cut short when it is lost."""
        working = asyncio.current_task()
        assert working is not None
        lost = False

        async def keep() -> None:
            nonlocal lost
            while True:
                await asyncio.sleep(KEEP_SECONDS)
                try:
                    async with self._pool.acquire() as connection:
                        await jobs.keep(connection, job, self._clock())
                except LeaseLost:
                    lost = True
                    working.cancel()
                    return
                except DATABASE_AWAY:
                    continue

        keeping = asyncio.create_task(keep())
        try:
            try:
                yield
            finally:
                keeping.cancel()
                # Also where the lease was lost at the end of the block, the cancellation comes here and not later.
                await asyncio.gather(keeping, return_exceptions=True)
        except asyncio.CancelledError:
            if lost and working.uncancel() == 0:
                raise LeaseLost(job.subject) from None
            raise


def retry_seconds(attempts: int, chance: float) -> float:
    """Return how long to wait after so many tries, spread by a quarter to either side by `chance` from 0 to 1."""
    wait = min(FIRST_RETRY_SECONDS * 2.0 ** min(max(0, attempts - 1), 30), LONGEST_RETRY_SECONDS)
    return wait * (0.75 + chance / 2)
