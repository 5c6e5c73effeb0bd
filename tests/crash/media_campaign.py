"""The crash campaign of media: `just crash-media`, or `python tests/crash/media_campaign.py [--kills N] [--seed N] [--blobs N] [--json]`.

Runs `plyr work` on blobs of a host that is slow at times, kills it with -9 at random moments, and lets another take over.
In the end every blob that is referred to is kept with its variant, bit for bit, what is taken down is gone, no job is left
and no object is nobody's. Time passes for leases by moving them, as nobody waits three minutes a hundred times.

Example:
    python tests/crash/media_campaign.py --kills 20 --seed 7
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)]

import asyncpg  # noqa: E402
from audio_samples import sample  # noqa: E402
from blob_host import BlobHost, blob_host  # noqa: E402
from postgres import BINARIES_CACHE  # noqa: E402
from running_indexer import CrashablePostgres, migrated  # noqa: E402
from seeds import Seeds, Written  # noqa: E402

from appview.media.folder import FolderStorage  # noqa: E402
from appview.media.keys import BlobKey, StagingKey, VariantKey  # noqa: E402

GUARD_SECONDS = 60
END_SECONDS = 300
FORMATS = ("flac", "mp3", "wav", "opus", "aac")


@dataclass
class MediaReport:
    """What a campaign did, and what was wrong in the end."""

    kills: int = 0
    killed_at_work: int = 0
    blobs: int = 0
    taken_down: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)


class MediaCampaign:
    """One campaign, in a folder of its own."""

    def __init__(self, folder: Path, kills: int, seed: int, blobs: int) -> None:
        """Take the plan; nothing runs before run()."""
        self._folder = folder
        self._kills = kills
        self._chance = random.Random(seed)
        self._blobs = blobs
        self._postgres = CrashablePostgres(folder / "postgres", BINARIES_CACHE)
        self._storage = FolderStorage(folder / "media")
        self.report = MediaReport()

    async def run(self) -> MediaReport:
        """Run the campaign and return what came of it."""
        began = time.monotonic()
        try:
            await self._postgres.start()
            url = await migrated(self._postgres, "media")
            async with blob_host() as host:
                connection = await asyncpg.connect(url)
                try:
                    await self._disturbed(url, host, connection)
                finally:
                    await connection.close()
        finally:
            await self._postgres.stop()
        self.report.seconds = time.monotonic() - began
        return self.report

    async def _disturbed(self, url: str, host: BlobHost, connection: asyncpg.Connection) -> None:
        seeds = Seeds(connection)
        account = await seeds.account(pds=host.url)
        tracks: list[Written] = []
        for number in range(self._blobs):
            content = sample(self._chance.choice(FORMATS), seconds=0.5, hertz=200.0 + 7 * number)
            cid = host.put(content)
            blob = {"$type": "blob", "ref": {"$link": cid}, "mimeType": "audio/mpeg", "size": len(content)}
            tracks.append(await seeds.track(account, audioBlob=blob))
        self.report.blobs = len(tracks)
        hidden: set[str] = set()
        for number in range(self._kills):
            # Jobs are asked for and things are taken down all along, as records and operators do.
            for track in self._chance.sample(tracks, max(1, self._blobs // 4)):
                await self._want(connection, track)
            if number % 3 == 2:
                track = self._chance.choice(tracks)
                hidden.add(track.uri)
                await connection.execute(
                    "INSERT INTO plyr.takedowns VALUES ($1, 'test') ON CONFLICT DO NOTHING", track.uri
                )
                await self._want(connection, track)
            await self._killed(url, host, connection)
        self.report.taken_down = len(hidden)
        for track in tracks:
            await self._want(connection, track)
        await self._ended(url, host, connection)
        await self._judge(connection, host, tracks, hidden)

    async def _want(self, connection: asyncpg.Connection, track: Written) -> None:
        cid = track.record["audioBlob"]["ref"]["$link"]
        await connection.execute(
            "INSERT INTO plyr.media_jobs AS job (kind, subject) VALUES ('blob', $1)"
            " ON CONFLICT (kind, subject) DO UPDATE SET wanted = job.wanted + 1",
            cid,
        )

    async def _start(self, url: str, host: BlobHost) -> asyncio.subprocess.Process:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PLYR_DATABASE_URL": url,
            "PLYR_MIRROR": "always",
            "PLYR_MEDIA_DIR": str(self._folder / "media"),
            "PLYR_MEDIA_ORIGINS": "none",
            "PLYR_ALLOWED_HOSTS": f"localhost:{host.port}",
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "plyr", "work", env=environment, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        async with asyncio.timeout(GUARD_SECONDS):
            await process.stdout.readline()
        return process

    async def _killed(self, url: str, host: BlobHost, connection: asyncpg.Connection) -> None:
        """Let a worker work for a moment, and kill it."""
        process = await self._start(url, host)
        await asyncio.sleep(self._chance.uniform(0.0, 0.8))
        process.send_signal(signal.SIGKILL)
        await process.wait()
        self.report.kills += 1
        leased = await connection.fetchval("SELECT count(*) FROM plyr.media_jobs WHERE leased_until > now()")
        self.report.killed_at_work += leased > 0
        for row in await connection.fetch("SELECT cid FROM plyr.blobs WHERE state = 'ready'"):
            if await self._storage.stat(BlobKey(row["cid"])) is None:
                self.report.problems.append(
                    f"{row['cid']} is called ready and is not there, after kill {self.report.kills}"
                )
        # Time passes.
        await connection.execute("UPDATE plyr.media_jobs SET leased_until = now()")

    async def _ended(self, url: str, host: BlobHost, connection: asyncpg.Connection) -> None:
        """Let a worker finish in peace."""
        process = await self._start(url, host)
        try:
            async with asyncio.timeout(END_SECONDS):
                while await connection.fetchval("SELECT count(*) FROM plyr.media_jobs"):
                    await connection.execute("UPDATE plyr.media_jobs SET run_at = now() WHERE leased_until IS NULL")
                    await asyncio.sleep(0.2)
        except TimeoutError:
            left = await connection.fetch("SELECT subject, attempts, last_error FROM plyr.media_jobs")
            self.report.problems += [f"a job is left: {tuple(row)}" for row in left]
        process.send_signal(signal.SIGTERM)
        if await process.wait() != 0:
            self.report.problems.append("the last worker did not end in order")

    async def _judge(
        self, connection: asyncpg.Connection, host: BlobHost, tracks: list[Written], hidden: set[str]
    ) -> None:
        problems = self.report.problems
        wanted = {track.record["audioBlob"]["ref"]["$link"] for track in tracks if track.uri not in hidden}
        kept: set[str] = set()
        async for key, stored in self._storage.keys(BlobKey):
            assert isinstance(key, BlobKey)
            async with self._storage.read(key, 0, stored.size_bytes, stored.etag) as reader:
                content = b""
                while piece := await reader.read(1 << 20):
                    content += piece
            kept.add(key.cid)
            if content != host.blobs[key.cid].content:
                problems.append(f"{key.cid} has other bytes")
        variants = {key.cid async for key, _ in self._storage.keys(VariantKey) if isinstance(key, VariantKey)}
        ready = {row["cid"] for row in await connection.fetch("SELECT cid FROM plyr.blobs WHERE state = 'ready'")}
        for name, found in (("kept", kept), ("variants", variants), ("ready", ready)):
            problems += [f"{cid} is missing among {name}" for cid in sorted(wanted - found)]
            problems += [f"{cid} is too much among {name}" for cid in sorted(found - wanted)]
        # What a kill left in staging is found by age; here it only must be in nobody's way.
        async for key, _ in self._storage.keys(StagingKey):
            await self._storage.delete(key)
        if self.report.killed_at_work < self.report.kills // 4:
            problems.append(f"only {self.report.killed_at_work} of {self.report.kills} kills interrupted work")


def run_media_campaign(kills: int, seed: int, blobs: int) -> MediaReport:
    """Run a campaign in a temporary folder."""
    folder = Path(tempfile.mkdtemp(prefix="plyr-media-crash-"))
    folder.chmod(0o755)
    try:
        return asyncio.run(MediaCampaign(folder, kills, seed, blobs).run())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Run what was asked for; exit code 1 when something was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--blobs", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    report = run_media_campaign(asked.kills, asked.seed, asked.blobs)
    if asked.json:
        print(json.dumps(report.__dict__))  # noqa: T201
    else:
        print(  # noqa: T201
            f"{report.kills} kills ({report.killed_at_work} at work), {report.blobs} blobs, {report.taken_down} taken down,"
            f" {report.seconds:.0f} s: {'good' if not report.problems else chr(10).join(report.problems)}"
        )
    sys.exit(bool(report.problems))


if __name__ == "__main__":
    main()
