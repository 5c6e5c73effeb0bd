"""The appview with audio and pictures on a real socket, over a storage and a host, and the worker that fills the one from the other."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from blob_host import BlobHost, blob_host, cid_text
from made_up_accounts import MadeUpAccount
from running_appview import SETTINGS, VIEWERS_KEY, Clock, SharedDatabase, everybodys_key
from seeds import NAMESPACE, Account, Seeds, Written
from served_appview import served
from xrpc_client import XrpcClient

from appview.app import create_app
from appview.media.jobs import want
from appview.media.letting_go import Purge, purge_nothing
from appview.media.media import Media, assembled
from appview.media.mirror import AtStep, ignore_step
from appview.media.settings import MediaSettings, Mirroring
from appview.media.storage import Storage
from appview.media.sweeping import Sweeper
from appview.media.work import media_worker
from appview.media.worker import MediaWorker
from atprotocol.lexicon.catalog import Catalog
from atprotocol.net.addresses import Policy
from atprotocol.net.http import BoundedClient
from atprotocol.syntax.did import DID

_TOKENS = itertools.count(500_000)
GUARD_SECONDS = 60


@dataclass
class MediaStage:
    """Everything that audio passes through, and the ways to it."""

    url: str
    http: httpx.AsyncClient
    xrpc: XrpcClient
    host: BlobHost
    seeds: Seeds
    storage: Storage
    media: Media
    worker: MediaWorker
    sweeper: Sweeper
    pool: asyncpg.Pool
    clock: Clock
    purged: list[str] = field(default_factory=list)

    async def account(self, **fields: Any) -> Account:
        """Make an account whose host is ours."""
        return await self.seeds.account(**{"pds": self.host.url, **fields})

    async def track(self, account: Account, content: bytes, *, is_served: bool = True, **fields: Any) -> Written:
        """Publish a track with this audio; the host has it unless told otherwise."""
        return await self.seeds.track(account, audioBlob=self.blob(content, is_served=is_served), **fields)

    def blob(self, content: bytes, mime_type: str = "audio/mpeg", *, is_served: bool = True) -> dict[str, Any]:
        """Return a reference to bytes that the host has."""
        cid = cid_text(content)
        if is_served:
            self.host.put(content)
        return {"$type": "blob", "ref": {"$link": cid}, "mimeType": mime_type, "size": len(content)}

    def path(self, track: Written) -> str:
        """Return where the track is heard."""
        return f"/audio/{track.account.did}/{self.cid(track)}"

    @staticmethod
    def cid(track: Written) -> str:
        """Return the CID of the track's audio."""
        return str(track.record["audioBlob"]["ref"]["$link"])

    def signed_in(self, account: Account, name: str = "feed.getPlayback") -> dict[str, str]:
        """Return the headers with which an account calls a method."""
        made_up = MadeUpAccount(DID(account.did), VIEWERS_KEY, SETTINGS.did, next(_TOKENS))
        return made_up.authorization(f"{NAMESPACE}.{name}", self.clock.now.timestamp())

    async def want(self, *subjects: str, kind: str = "blob") -> None:
        """Ask for jobs."""
        await want(self.pool, kind, subjects, self.clock.now)

    async def work(self) -> None:
        """Do jobs until none is due."""
        async with asyncio.timeout(GUARD_SECONDS):
            while await self.worker.work_once():
                pass

    async def mirrored(self, *tracks: Written) -> None:
        """Have the audio of tracks fetched."""
        await self.want(*(self.cid(track) for track in tracks))
        await self.work()

    async def state(self, cid: str) -> str | None:
        """Return the state of a blob."""
        found: str | None = await self.pool.fetchval("SELECT state FROM plyr.blobs WHERE cid = $1", cid)
        return found

    async def jobs(self) -> list[tuple[str, int]]:
        """Return the jobs that are left, with how often they were tried."""
        return [tuple(row) for row in await self.pool.fetch("SELECT subject, attempts FROM plyr.media_jobs ORDER BY 1")]

    async def playback(self, track: Written, **parameters: Any) -> dict[str, Any]:
        """Return what feed.getPlayback says."""
        return await self.xrpc.answer("feed.getPlayback", uri=track.uri, **parameters)


@asynccontextmanager
async def media_stage(
    database: SharedDatabase,
    catalog: Catalog,
    storage: Storage,
    folder: Path,
    *,
    can_sign: bool = False,
    at_step: AtStep = ignore_step,
    purge: Purge | None = None,
    **settings: Any,
) -> AsyncIterator[MediaStage]:
    """Give a stage over an empty database; `settings` are those of MediaSettings."""
    await database.empty()
    clock = Clock()
    purged: list[str] = []

    async def note_purge(urls: Any) -> None:
        purged.extend(urls)
        await (purge or purge_nothing)(urls)

    async with blob_host() as host:
        chosen = MediaSettings(**{"mirroring": Mirroring.ON_PLAY, "origins": frozenset({host.url}), **settings})
        policy = Policy(frozenset({("localhost", host.port)}))

        @asynccontextmanager
        async def open_media() -> AsyncIterator[Media]:
            async with (
                BoundedClient(policy, slow_window_seconds=5) as client,
                assembled(
                    chosen,
                    storage,
                    client,
                    can_sign=can_sign,
                    seconds=time.monotonic,
                    folder=folder,
                    at_step=at_step,
                    purge=note_purge,
                ) as media,
            ):
                opened.append(media)
                yield media

        opened: list[Media] = []

        async def open_pool() -> Any:
            return _Kept(database.pool)

        app = create_app(
            replace(SETTINGS, media=chosen, rate_windows=()),
            catalog,
            open_pool=open_pool,
            clock=clock,
            resolve_key=everybodys_key,
            open_media=open_media,
        )
        async with served(app) as url, httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as http:
            media = opened[0]
            worker = media_worker(database.pool, media, clock, lambda: 0.5, at_step=at_step)
            yield MediaStage(
                url=url,
                http=http,
                xrpc=XrpcClient(http, catalog, NAMESPACE),
                host=host,
                seeds=Seeds(database.owner),
                storage=storage,
                media=media,
                worker=worker,
                sweeper=Sweeper(database.pool, storage, chosen),
                pool=database.pool,
                clock=clock,
                purged=purged,
            )


class _Kept:
    """A pool that serves all tests, and is not closed by one."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    async def close(self) -> None:
        """Leave it open."""
