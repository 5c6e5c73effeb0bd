"""The appview with audio, as the program serves it, in a process and on a core of its own.

Postgres, and whoever listens, share the other core: what is measured of the server is the server's alone. Files are put
into the storage as the worker puts them there, and rows into the database as the indexer writes them.
"""

import asyncio
import contextlib
import itertools
import logging
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

import asyncpg
import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from seeds import PDS, Seeds

from appview.app import create_app, pool_opener
from appview.media import blob_rows
from appview.media.folder import FolderStorage
from appview.media.keys import BlobKey
from appview.media.media import Media, assembled
from appview.media.s3 import S3Settings, S3Storage
from appview.media.settings import MediaSettings
from appview.media.storage import Storage
from appview.settings import AppviewSettings
from atprotocol.cid import RAW, cid_of
from atprotocol.lexicon.catalog import Catalog
from atprotocol.net.addresses import Policy
from atprotocol.net.http import BoundedClient
from bench.load import in_a_process, listening_socket
from bench.running import memory_mb
from database.embedded import EmbeddedPostgres
from database.migrate import migrate
from plyr.listening import port_of
from plyr.listening import serve as serve_sockets
from plyr.request_log import RequestLog

ROOT = Path(__file__).resolve().parents[1]
MIME_TYPE = "audio/mpeg"
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that can be heard at `path`."""

    path: str
    cid: str
    size_bytes: int


class Server:
    """A serving process, seen from outside."""

    def __init__(self, orders: Connection) -> None:
        """Wait until it serves."""
        self._orders = orders
        self.port, self.pid = orders.recv()

    def cpu_seconds(self) -> float:
        """Return the CPU time that all its threads have had, exactly."""
        return cpu_seconds(self.pid)

    def memory_mb(self) -> float:
        """Return its resident memory."""
        return memory_mb(self.pid)

    def open_files(self) -> int:
        """Return how many descriptors it has: sockets, files and what the event loop needs."""
        return sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())

    def tasks(self) -> int:
        """Return how many asyncio tasks it has."""
        self._orders.send("tasks")
        count: int = self._orders.recv()
        return count


class Hall:
    """A database with an account for each file, and a folder for audio; appviews over both."""

    def __init__(self, url: str, root: Path) -> None:
        """Name the database and the folder."""
        self.url = url
        self.root = root
        self._numbers = itertools.count(1)

    def put(self, size_bytes: int, bucket: S3Settings | None = None) -> Kept:
        """Keep a file of random bytes, in the folder or in a bucket, as the audio of an account's track."""
        return asyncio.run(self._put(size_bytes, bucket))

    def file_of(self, kept: Kept) -> Path:
        """Return where a file of the folder lies."""
        return next((self.root / "blobs").rglob(kept.cid))

    @contextmanager
    def served(self, media: MediaSettings, bucket: S3Settings | None = None) -> Iterator[Server]:
        """Serve for the length of a block; without limits of rates, so that one address can ask for thousands."""
        with in_a_process(_serve, self.url, media, self.root, bucket, server_core()) as orders:
            yield Server(orders)

    async def _put(self, size_bytes: int, bucket: S3Settings | None) -> Kept:
        number = next(self._numbers)
        content = random.Random(number).randbytes(size_bytes)
        cid = str(cid_of(content, RAW))
        async with _storage(self.root, bucket) as storage, storage.staged() as staged:
            for start in range(0, size_bytes, _PIECE_BYTES):
                await staged.write(content[start : start + _PIECE_BYTES])
            await staged.finish()
            stored = await staged.publish(BlobKey(cid), MIME_TYPE)
        connection = await asyncpg.connect(self.url)
        seeds = Seeds(connection)
        account = await seeds.account(f"did:plc:{cid[-24:]}", handle=f"artist{number}.example.com")
        reference = {"$type": "blob", "ref": {"$link": cid}, "mimeType": MIME_TYPE, "size": size_bytes}
        await seeds.track(account, audioBlob=reference)
        await blob_rows.save_ready(
            connection, cid, fetched_from=PDS, size_bytes=size_bytes, mime_type=MIME_TYPE, etag=stored.etag,
            facts=None, at=datetime.now(UTC),
        )  # fmt: skip
        await connection.execute("ANALYZE")
        await connection.close()
        return Kept(f"/audio/{account.did}/{cid}", cid, size_bytes)


@contextmanager
def hall() -> Iterator[Hall]:
    """Give a hall without files; this process and what it starts stay off the server's core within the block."""
    root = Path(tempfile.mkdtemp(prefix="plyr-bench-"))
    root.chmod(0o755)
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    postgres = EmbeddedPostgres(
        root / "database", binaries_cache=Path(tempfile.gettempdir()) / f"plyr-test-binaries-{os.geteuid()}"
    )
    try:
        url = postgres.start()
        asyncio.run(migrate(url, ROOT / "migrations"))
        yield Hall(url, root / "media")
    finally:
        os.sched_setaffinity(0, cores)
        postgres.stop()
        shutil.rmtree(root, ignore_errors=True)


def server_core() -> int:
    """Return the core on which servers run: the first that there is."""
    return min(_ALL_CORES)


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has had; the number of its clock is made as clock_getcpuclockid(3) makes it."""
    return time.clock_gettime((~pid << 3) | 2)


def told(text: str) -> None:
    """Tell whoever waits how far it is."""
    print(f"  … {text}", file=sys.stderr, flush=True)


_ALL_CORES = os.sched_getaffinity(0)


def _serve(
    url: str, media: MediaSettings, root: Path, bucket: S3Settings | None, core: int, orders: Connection
) -> None:
    os.sched_setaffinity(0, {core})
    logging.disable(logging.INFO)
    settings = AppviewSettings(rate_windows=(), account_rate_windows=(), media=media)

    @asynccontextmanager
    async def open_media() -> AsyncIterator[Media]:
        async with (
            _storage(root, bucket) as storage,
            BoundedClient(Policy(frozenset())) as client,
            assembled(media, storage, client, can_sign=bucket is not None, seconds=time.monotonic) as made,
        ):
            yield made

    app = create_app(
        settings, Catalog.load(ROOT / "lexicons"), open_pool=pool_opener(url, settings), open_media=open_media
    )
    with listening_socket() as taken:

        def on_ready() -> None:
            asyncio.get_running_loop().add_reader(orders.fileno(), answer)
            orders.send((port_of([taken]), os.getpid()))

        def answer() -> None:
            with contextlib.suppress(EOFError):
                orders.recv()
                orders.send(len(asyncio.all_tasks()))

        uvloop.run(serve_sockets(RequestLog(app, traced=False), [taken], on_ready))


@asynccontextmanager
async def _storage(root: Path, bucket: S3Settings | None) -> AsyncIterator[Storage]:
    if bucket is None:
        yield FolderStorage(root)
        return
    async with S3Storage(bucket, root / "spool") as storage:
        yield storage
