"""Bytes go when nobody refers to them any longer, and never while somebody does, whatever comes and goes meanwhile."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from audio_samples import sample
from blob_host import cid_text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from media_stage import MediaStage, media_stage
from picture_samples import picture
from running_appview import SharedDatabase
from seeds import Written

from appview.media.folder import FolderStorage
from appview.media.keys import BlobKey, VariantKey
from appview.media.settings import Mirroring
from appview.media.sweeping import FEW, LEFTOVER_AGE
from appview.media.verifying import Verifier
from atprotocol.lexicon.catalog import Catalog

MUSIC = sample("mp3", seconds=0.5)
CID = cid_text(MUSIC)
GRACE = 1000.0


@pytest.fixture
async def stage(
    database: SharedDatabase, catalog: Catalog, folder_storage: FolderStorage, tmp_path: Path
) -> AsyncIterator[MediaStage]:
    async with media_stage(
        database, catalog, folder_storage, tmp_path, mirroring=Mirroring.ALWAYS, grace_seconds=GRACE
    ) as made:
        # Objects carry the time of the system, so the clock begins there.
        yield made


async def kept(stage: MediaStage) -> list[str]:
    """Return the CIDs and profiles of all that is kept."""
    found = [key.cid async for key, _ in stage.storage.keys(BlobKey) if isinstance(key, BlobKey)]
    found += [key.path async for key, _ in stage.storage.keys(VariantKey)]
    return sorted(found)


async def delete(stage: MediaStage, track: Written) -> None:
    await stage.seeds.delete(track)


async def sweep(stage: MediaStage, **arguments: bool) -> list[tuple[str, str]]:
    found = await stage.sweeper.sweep(stage.clock.now, **arguments)
    await stage.work()
    return [(each.cid, each.reason) for each in found.freed]


async def test_bytes_go_after_the_last_reference_and_the_time_of_grace(stage: MediaStage) -> None:
    artist = await stage.account()
    first, second = await stage.track(artist, MUSIC), await stage.track(await stage.account(), MUSIC)
    await stage.mirrored(first)
    everything = await kept(stage)
    assert len(everything) == 2
    await delete(stage, first)
    assert await sweep(stage) == []
    stage.clock.move(GRACE * 2)
    assert await sweep(stage) == []
    await delete(stage, second)
    assert await sweep(stage) == []
    stage.clock.move(GRACE - 1)
    assert await sweep(stage) == []
    assert await kept(stage) == everything
    stage.clock.move(1)
    assert await sweep(stage, is_dry=True) == [(CID, "unreferenced")]
    assert await kept(stage) == everything
    assert await sweep(stage) == [(CID, "unreferenced")]
    assert await kept(stage) == []
    assert await stage.state(CID) is None
    assert await stage.jobs() == []


async def test_who_comes_back_in_time_finds_the_bytes(stage: MediaStage) -> None:
    artist = await stage.account()
    await stage.mirrored(track := await stage.track(artist, MUSIC))
    await delete(stage, track)
    await sweep(stage)
    stage.clock.move(GRACE - 1)
    await stage.track(artist, MUSIC)
    await sweep(stage)
    stage.clock.move(GRACE * 3)
    assert await sweep(stage) == []
    assert stage.host.asked[CID] == 1


@pytest.mark.parametrize("how", ["uri", "did", "label", "host", "indexer"])
async def test_what_is_taken_down_goes_at_once_and_comes_back_when_that_is_taken_back(
    stage: MediaStage, how: str
) -> None:
    artist = await stage.account()
    track = await stage.track(artist, MUSIC)
    await stage.mirrored(track)
    seeds, undo = stage.seeds, "DELETE FROM plyr.takedowns"
    match how:
        case "uri":
            await seeds.take_down(track.uri)
        case "did":
            await seeds.take_down(artist.did)
        case "label":
            await seeds.label("did:plc:labeler", track.uri, "!takedown")
            undo = "UPDATE network.labels SET negated = true"
        case "host":
            await seeds.execute("UPDATE network.repos SET active = false, upstream_status = 'takendown'")
            undo = "UPDATE network.repos SET active = true, upstream_status = NULL"
        case "indexer":
            await seeds.execute("UPDATE network.repos SET takendown = true")
            undo = "UPDATE network.repos SET takendown = false"
    assert (await stage.http.get(stage.path(track))).status_code == 404
    assert [each.cid for each in await stage.sweeper.sweep_takedowns(stage.clock.now)] == [CID]
    await stage.work()
    assert await kept(stage) == []
    assert await stage.sweeper.sweep_takedowns(stage.clock.now) == []
    await seeds.execute(undo)
    assert (await stage.http.get(stage.path(track))).content == MUSIC
    await sweep(stage)
    assert len(await kept(stage)) == 2


async def test_a_takedown_of_one_account_leaves_the_bytes_to_another(stage: MediaStage) -> None:
    down, other = await stage.account(), await stage.account()
    await stage.mirrored(await stage.track(down, MUSIC))
    track = await stage.track(other, MUSIC)
    await stage.seeds.take_down(down.did)
    assert await stage.sweeper.sweep_takedowns(stage.clock.now) == []
    assert await sweep(stage) == []
    assert (await stage.http.get(stage.path(track))).content == MUSIC


async def test_an_account_that_is_only_away_keeps_its_bytes_and_nobody_hears_them(stage: MediaStage) -> None:
    artist = await stage.account()
    track = await stage.track(artist, MUSIC)
    await stage.mirrored(track)
    await stage.seeds.execute("UPDATE network.repos SET active = false, upstream_status = 'deactivated'")
    assert (await stage.http.get(stage.path(track))).status_code == 404
    stage.clock.move(GRACE * 5)
    assert await sweep(stage) == []
    await stage.seeds.execute("UPDATE network.repos SET active = true, upstream_status = NULL")
    assert (await stage.http.get(stage.path(track))).content == MUSIC
    assert stage.host.asked[CID] == 1


async def test_what_is_missing_is_wanted_again_where_all_is_mirrored(stage: MediaStage) -> None:
    track = await stage.track(await stage.account(), MUSIC)
    await sweep(stage)
    assert await stage.state(CID) == "ready"
    stage.host.put(MUSIC, status=400, error="BlobNotFound")
    await stage.storage.delete(BlobKey(CID))
    await stage.http.get(stage.path(track))
    await stage.work()
    assert await stage.state(CID) == "gone"
    stage.host.put(MUSIC)
    await sweep(stage)
    assert await stage.state(CID) == "gone"
    stage.clock.move(timedelta(days=8).total_seconds())
    await sweep(stage)
    assert await stage.state(CID) == "ready"


async def test_objects_and_uploads_that_nobody_knows_of_are_found(stage: MediaStage) -> None:
    await stage.track(await stage.account(), MUSIC)
    await sweep(stage)
    orphan = b"nobody's"
    for key in (BlobKey(cid_text(orphan)), VariantKey(cid_text(orphan), "aac-160")):
        async with stage.storage.staged() as staged:
            await staged.write(orphan)
            await staged.finish()
            await staged.publish(key, "audio/mpeg")
    stage.clock.move((LEFTOVER_AGE.total_seconds() + 3600) * 400)
    assert (cid_text(orphan), "unknown") in await sweep(stage)
    assert cid_text(orphan) not in str(await kept(stage))
    assert CID in await kept(stage)


async def test_an_index_that_is_being_rebuilt_frees_nothing(stage: MediaStage) -> None:
    await stage.mirrored(await stage.track(await stage.account(), MUSIC))
    everything = await kept(stage)
    for table in ("blob_references", "tracks", "records", "repos"):
        await stage.seeds.execute(f"DELETE FROM network.{table}")
    await sweep(stage)
    stage.clock.move(GRACE * 2)
    found = await stage.sweeper.sweep(stage.clock.now)
    await stage.work()
    assert found.refused is not None
    assert await kept(stage) == everything
    forced = await stage.sweeper.sweep(stage.clock.now, is_forced=True)
    await stage.work()
    assert (forced.refused, await kept(stage)) == (None, [])


@pytest.mark.parametrize("has_repos", [False, True])
async def test_a_database_that_does_not_know_a_storage_lets_go_of_nothing_in_it(
    stage: MediaStage, has_repos: bool
) -> None:
    if has_repos:
        await stage.account()
    number_of_objects = FEW + 1 if has_repos else 1
    for number in range(number_of_objects):
        content = str(number).encode()
        async with stage.storage.staged() as staged:
            await staged.write(content)
            await staged.finish()
            await staged.publish(BlobKey(cid_text(content)), "audio/mpeg")
    stage.clock.move((LEFTOVER_AGE.total_seconds() + 3600) * 400)
    found = await stage.sweeper.sweep(stage.clock.now)
    await stage.work()
    assert (found.refused is not None, found.freed) == (True, [])
    assert len(await kept(stage)) == number_of_objects


async def test_most_of_what_is_kept_does_not_go_at_once(stage: MediaStage) -> None:
    await stage.account()
    rows = [(cid_text(str(number).encode()),) for number in range(FEW + 1)]
    await stage.pool.executemany(
        "INSERT INTO plyr.blobs (cid, state, unreferenced_at) VALUES ($1, 'gone', '2020-01-01')", rows
    )
    assert (await stage.sweeper.sweep(stage.clock.now)).refused is not None


async def test_verifying_finds_what_is_missing_or_wrong_and_mends_it(stage: MediaStage, tmp_path: Path) -> None:
    tracks = [
        await stage.track(await stage.account(), sample("mp3", seconds=0.5, hertz=200.0 + number))
        for number in range(3)
    ]
    await stage.mirrored(*tracks)
    missing, wrong, right = tracks
    await stage.storage.delete(BlobKey(stage.cid(missing)))
    files = [each for each in (tmp_path / "media").rglob("*") if each.is_file()]
    [path] = [each for each in files if each.name == stage.cid(wrong)]
    [variant] = [each for each in files if stage.cid(right) in str(each) and "aac" in str(each)]
    content = path.read_bytes()
    # A disk that forgot a bit does not tell.
    for file in (path, variant):
        status = file.stat()
        file.write_bytes(bytes([file.read_bytes()[0] ^ 1]) + file.read_bytes()[1:])
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    said: list[tuple[int, int, int]] = []
    found = await Verifier(stage.pool, stage.storage).verify(stage.clock.now, lambda *each: said.append(each))
    assert sorted(key for key, _ in found.lost) == sorted(
        [f"blobs/{stage.cid(missing)}", f"blobs/{stage.cid(wrong)}", f"variants/{stage.cid(right)}/aac-160"]
    )
    assert found.objects == len(said) == 6
    await stage.work()
    for track in tracks:
        assert len((await stage.playback(track))["sources"]) == 2
    assert (await stage.http.get(stage.path(wrong))).content == content
    again = await Verifier(stage.pool, stage.storage).verify(stage.clock.now, lambda *_: None)
    assert again.lost == []


async def test_pictures_are_let_go_of_with_their_sizes(stage: MediaStage) -> None:
    cover = picture("png", 400, 400)
    cid = stage.host.put(cover)
    artist = await stage.account()
    track = await stage.track(artist, MUSIC, image=stage.blob(cover, "image/png"))
    for preset in ("thumb", "cover"):
        for accept in ("image/webp", "image/jpeg"):
            response = await stage.http.get(f"/img/{preset}/{artist.did}/{cid}", headers={"Accept": accept})
            assert response.status_code == 200
    assert len([each for each in await kept(stage) if cid in each]) == 5
    await delete(stage, track)
    await sweep(stage)
    stage.clock.move(GRACE)
    await sweep(stage)
    assert await kept(stage) == []


# What may happen, in any order and at once: records come and go, jobs are done, the sweeper looks.
actions = st.lists(
    st.tuples(st.sampled_from(["publish", "delete", "sweep", "work", "wait", "hide", "unhide"]), st.integers(0, 3)),
    min_size=5,
    max_size=30,
)


def test_whatever_comes_and_goes_nothing_that_is_referred_to_is_ever_missing(
    database: SharedDatabase, catalog: Catalog, tmp_path: Path
) -> None:
    """Adds, deletes, sweeps and jobs run concurrently; in the end what is referred to is there, and nothing else is."""
    loop = asyncio.get_event_loop_policy().get_event_loop()
    contents = [sample("mp3", seconds=0.3, hertz=300.0 + number) for number in range(4)]
    freed_in_all = 0

    async def tell(number: int, steps: list[tuple[str, int]]) -> None:
        nonlocal freed_in_all
        storage = FolderStorage(tmp_path / str(number))
        async with media_stage(
            database, catalog, storage, tmp_path, mirroring=Mirroring.ALWAYS, grace_seconds=10
        ) as stage:
            artist = await stage.account()
            for content in contents:
                stage.host.put(content)
            tracks: dict[int, Written] = {}
            background: list[asyncio.Task[object]] = []
            for action, which in steps:
                match action:
                    case "publish" if which not in tracks:
                        tracks[which] = await stage.track(artist, contents[which], is_served=False)
                        # As the indexer asks, in the same transaction.
                        await stage.want(cid_text(contents[which]))
                    case "delete" if which in tracks:
                        await delete(stage, tracks.pop(which))
                    case "hide" if which in tracks:
                        await stage.seeds.execute(
                            "INSERT INTO plyr.takedowns VALUES ($1, 'x') ON CONFLICT DO NOTHING", tracks[which].uri
                        )
                    case "unhide":
                        await stage.seeds.execute("DELETE FROM plyr.takedowns")
                        await stage.want(*(cid_text(contents[each]) for each in tracks))
                    case "sweep":
                        background.append(asyncio.create_task(stage.sweeper.sweep(stage.clock.now)))
                    case "work":
                        background.append(asyncio.create_task(stage.work()))
                    case "wait":
                        stage.clock.move(11)
                await consistent(stage)
            await asyncio.gather(*background)
            await stage.seeds.execute("DELETE FROM plyr.takedowns")
            for _ in range(3):
                stage.clock.move(11)
                await stage.sweeper.sweep(stage.clock.now, is_forced=True)
                await stage.work()
            freed_in_all += stage.worker.done["let-go"]
            there = {key.cid async for key, _ in storage.keys(BlobKey) if isinstance(key, BlobKey)}
            assert there == {cid_text(contents[which]) for which in tracks}
            for track in tracks.values():
                assert (await stage.http.get(stage.path(track))).status_code == 200

    async def consistent(stage: MediaStage) -> None:
        """What is called ready is there in the version that is named, at every moment that the database can tell of."""
        for row in await stage.pool.fetch("SELECT cid, etag FROM plyr.blobs WHERE state = 'ready'"):
            stored = await stage.storage.stat(BlobKey(row["cid"]))
            still = await stage.pool.fetchval("SELECT etag FROM plyr.blobs WHERE cid = $1", row["cid"])
            assert still != row["etag"] or (stored is not None and stored.etag == row["etag"])

    count = 0

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(actions)
    def histories(steps: list[tuple[str, int]]) -> None:
        nonlocal count
        count += 1
        loop.run_until_complete(tell(count, steps))

    histories()
    assert freed_in_all > 0, "nothing was ever let go: the test proves nothing about it"
