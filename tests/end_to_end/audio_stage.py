"""A real network with two installations of ours on it, one that keeps all audio and one that keeps none, and ways to listen.

Nothing is read from the programs but what a listener could read, save for the folder in which files are kept and the
number of times that a host was asked for a blob.
"""

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import av
import httpx
from account import Account, Written
from local_network import Network, network
from postgres import PostgresForTests
from relay import Relay, relay
from running_plyr import RunningPlyr, plyr_up

GUARD_SECONDS = 60
TRACK, LIKE = "fm.plyr.track", "fm.plyr.like"
CREATED_AT = "2026-01-01T00:00:00Z"


@dataclass(frozen=True)
class Published:
    """A track, and the bytes that its artist uploaded for it."""

    account: Account
    written: Written
    record: dict[str, Any]
    content: bytes

    @property
    def uri(self) -> str:
        """Return the address of the record."""
        return self.written.uri

    @property
    def cid(self) -> str:
        """Return the CID of the audio."""
        return str(self.record["audioBlob"]["ref"]["$link"])

    @property
    def path(self) -> str:
        """Return where the original is heard."""
        return f"/audio/{self.account.did}/{self.cid}"


@dataclass
class AudioStage:
    """The network, an installation that mirrors (`PLYR_MIRROR=always`) and one that only streams (`never`)."""

    net: Network
    hub: Relay
    mirroring: RunningPlyr
    streaming: RunningPlyr

    async def publish(
        self, account: Account, title: str, content: bytes, mime_type: str, file_type: str, **more: Any
    ) -> Published:
        """Upload audio and publish it as a track, and wait until both installations have indexed it."""
        record = {
            "title": title,
            "artist": "The Artist",
            "fileType": file_type,
            "createdAt": CREATED_AT,
            "audioBlob": await account.upload_blob(content, mime_type),
            **more,
        }
        written = await account.create_record(TRACK, record)
        await self.indexed(written)
        return Published(account, written, record, content)

    async def indexed(self, written: Written) -> None:
        """Wait until both installations have this version of a record."""

        async def is_indexed() -> bool:
            statuses = [await self.record_status(plyr, written.uri) for plyr in (self.mirroring, self.streaming)]
            return all((status["state"], status.get("cid")) == ("indexed", written.cid) for status in statuses)

        await until(is_indexed)

    async def record_status(self, plyr: RunningPlyr, uri: str) -> dict[str, Any]:
        """Return what an installation knows of a record."""
        status: dict[str, Any] = await plyr.xrpc.answer("index.getRecordStatus", uri=uri)
        return status

    async def mirrored(self, track: Published) -> dict[str, Any]:
        """Wait until a track and its variant are kept, and return what feed.getPlayback says then."""
        found: dict[str, Any] = {}

        async def is_mirrored() -> bool:
            found.update(await self.mirroring.xrpc.answer("feed.getPlayback", uri=track.uri))
            return [source["origin"] for source in found["sources"]] == ["r2", "r2"]

        await until(is_mirrored)
        return found

    async def heard(self, plyr: RunningPlyr, path: str, **headers: str) -> httpx.Response:
        """Ask an installation for a file."""
        url = path if path.startswith("http") else plyr.url + path
        return await self.net.http.get(url, headers={name.replace("_", "-"): value for name, value in headers.items()})

    async def status_of(self, path: str) -> int:
        """Return the status with which the mirroring installation answers for a file."""
        return (await self.heard(self.mirroring, path)).status_code

    async def plays(self, track: Published, *, with_variant: bool = True) -> None:
        """Make sure that a track is heard as it was uploaded, and its variant too."""
        response = await self.heard(self.mirroring, track.path)
        assert (response.status_code, response.content == track.content) == (200, True), response.text[:200]
        if with_variant:
            variant = await self.heard(self.mirroring, f"{track.path}?variant=aac-160")
            assert variant.status_code == 200, variant.text[:200]
            decoded(variant.content)

    def kept_files(self, track: Published) -> list[str]:
        """Return the files that the mirroring installation keeps of a track's audio."""
        folder = self.mirroring.media_folder
        found = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
        return sorted(path for path in found if track.cid in path)


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something is so; fail after a minute."""
    async with asyncio.timeout(GUARD_SECONDS):
        while not await is_so():
            await asyncio.sleep(0.1)


def decoded(content: bytes) -> tuple[str, float]:
    """Return the codec of a file, and how many seconds of it can really be decoded."""
    with av.open(io.BytesIO(content), "r") as container:
        (stream,) = container.streams.audio
        samples = sum(frame.samples for frame in container.decode(stream))
        return stream.codec_context.name, samples / stream.codec_context.sample_rate


@asynccontextmanager
async def audio_stage(postgres: PostgresForTests, migrated: str) -> AsyncIterator[AudioStage]:
    """Run two PDSes, a relay and both installations for the length of a block."""
    kept, passed = postgres.create_database(template=migrated), postgres.create_database(template=migrated)
    async with (
        network(pds=2) as net,
        relay(net.plc_url, [pds.url for pds in net.pds]) as hub,
        plyr_up(net, hub, kept, PLYR_MIRROR="always") as mirroring,
        plyr_up(net, hub, passed, PLYR_MIRROR="never") as streaming,
    ):
        yield AudioStage(net, hub, mirroring, streaming)
