"""The parts that audio and pictures are given with, put together for as long as the application runs."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from appview.media.arrivals import Arrivals
from appview.media.keys import BlobKey
from appview.media.letting_go import Purge, purge_nothing
from appview.media.mirror import AtStep, Mirror, ignore_step
from appview.media.plan import Ways
from appview.media.renderer import Renderer
from appview.media.settings import MediaSettings
from appview.media.storage import Storage
from appview.media.workshop import Workshop
from atprotocol.net.http import BoundedClient

# Any blob's: only whether there is a URL is asked.
_ANY_KEY = BlobKey("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku")


@dataclass(frozen=True, slots=True)
class Media:
    """Where bytes are kept, how they are fetched and made, what the storage allows, and how a CDN is had forget."""

    settings: MediaSettings
    storage: Storage
    client: BoundedClient
    arrivals: Arrivals
    mirror: Mirror
    renderer: Renderer
    ways: Ways
    purge: Purge = purge_nothing


OpenMedia: TypeAlias = Callable[[], AbstractAsyncContextManager[Media]]


@asynccontextmanager
async def assembled(
    settings: MediaSettings,
    storage: Storage,
    client: BoundedClient,
    *,
    can_sign: bool,
    seconds: Callable[[], float],
    folder: Path | None = None,
    at_step: AtStep = ignore_step,
    purge: Purge = purge_nothing,
) -> AsyncIterator[Media]:
    """Give the parts for the length of a block; `folder` is for files on their way, the system's temporary one unless given."""
    workshop = Workshop(processes=settings.pictures_at_once)
    mirror = Mirror(
        client,
        storage,
        workshop,
        max_audio_bytes=settings.max_blob_bytes,
        max_picture_bytes=settings.max_picture_bytes,
        at_step=at_step,
    )
    ways = Ways(
        has_public_url=is_public(storage),
        can_sign=can_sign,
        redirects=settings.redirects,
        mirroring=settings.mirroring,
    )
    async with Arrivals(
        client,
        max_bytes=settings.max_blob_bytes,
        spool_bytes=settings.spool_bytes,
        spool_seconds=settings.spool_seconds,
        seconds=seconds,
        folder=folder,
    ) as arrivals:
        yield Media(settings, storage, client, arrivals, mirror, Renderer(storage, workshop, folder), ways, purge)


def is_public(storage: Storage) -> bool:
    """Tell whether everybody can read the storage by URL."""
    return storage.public_url(_ANY_KEY) is not None
