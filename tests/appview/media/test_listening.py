"""Listeners: what a stream costs, who is let in, what an early end looks like, and who hears what is theirs."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from audio_samples import sample
from blob_host import cid_text
from media_stage import MediaStage, media_stage
from running_appview import SharedDatabase
from test_audio_over_http import raw_listener, until

from appview.media.folder import FolderStorage
from appview.media.keys import BlobKey
from appview.media.settings import Mirroring
from atprotocol.lexicon.catalog import Catalog

LONG = sample("wav", seconds=40.0)
CID = cid_text(LONG)
GATE = {"type": "any"}


@pytest.fixture
async def stage(
    database: SharedDatabase, catalog: Catalog, folder_storage: FolderStorage, tmp_path: Path
) -> AsyncIterator[MediaStage]:
    async with media_stage(database, catalog, folder_storage, tmp_path, streams_per_address=3) as made:
        yield made


@pytest.fixture
async def through(
    database: SharedDatabase, catalog: Catalog, folder_storage: FolderStorage, tmp_path: Path
) -> AsyncIterator[MediaStage]:
    async with media_stage(
        database, catalog, folder_storage, tmp_path, mirroring=Mirroring.NEVER, streams_per_address=3
    ) as made:
        yield made


def open_files(folder: Path) -> int:
    """Return how many of this process' open files lie in a folder, deleted ones among them."""
    links = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(entry.readlink()))
        except OSError:
            continue
    return sum(link.startswith(str(folder)) for link in links)


async def test_a_listener_who_leaves_frees_everything(stage: MediaStage, tmp_path: Path) -> None:
    track = await stage.track(await stage.account(), LONG)
    await stage.mirrored(track)
    before = len(asyncio.all_tasks())
    async with raw_listener(stage, stage.path(track)) as (reader, _):
        await reader.readuntil(b"\r\n\r\n")
        await until(lambda: open_files(tmp_path) == 1)
    await until(lambda: open_files(tmp_path) == 0)
    await until(lambda: len(asyncio.all_tasks()) <= before)


async def test_when_nobody_listens_any_longer_the_host_is_let_go(through: MediaStage) -> None:
    through.host.put(LONG, pause_after=1_000_000)
    track = await through.track(await through.account(), LONG, is_served=False)
    async with raw_listener(through, through.path(track)) as (reader, _):
        await reader.readuntil(b"\r\n\r\n")
        assert through.host.open_connections == 1
        assert len(through.media.arrivals.by_place) == 1
    await until(lambda: not through.media.arrivals.by_place)
    through.host.blobs[CID].go_on.set()
    await until(lambda: through.host.open_connections == 0)


async def test_a_slow_listener_does_not_hold_up_others(stage: MediaStage) -> None:
    track = await stage.track(await stage.account(), LONG)
    await stage.mirrored(track)
    async with raw_listener(stage, stage.path(track)), raw_listener(stage, stage.path(track)):
        assert (await stage.http.get(stage.path(track))).content == LONG


async def test_from_one_address_only_so_many_streams_are_open(stage: MediaStage) -> None:
    track = await stage.track(await stage.account(), LONG)
    await stage.mirrored(track)
    path = stage.path(track)
    async with raw_listener(stage, path) as one, raw_listener(stage, path) as two, raw_listener(stage, path) as three:
        for reader, _ in (one, two, three):
            await reader.readuntil(b"\r\n\r\n")
        refused = await stage.http.get(path)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
        assert refused.json()["error"] == "RateLimitExceeded"
        assert (await stage.http.head(path)).status_code == 200
    async with asyncio.timeout(60):
        while (await stage.http.get(path)).status_code == 429:
            await asyncio.sleep(0.02)


async def test_ranges_are_given_while_the_file_still_arrives_and_its_end_is_held_back(through: MediaStage) -> None:
    through.host.put(LONG, pause_after=2_000_000)
    track = await through.track(await through.account(), LONG, is_served=False)
    path = through.path(track)
    async with raw_listener(through, path) as (reader, _):
        await reader.readuntil(b"\r\n\r\n")
        early = await through.http.get(path, headers={"Range": "bytes=1000-1999"})
        assert (early.status_code, early.content) == (206, LONG[1000:2000])
        assert early.headers["content-range"] == f"bytes 1000-1999/{len(LONG)}"
        late = asyncio.create_task(through.http.get(path, headers={"Range": "bytes=-10"}))
        await asyncio.sleep(0.2)
        assert not late.done()
        through.host.blobs[CID].go_on.set()
        assert (await late).content == LONG[-10:]
    assert through.host.asked[CID] == 1


@pytest.mark.parametrize("lie", ["other bytes", "cut", "shorter", "longer"])
async def test_a_host_that_lies_or_breaks_off_is_heard_by_a_body_that_ends_early(through: MediaStage, lie: str) -> None:
    track = await through.track(await through.account(), LONG, is_served=False)
    match lie:
        case "other bytes":
            through.host.put(LONG[:-1] + bytes([LONG[-1] ^ 1]), CID)
        case "cut":
            through.host.put(LONG, cut_after=3_000_000)
        case "shorter":
            through.host.put(LONG[:-5000], CID)
        case "longer":
            through.host.put(LONG + b"more", CID)
    got = bytearray()

    async def listen() -> None:
        async with through.http.stream("GET", through.path(track)) as response:
            assert response.status_code == 200
            async for piece in response.aiter_raw():
                got.extend(piece)

    with pytest.raises(httpx.RemoteProtocolError):
        await listen()
    # What came is the beginning of what was signed, or of what the host gave; the end came to nobody.
    assert len(got) < len(LONG)
    assert not through.media.arrivals.by_place


async def test_a_host_that_does_not_say_how_long_a_file_is_is_heard_once_it_is_whole(through: MediaStage) -> None:
    track = await through.track(await through.account(), LONG, is_served=False)
    through.host.put(LONG, claimed_length=-1)
    response = await through.http.get(through.path(track), headers={"Range": "bytes=5-9"})
    assert (response.status_code, response.content) == (206, LONG[5:10])


@pytest.mark.parametrize(
    ("behaviour", "status", "error"),
    [
        ({"status": 400, "error": "BlobNotFound"}, 404, "AudioUnavailable"),
        ({"status": 400, "error": "RepoDeactivated"}, 404, "AudioUnavailable"),
        ({"status": 503}, 502, "UpstreamFailure"),
    ],
)
async def test_a_host_that_gives_nothing_is_told_before_anything_is_sent(
    through: MediaStage, behaviour: dict[str, object], status: int, error: str
) -> None:
    track = await through.track(await through.account(), LONG, is_served=False)
    through.host.put(LONG, **behaviour)
    response = await through.http.get(through.path(track))
    assert (response.status_code, response.json()["error"]) == (status, error)
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["cache-control"] == "no-store"


async def test_what_is_no_audio_comes_through_to_nobody(through: MediaStage) -> None:
    content = b"<script>alert(1)</script>" * 1000
    track = await through.track(await through.account(), content)
    response = await through.http.get(through.path(track))
    assert (response.status_code, response.json()["error"]) == (404, "AudioUnavailable")


async def test_a_gated_track_is_heard_by_its_owner_alone_and_kept_by_no_cache(stage: MediaStage) -> None:
    artist, fan = await stage.account(), await stage.account()
    for account in (artist, fan):
        await stage.seeds.execute("UPDATE network.repos SET signing_key = NULL WHERE actor_id = $1", account.actor_id)
    track = await stage.track(artist, LONG, supportGate=GATE)
    for _ in range(2):
        path = stage.path(track)
        for headers in ({}, stage.signed_in(fan)):
            refused = await stage.http.get(path, headers=headers)
            assert (refused.status_code, refused.json()["error"]) == (402, "SupportRequired")
        owned = await stage.http.get(path, headers={**stage.signed_in(artist), "Range": "bytes=0-9"})
        assert (owned.status_code, owned.content) == (206, LONG[:10])
        assert owned.headers["cache-control"] == "private, no-store"
        assert (await stage.playback(track))["access"] == "supportRequired"
        assert "url" not in (await stage.xrpc.answer("feed.getTrack", uri=track.uri))["audio"]
        # Once through its host, once from here.
        await stage.work()
    assert await stage.state(CID) == "ready"


async def test_what_a_viewer_hears_is_kept_by_no_cache(stage: MediaStage) -> None:
    artist, fan = await stage.account(), await stage.account()
    track = await stage.track(artist, LONG)
    for _ in range(2):
        heard = await stage.http.get(stage.path(track), headers=stage.signed_in(fan))
        assert (heard.status_code, heard.headers["cache-control"]) == (200, "private, no-store")
        # Once through its host, once from here.
        await stage.work()


async def test_a_token_for_another_method_opens_nothing(stage: MediaStage) -> None:
    artist = await stage.account()
    track = await stage.track(artist, LONG, supportGate=GATE)
    response = await stage.http.get(stage.path(track), headers=stage.signed_in(artist, "feed.getTimeline"))
    assert (response.status_code, response.json()["error"]) == (401, "BadJwtLexiconMethod")
    refused = await stage.http.get(stage.path(track), headers={"Authorization": "Bearer nonsense"})
    assert refused.status_code == 401


async def test_the_same_bytes_in_a_track_for_everybody_are_for_everybody(stage: MediaStage) -> None:
    artist = await stage.account()
    gated = await stage.track(artist, LONG, supportGate=GATE)
    await stage.track(artist, LONG)
    assert (await stage.http.get(stage.path(gated))).status_code == 200
    assert (await stage.playback(gated))["access"] == "supportRequired"


async def test_an_object_that_is_lost_is_noticed_and_fetched_again(stage: MediaStage) -> None:
    track = await stage.track(await stage.account(), LONG)
    await stage.mirrored(track)
    await stage.storage.delete(BlobKey(CID))
    response = await stage.http.get(stage.path(track))
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    # Until it is back it comes through.
    assert (await stage.http.get(stage.path(track))).content == LONG
    await stage.work()
    assert (await stage.http.get(stage.path(track))).content == LONG
    assert stage.host.asked[CID] == 3


async def test_what_streamed_through_is_forgotten_after_a_while_and_within_a_bound(
    database: SharedDatabase, catalog: Catalog, folder_storage: FolderStorage, tmp_path: Path
) -> None:
    bound = 8_000_000
    async with media_stage(
        database,
        catalog,
        folder_storage,
        tmp_path,
        mirroring=Mirroring.NEVER,
        max_blob_bytes=4_000_000,
        spool_bytes=bound,
    ) as stage:
        artist = await stage.account()
        for number in range(6):
            content = sample("wav", seconds=10.0, hertz=100.0 + number)
            track = await stage.track(artist, content)
            assert (await stage.http.get(stage.path(track))).content == content
            assert sum(each.size_bytes for each in stage.media.arrivals.by_place.values()) <= bound
        assert 1 <= len(stage.media.arrivals.by_place) < 6
