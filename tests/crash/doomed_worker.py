"""A media worker that ends by SIGKILL when it has done a named step for the nth time: a program of its own, told by arguments.

It is the worker of `plyr work`, composed with a hook that is told every step, and with a clock that may run ahead.
"""

import argparse
import asyncio
import os
import random
import signal
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

from appview.media.folder import FolderStorage
from appview.media.media import assembled
from appview.media.s3 import S3Settings, S3Storage
from appview.media.settings import MediaSettings, Mirroring
from appview.media.storage import Storage
from appview.media.sweeping import Sweeper
from appview.media.work import media_worker
from atprotocol.net.addresses import Policy
from atprotocol.net.http import BoundedClient
from database.connect import create_pool


async def main() -> None:
    """Do all jobs that are due, unless death comes first."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("database", "host", "folder", "bucket", "die-at"):
        parser.add_argument(f"--{name}", default="")
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--ahead-seconds", type=float, default=0.0)
    parser.add_argument("--sweep", action="store_true")
    asked = parser.parse_args()
    left = {asked.die_at: asked.times}

    def at_step(step: str) -> None:
        print(step, flush=True)  # noqa: T201  (what it is watched by)
        if step in left:
            left[step] -= 1
            if not left[step]:
                os.kill(os.getpid(), signal.SIGKILL)

    def clock() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=asked.ahead_seconds)

    parts = urlsplit(asked.host)
    settings = MediaSettings(mirroring=Mirroring.ALWAYS, origins=frozenset({asked.host}), grace_seconds=60)
    async with AsyncExitStack() as stack:
        pool = await create_pool(asked.database, role="plyr_appview", maximum=4)
        stack.push_async_callback(pool.close)
        client = await stack.enter_async_context(
            BoundedClient(Policy(frozenset({(str(parts.hostname), int(parts.port or 0))})))
        )
        storage: Storage = FolderStorage(Path(asked.folder) / "media")
        if asked.bucket:
            endpoint, bucket, key_id, secret = asked.bucket.split(" ")
            storage = await stack.enter_async_context(
                S3Storage(S3Settings(endpoint, bucket, key_id, secret), Path(asked.folder) / "spool")
            )
        media = await stack.enter_async_context(
            assembled(
                settings,
                storage,
                client,
                can_sign=False,
                seconds=time.monotonic,
                folder=Path(asked.folder),
                at_step=at_step,
            )
        )
        worker = media_worker(pool, media, clock, random.random, at_step=at_step)
        if asked.sweep:
            await Sweeper(pool, storage, settings).sweep(clock(), is_forced=True)
        while await worker.work_once():
            await asyncio.sleep(0)


if __name__ == "__main__":
    uvloop.run(main())
