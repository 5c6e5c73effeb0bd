"""A worker put together from the parts that audio and pictures are given with."""

from collections.abc import Callable
from datetime import datetime

import asyncpg

from appview.media.external import UrlCheck
from appview.media.letting_go import LettingGo
from appview.media.media import Media, is_public
from appview.media.mirror import AtStep, ignore_step
from appview.media.worker import MediaWorker, Tools


def media_worker(
    pool: asyncpg.Pool,
    media: Media,
    clock: Callable[[], datetime],
    chance: Callable[[], float],
    *,
    renders: bool = True,
    at_step: AtStep = ignore_step,
) -> MediaWorker:
    """Return a worker; see `MediaWorker`."""
    tools = Tools(
        mirror=media.mirror,
        renderer=media.renderer,
        letting_go=LettingGo(pool, media.storage, media.purge, at_step),
        url_check=UrlCheck(pool, media.client, media.settings),
    )
    return MediaWorker(
        pool,
        tools,
        media.settings,
        clock,
        chance,
        is_public_storage=is_public(media.storage),
        renders=renders,
        at_step=at_step,
    )
