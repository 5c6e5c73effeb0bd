"""Blobs are fetched from their hosts, verified before they are seen, and end in a state with a reason."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from audio_samples import CODECS, MEDIA_TYPES, sample
from blob_host import cid_text
from media_stage import MediaStage, media_stage
from picture_samples import picture
from running_appview import SharedDatabase

from appview.media import blob_rows, jobs
from appview.media.folder import FolderStorage
from appview.media.keys import BlobKey, VariantKey
from appview.media.plan import Kept
from appview.media.settings import Mirroring
from appview.media.worker import MAX_ATTEMPTS, retry_seconds
from atprotocol.lexicon.catalog import Catalog

MUSIC = sample("mp3", seconds=1.0, tags={"title": "A tune"})
CID = cid_text(MUSIC)


@pytest.fixture
async def stage(
    database: SharedDatabase, catalog: Catalog, folder_storage: FolderStorage, tmp_path: Path
) -> AsyncIterator[MediaStage]:
    async with media_stage(database, catalog, folder_storage, tmp_path) as made:
        yield made


async def objects(stage: MediaStage) -> list[str]:
    """Return the paths of everything that is kept."""
    return sorted(
        [key.path async for key, _ in stage.storage.keys(BlobKey)]
        + [key.path async for key, _ in stage.storage.keys(VariantKey)]
    )


@pytest.mark.parametrize("format_name", ["mp3", "flac", "alac", "aac", "adts", "wav", "aiff", "opus", "vorbis"])
async def test_every_format_is_mirrored_with_one_variant(stage: MediaStage, format_name: str) -> None:
    content = sample(format_name, seconds=1.0)
    track = await stage.track(await stage.account(), content)
    await stage.mirrored(track)
    answer = await stage.playback(track)
    assert answer["access"] == "granted"
    assert [(each["kind"], each["mimeType"], each["origin"], each["integrity"]) for each in answer["sources"]] == [
        ("original", MEDIA_TYPES[format_name], "r2", "verified"),
        ("transcode", "audio/mp4", "r2", "verified"),
    ]
    details = answer["audio"]
    assert (details["state"], details["codec"]) == ("ready", CODECS[format_name])
    assert abs(details["durationMs"] - 1000) < 60
    assert 0 < len(details["peaks"]) <= 1000
    assert -4000 < details["loudness"]["integratedCentiLufs"] < 0
    for source in answer["sources"]:
        response = await stage.http.get(source["url"].removeprefix("https://appview.example.com"))
        assert response.status_code == 200
        assert cid_text(response.content) == source["cid"] == response.headers["etag"].strip('"')
        assert len(response.content) == source["sizeBytes"]
    assert await stage.jobs() == []


async def test_a_client_chooses_by_format_and_bit_rate(stage: MediaStage) -> None:
    track = await stage.track(await stage.account(), sample("wav", seconds=1.0))
    await stage.mirrored(track)

    async def kinds(**parameters: object) -> list[str]:
        return [each["kind"] for each in (await stage.playback(track, **parameters))["sources"]]

    assert await kinds() == ["original", "transcode"]
    assert await kinds(format="audio/mp4") == ["transcode"]
    assert await kinds(format="audio/wav") == ["original"]
    assert await kinds(maxBitrateKbps=320) == ["transcode"]
    assert await kinds(maxBitrateKbps=5000) == ["original", "transcode"]
    nothing = await stage.playback(track, format="audio/flac")
    assert (nothing["access"], nothing["sources"]) == ("unavailable", [])


async def test_who_asks_for_a_variant_that_is_not_made_has_it_made(stage: MediaStage) -> None:
    track = await stage.track(await stage.account(), MUSIC)
    assert (await stage.playback(track, format="audio/mp4"))["access"] == "processing"
    await stage.work()
    assert (await stage.playback(track, format="audio/mp4"))["access"] == "granted"


async def test_the_first_play_has_it_mirrored_and_is_heard_at_once(stage: MediaStage) -> None:
    track = await stage.track(await stage.account(), MUSIC)
    source = (await stage.playback(track))["sources"][0]
    assert (source["origin"], source["integrity"]) == ("pds", "unverified")
    assert await stage.jobs() == []
    assert (await stage.http.get(stage.path(track))).content == MUSIC
    assert await stage.jobs() == [(CID, 0)]
    await stage.work()
    del stage.host.blobs[CID]
    assert (await stage.http.get(stage.path(track))).content == MUSIC
    assert (await stage.playback(track))["sources"][0]["origin"] == "r2"


async def test_one_fetch_serves_every_track_that_names_the_blob(stage: MediaStage) -> None:
    artist = await stage.account()
    tracks = [await stage.track(artist, MUSIC) for _ in range(5)]
    for _ in range(3):
        await stage.mirrored(*tracks)
    assert stage.host.asked[CID] == 1


@pytest.mark.parametrize(
    ("behaviour", "state", "reason"),
    [
        ({"status": 400, "error": "BlobNotFound"}, "gone", "BlobNotFound"),
        ({"status": 400, "error": "RepoTakendown"}, "gone", "RepoTakendown"),
        ({"status": 404}, "gone", "404"),
        ({"claimed_length": 200 * 1024 * 1024}, "too-large", "long"),
    ],
)
async def test_a_blob_that_is_not_to_be_had_ends_with_a_reason(
    stage: MediaStage, behaviour: dict[str, object], state: str, reason: str
) -> None:
    track = await stage.track(await stage.account(), MUSIC, is_served=False)
    stage.host.put(MUSIC, **behaviour)
    await stage.mirrored(track)
    assert await stage.state(CID) == state
    answer = await stage.playback(track)
    assert (answer["access"], answer["sources"]) == ("unavailable", [])
    assert answer["audio"]["state"] == state
    assert reason in answer["audio"]["reason"]
    status = await stage.xrpc.answer("index.getRecordStatus", uri=track.uri)
    assert status["audio"] == answer["audio"]
    response = await stage.http.get(stage.path(track))
    assert (response.status_code, response.json()["error"]) == (404, "AudioUnavailable")
    assert await objects(stage) == []


async def test_other_bytes_than_the_record_names_are_never_kept(stage: MediaStage) -> None:
    track = await stage.track(await stage.account(), MUSIC, is_served=False)
    stage.host.put(sample("mp3", seconds=1.0, hertz=1000.0), CID)
    await stage.mirrored(track)
    assert await stage.state(CID) == "mismatch"
    assert await objects(stage) == []


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"RIFF\0\0\0\0WAVE", b"ID3" + b"\0" * 5000, sample("flac", seconds=0.5)[:60]]
)
async def test_what_is_no_audio_is_not_kept(stage: MediaStage, content: bytes) -> None:
    track = await stage.track(await stage.account(), content)
    await stage.mirrored(track)
    assert await stage.state(cid_text(content)) == "unsupported"
    assert await objects(stage) == []
    assert await stage.jobs() == []


async def test_what_one_host_claims_of_a_blob_does_not_spoil_it_for_another(stage: MediaStage) -> None:
    stranger, artist = await stage.account(), await stage.account()
    await stage.track(stranger, MUSIC, is_served=False)
    stage.host.put(MUSIC, f"{stranger.did}/{CID}", claimed_length=10**9)
    track = await stage.track(artist, MUSIC)
    await stage.mirrored(track)
    assert await stage.state(CID) == "ready"
    assert (await stage.http.get(stage.path(track))).content == MUSIC


async def test_of_two_bad_answers_that_counts_which_may_change(stage: MediaStage) -> None:
    stranger, artist = await stage.account(), await stage.account()
    await stage.track(stranger, MUSIC, is_served=False)
    stage.host.put(MUSIC, f"{stranger.did}/{CID}", claimed_length=10**9)
    await stage.mirrored(await stage.track(artist, MUSIC, is_served=False))
    assert await stage.state(CID) == "gone"


async def test_audio_that_a_stranger_names_as_a_picture_still_plays(stage: MediaStage) -> None:
    track = await stage.track(await stage.account(), MUSIC)
    stranger = await stage.account()
    await stage.seeds.track(stranger, image=stage.blob(MUSIC, "image/png"))
    await stage.mirrored(track)
    for _ in range(2):
        assert (await stage.http.get(f"/img/cover/{stranger.did}/{CID}")).json()["error"] == "ImageUnavailable"
        assert await stage.state(CID) == "ready"
        assert (await stage.http.get(stage.path(track))).content == MUSIC


async def test_a_picture_that_a_stranger_names_as_audio_is_still_seen_and_is_no_audio(stage: MediaStage) -> None:
    artist, stranger = await stage.account(), await stage.account()
    cover = picture("png", 100, 100)
    await stage.seeds.track(artist, image=stage.blob(cover, "image/png"))
    track = await stage.track(stranger, cover)
    await stage.mirrored(track)
    assert (await stage.http.get(f"/img/cover/{artist.did}/{cid_text(cover)}")).status_code == 200
    response = await stage.http.get(stage.path(track))
    assert (response.status_code, response.json()["error"]) == (404, "AudioUnavailable")
    answer = await stage.playback(track)
    assert (answer["access"], answer["sources"], answer["audio"]["state"]) == ("unavailable", [], "unsupported")


@pytest.mark.parametrize("message", ["a\\u0000b", "\\ud800", "\\u001b[2J", "x" * 100_000])
async def test_whatever_a_host_says_is_written_down(stage: MediaStage, message: str) -> None:
    track = await stage.track(await stage.account(), MUSIC, is_served=False)
    stage.host.put(MUSIC, status=400, error="BlobNotFound", message=message)
    await stage.mirrored(track)
    assert await stage.state(CID) == "gone"
    reason = (await stage.playback(track))["audio"]["reason"]
    assert reason.isprintable()
    assert len(reason) <= 500


async def test_a_stranger_who_names_the_bytes_of_a_gated_track_hears_nothing(stage: MediaStage) -> None:
    artist, stranger = await stage.account(), await stage.seeds.account(pds="http://localhost:9")
    gated = await stage.track(artist, MUSIC, supportGate={"type": "any"})
    await stage.mirrored(gated)
    assert await stage.state(CID) == "ready"
    stolen = await stage.track(stranger, MUSIC, is_served=False)
    for path in (stage.path(stolen), f"{stage.path(stolen)}?variant=aac-160"):
        assert (await stage.http.get(path)).status_code in (404, 502)
    assert [each["origin"] for each in (await stage.playback(stolen))["sources"]] == ["pds"]
    own = await stage.http.get(stage.path(gated), headers=stage.signed_in(artist))
    assert own.content == MUSIC


async def test_another_account_that_names_the_same_bytes_may_have_them(stage: MediaStage) -> None:
    silent = await stage.seeds.account(pds="http://localhost:9")
    track = await stage.track(silent, MUSIC)
    await stage.track(await stage.account(), MUSIC)
    await stage.mirrored(track)
    assert await stage.state(CID) == "ready"
    assert (await stage.http.get(stage.path(track))).content == MUSIC


async def test_a_moved_account_is_asked_at_its_new_host(stage: MediaStage) -> None:
    account = await stage.seeds.account(pds="http://localhost:9")
    track = await stage.track(account, MUSIC)
    await stage.mirrored(track)
    assert await stage.state(CID) == "pending"
    await stage.seeds.execute("UPDATE network.repos SET pds = $1 WHERE actor_id = $2", stage.host.url, account.actor_id)
    stage.clock.move(3600)
    await stage.work()
    assert await stage.state(CID) == "ready"


@pytest.mark.parametrize(
    "behaviour",
    [{"status": 500}, {"status": 503, "headers": {"Retry-After": "7"}}, {"status": 429}, {"cut_after": 5000}],
)
async def test_passing_trouble_is_tried_again_with_longer_waits(
    stage: MediaStage, behaviour: dict[str, object]
) -> None:
    track = await stage.track(await stage.account(), MUSIC, is_served=False)
    stage.host.put(MUSIC, **behaviour)
    await stage.mirrored(track)
    for tries in range(1, 4):
        assert await stage.jobs() == [(CID, tries)]
        assert await stage.state(CID) == "pending"
        assert await objects(stage) == []
        wait = 7 if "headers" in behaviour else retry_seconds(tries, 0.5)
        stage.clock.move(wait - 1)
        await stage.work()
        assert await stage.jobs() == [(CID, tries)]
        stage.clock.move(2)
        await stage.work()
    stage.host.put(MUSIC)
    stage.clock.move(retry_seconds(10, 1.0))
    await stage.work()
    assert (await stage.state(CID), await stage.jobs()) == ("ready", [])


async def test_a_host_that_asks_to_be_left_alone_is_asked_for_nothing_until_then(stage: MediaStage) -> None:
    artist = await stage.account()
    contents = [sample("wav", seconds=0.3, hertz=100.0 + number) for number in range(4)]
    for content in contents:
        await stage.track(artist, content, is_served=False)
        stage.host.put(content, status=429, headers={"Retry-After": "50"})
    await stage.want(*map(cid_text, contents))
    await stage.work()
    assert stage.host.asked.total() == 1
    for content in contents:
        stage.host.put(content)
    stage.clock.move(49)
    await stage.work()
    assert stage.host.asked.total() == 1
    stage.clock.move(2)
    await stage.work()
    assert {await stage.state(cid_text(content)) for content in contents} == {"ready"}


async def test_a_host_that_rests_with_all_that_has_been_due_long_stops_no_other(stage: MediaStage) -> None:
    resting = await stage.seeds.account(pds="http://resting.example.com")
    cids = [cid_text(str(number).encode()) for number in range(501)]
    await stage.seeds.execute(
        """INSERT INTO network.blob_references (uri_id, role, actor_id, cid)
           SELECT 1000000 + number, 'audio', $1, cid FROM unnest($2::text[]) WITH ORDINALITY AS given (cid, number)""",
        resting.actor_id,
        cids,
    )
    await stage.want(*cids)
    stage.clock.move(1)
    await stage.track(await stage.account(), MUSIC)
    await stage.want(CID)
    async with stage.pool.acquire() as connection:
        found = [
            await jobs.take(connection, stage.clock.now, ["http://resting.example.com"], place / 10)
            for place in range(11)
        ]
    assert [job.subject for job in found if job is not None] == [CID]


async def test_a_host_that_never_answers_is_given_up(stage: MediaStage) -> None:
    track = await stage.track(await stage.account(), MUSIC, is_served=False)
    stage.host.put(MUSIC, status=500)
    await stage.want(CID)
    for _ in range(MAX_ATTEMPTS):
        await stage.work()
        stage.clock.move(retry_seconds(MAX_ATTEMPTS, 1.0))
    assert (await stage.state(CID), await stage.jobs()) == ("gone", [])
    # Whoever plays it has it tried again.
    stage.host.put(MUSIC)
    assert (await stage.http.get(stage.path(track))).status_code == 404
    await stage.work()
    assert (await stage.http.get(stage.path(track))).content == MUSIC


async def test_a_wish_that_comes_during_the_work_is_not_lost(stage: MediaStage) -> None:
    account = await stage.account()
    stage.host.put(MUSIC, status=400, error="BlobNotFound")
    track = await stage.track(account, MUSIC, is_served=False)
    await stage.want(CID)
    async with stage.pool.acquire() as connection:
        job = await jobs.take(connection, stage.clock.now, [])
        assert job is not None
    # The host has it from now on, and the record is written once more: as the indexer asks.
    await stage.seeds.execute("UPDATE plyr.media_jobs SET wanted = wanted + 1")
    await stage.worker.do(job)
    assert await stage.state(CID) == "gone"
    stage.host.put(MUSIC)
    await stage.work()
    assert (await stage.http.get(stage.path(track))).content == MUSIC


async def test_a_wish_that_comes_during_a_try_that_fails_has_it_tried_at_once(stage: MediaStage) -> None:
    await stage.track(await stage.account(), MUSIC)
    await stage.want(CID)
    for is_wanted in (False, True):
        async with stage.pool.acquire() as connection:
            job = await jobs.take(connection, stage.clock.now, [])
            assert job is not None
            if is_wanted:
                await stage.want(CID)
            await jobs.put_off(connection, job, stage.clock.now + timedelta(hours=6), "no host answers")
            assert (await jobs.take(connection, stage.clock.now, []) is not None) is is_wanted
        stage.clock.move(timedelta(hours=7).total_seconds())


async def test_a_job_whose_worker_is_gone_is_taken_by_another(stage: MediaStage) -> None:
    await stage.track(await stage.account(), MUSIC)
    await stage.want(CID)

    async with stage.pool.acquire() as connection:
        lost = await jobs.take(connection, stage.clock.now, [])
        assert lost is not None
        assert await jobs.take(connection, stage.clock.now, []) is None
    stage.clock.move(jobs.LEASE.total_seconds() + 1)
    await stage.work()
    assert await stage.state(CID) == "ready"
    # Whoever was taken for dead finds that the job is another's, and writes nothing.
    await stage.seeds.execute("DELETE FROM plyr.blobs")
    await stage.worker.do(lost)
    assert await stage.state(CID) is None


async def test_who_finds_an_object_lost_waits_for_whoever_works_on_it(stage: MediaStage) -> None:
    await stage.mirrored(await stage.track(await stage.account(), MUSIC))
    await stage.want(CID)
    async with stage.pool.acquire() as working, stage.pool.acquire() as listening:
        job = await jobs.take(working, stage.clock.now, [])
        sound = await blob_rows.load_sound(listening, CID)
        assert job is not None
        assert sound is not None
        assert sound.original is not None

        async def lose(kept: Kept) -> None:
            async with listening.transaction():
                await blob_rows.lose(listening, kept, "it is gone")
                await jobs.want(listening, "blob", [CID], stage.clock.now)

        async with working.transaction():
            await jobs.hold(working, job)
            losing = asyncio.create_task(lose(sound.original))
            await asyncio.sleep(0.2)
            await blob_rows.save_unrendered(working, CID, "for no reason")
        await losing
    assert await stage.state(CID) == "pending"


async def test_nothing_is_kept_where_the_operator_keeps_nothing(
    database: SharedDatabase, catalog: Catalog, folder_storage: FolderStorage, tmp_path: Path
) -> None:
    async with media_stage(database, catalog, folder_storage, tmp_path, mirroring=Mirroring.NEVER) as stage:
        track = await stage.track(await stage.account(), MUSIC)
        assert (await stage.http.get(stage.path(track))).content == MUSIC
        await stage.mirrored(track)
        assert await objects(stage) == []
        assert (await stage.http.get(stage.path(track), headers={"Range": "bytes=-10"})).content == MUSIC[-10:]


async def test_of_one_host_only_so_many_files_are_fetched_at_once(stage: MediaStage) -> None:

    artist = await stage.account()
    contents = [sample("wav", seconds=0.3, hertz=100.0 + number) for number in range(8)]
    for content in contents:
        await stage.track(artist, content)
    await stage.want(*map(cid_text, contents))
    await asyncio.gather(*(stage.work() for _ in range(6)))
    await stage.work()
    assert stage.host.most_at_once <= 2
    assert {await stage.state(cid_text(content)) for content in contents} == {"ready"}


def test_waits_grow_to_a_bound_and_are_spread() -> None:
    waits = [retry_seconds(attempts, 0.5) for attempts in range(1, 40)]
    assert waits == sorted(waits)
    assert waits[0] == 15
    assert waits[-1] == timedelta(hours=6).total_seconds()
    assert retry_seconds(3, 0.0) < retry_seconds(3, 1.0)
