"""Where listeners are sent: to the storage with a signature, to the CDN, to a URL that a record names; and what a CDN forgets."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiohttp
import httpx
import pytest
from aiohttp import web
from audio_samples import sample
from blob_host import cid_text
from media_stage import MediaStage, media_stage
from running_appview import SharedDatabase
from s3_server import S3Server

from appview.media.keys import BlobKey
from appview.media.purging import CdnPurge
from appview.media.s3 import S3Settings, S3Storage
from appview.media.settings import Mirroring, Purging
from appview.media.storage import Storage
from atprotocol.errors import NetworkError
from atprotocol.lexicon.catalog import Catalog

pytestmark = pytest.mark.xdist_group("s3")
MUSIC = sample("flac", seconds=1.0)
CID = cid_text(MUSIC)
CDN = "https://cdn.example.com/media"


@pytest.fixture
async def bucket(
    database: SharedDatabase, catalog: Catalog, s3_storage: Storage, tmp_path: Path
) -> AsyncIterator[MediaStage]:
    async with media_stage(database, catalog, s3_storage, tmp_path, can_sign=True) as made:
        yield made


@pytest.fixture
async def public(
    database: SharedDatabase, catalog: Catalog, s3_server: S3Server, s3_bucket: str, tmp_path: Path
) -> AsyncIterator[MediaStage]:
    settings = S3Settings(
        s3_server.endpoint_url, s3_bucket, s3_server.access_key_id, s3_server.secret_access_key, public_base_url=CDN
    )
    async with (
        S3Storage(settings, tmp_path / "spool") as storage,
        media_stage(database, catalog, storage, tmp_path, can_sign=True, mirroring=Mirroring.ALWAYS) as made,
    ):
        yield made


async def test_a_signed_url_plays_with_ranges_and_is_stored_by_nobody(bucket: MediaStage) -> None:
    track = await bucket.track(await bucket.account(), MUSIC, title="Ä/b", artist="C")
    await bucket.mirrored(track)
    for _ in range(2):
        response = await bucket.http.get(bucket.path(track))
        assert (response.status_code, response.headers["cache-control"]) == (307, "no-store")
        assert response.headers["access-control-allow-origin"] == "*"
        async with httpx.AsyncClient(trust_env=False) as client:
            whole = await client.get(response.headers["location"])
            part = await client.get(response.headers["location"], headers={"Range": "bytes=0-1"})
        assert (whole.status_code, whole.content, whole.headers["content-type"]) == (200, MUSIC, "audio/flac")
        assert (part.status_code, part.content) == (206, MUSIC[:2])
        assert "inline" in whole.headers["content-disposition"]
    head = await bucket.http.head(bucket.path(track))
    assert (head.status_code, head.headers["content-length"], head.headers["etag"]) == (
        200,
        str(len(MUSIC)),
        f'"{CID}"',
    )


async def test_the_owner_of_a_gated_track_gets_a_url_that_expires(bucket: MediaStage) -> None:
    artist = await bucket.account()
    track = await bucket.track(artist, MUSIC, supportGate={"type": "any"})
    await bucket.mirrored(track)
    response = await bucket.xrpc.get("feed.getPlayback", {"uri": track.uri}, headers=bucket.signed_in(artist))
    sources = response.json()["sources"]
    assert all(each["expiresAt"] == "2026-11-22T11:00:00.000Z" for each in sources)
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(sources[0]["url"])).content == MUSIC
    assert (await bucket.playback(track))["sources"] == []


async def test_what_is_for_everybody_is_at_the_cdn_for_ever(public: MediaStage) -> None:
    track = await public.track(await public.account(), MUSIC)
    await public.mirrored(track)
    for verb in ("GET", "HEAD"):
        response = await public.http.request(verb, public.path(track))
        assert (response.status_code, response.headers["location"]) == (307, f"{CDN}/blobs/{CID}")
        assert response.headers["cache-control"] == "no-store"
    variant = await public.http.get(f"{public.path(track)}?variant=aac-160")
    assert variant.headers["location"] == f"{CDN}/variants/{CID}/aac-160"
    # The object itself says that it never changes.
    signed = await public.storage.presigned_url(BlobKey(CID), 60, mime_type="audio/flac", file_name=None)
    async with httpx.AsyncClient(trust_env=False) as client:
        stored = await client.get(str(signed))
    assert stored.headers["cache-control"] == "public, max-age=31536000, immutable"


async def test_a_takedown_takes_the_object_and_has_the_cdn_forget_it(public: MediaStage) -> None:
    track = await public.track(await public.account(), MUSIC)
    await public.mirrored(track)
    await public.seeds.take_down(track.uri)
    await public.sweeper.sweep_takedowns(public.clock.now)
    await public.work()
    assert await public.storage.stat(BlobKey(CID)) is None
    assert {f"{CDN}/blobs/{CID}", f"{CDN}/variants/{CID}/aac-160"} <= set(public.purged)


async def test_what_is_gated_is_in_no_bucket_that_everybody_reads(public: MediaStage) -> None:
    artist = await public.account()
    track = await public.track(artist, MUSIC, supportGate={"type": "any"})
    await public.mirrored(track)
    assert await public.storage.stat(BlobKey(CID)) is None
    response = await public.http.get(public.path(track), headers=public.signed_in(artist))
    assert (response.status_code, response.content) == (200, MUSIC)
    # One that becomes gated is taken out.
    other = await public.track(artist, MUSIC)
    await public.mirrored(other)
    assert await public.storage.stat(BlobKey(CID)) is not None
    await public.seeds.delete(other)
    await public.mirrored(track)
    assert await public.storage.stat(BlobKey(CID)) is None


async def test_what_comes_to_be_gated_is_taken_out_within_seconds_whoever_listens(public: MediaStage) -> None:
    artist = await public.account()
    track = await public.track(artist, MUSIC)
    await public.mirrored(track)
    # That a stranger calls it a picture makes it none.
    await public.seeds.track(await public.account(), audioBlob=None, image=public.blob(MUSIC, "image/png"))
    await public.seeds.execute("UPDATE network.tracks SET support_gate = 'any' WHERE uri_id = $1", track.uri_id)
    assert [each.reason for each in await public.sweeper.sweep_takedowns(public.clock.now)] == ["gated"]
    await public.work()
    assert await public.storage.stat(BlobKey(CID)) is None
    assert f"{CDN}/blobs/{CID}" in public.purged
    assert await public.sweeper.sweep_takedowns(public.clock.now) == []
    # Its owner is not promised a variant that is kept nowhere.
    headers = public.signed_in(artist)
    response = await public.xrpc.get("feed.getPlayback", {"uri": track.uri, "format": "audio/mp4"}, headers=headers)
    assert (response.json()["access"], await public.jobs()) == ("unavailable", [])


async def test_the_bytes_of_a_gated_track_are_in_no_public_bucket_because_a_stranger_names_them(
    public: MediaStage,
) -> None:
    artist, stranger = await public.account(), await public.account()
    await public.track(artist, MUSIC, supportGate={"type": "any"}, is_served=False)
    public.host.put(MUSIC, f"{artist.did}/{CID}")
    stolen = await public.track(stranger, MUSIC, is_served=False)
    await public.mirrored(stolen)
    assert await public.storage.stat(BlobKey(CID)) is None
    assert (await public.http.get(public.path(stolen))).status_code == 404


async def test_a_cdn_that_does_not_forget_is_asked_until_it_does(
    database: SharedDatabase, catalog: Catalog, s3_server: S3Server, s3_bucket: str, tmp_path: Path
) -> None:
    answers = [False, False, True]

    async def purge(_: Sequence[str]) -> None:
        if not answers.pop(0):
            raise NetworkError("the CDN did not purge")

    settings = S3Settings(
        s3_server.endpoint_url, s3_bucket, s3_server.access_key_id, s3_server.secret_access_key, public_base_url=CDN
    )
    async with (
        S3Storage(settings, tmp_path / "spool") as storage,
        media_stage(database, catalog, storage, tmp_path, purge=purge) as stage,
    ):
        track = await stage.track(await stage.account(), MUSIC)
        await stage.mirrored(track)
        await stage.seeds.take_down(track.uri)
        await stage.sweeper.sweep_takedowns(stage.clock.now)
        for _ in range(3):
            await stage.work()
            stage.clock.move(3600)
        assert (answers, await stage.jobs()) == ([], [])


async def test_an_order_to_the_cdn_names_urls_and_keeps_its_token_to_the_header() -> None:
    orders: list[tuple[str, object]] = []

    async def answer(request: web.Request) -> web.Response:
        orders.append((request.headers["Authorization"], await request.json()))
        return web.json_response({"success": True}, status=200 if len(orders) < 3 else 403)

    app = web.Application()
    app.router.add_post("/purge", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    [socket] = site._server.sockets  # type: ignore[union-attr]
    purging = Purging(f"http://127.0.0.1:{socket.getsockname()[1]}/purge", "secret-token")
    try:
        async with aiohttp.ClientSession() as session:
            purge = CdnPurge(session, purging)
            await purge([f"https://cdn.example.com/{number}" for number in range(40)])
            with pytest.raises(NetworkError) as refused:
                await purge(["https://cdn.example.com/x"])
    finally:
        await runner.cleanup()
    assert [(header, len(order["files"])) for header, order in orders[:2]] == [  # type: ignore[index]
        ("Bearer secret-token", 30),
        ("Bearer secret-token", 10),
    ]
    assert "secret-token" not in f"{refused.value!r}{purging!r}"


@pytest.mark.parametrize(
    ("behaviour", "access", "state"),
    [
        ({}, "granted", "external"),
        ({"status": 404}, "unavailable", "gone"),
        ({"status": 403}, "unavailable", "gone"),
    ],
)
async def test_audio_at_a_url_is_looked_at_and_marked_unverified(
    bucket: MediaStage, behaviour: dict[str, object], access: str, state: str
) -> None:
    url = bucket.host.put_file("a.flac", MUSIC, **behaviour)
    track = await bucket.seeds.track(await bucket.account(), audioBlob=None, audioUrl=url)
    assert (await bucket.playback(track))["access"] == "processing"
    await bucket.work()
    answer = await bucket.playback(track)
    assert (answer["access"], answer["audio"]["state"]) == (access, state)
    status = await bucket.xrpc.answer("index.getRecordStatus", uri=track.uri)
    assert status["audio"] == answer["audio"]
    if access == "granted":
        [source] = answer["sources"]
        assert source == {
            "url": url, "mimeType": "audio/flac", "sizeBytes": len(MUSIC), "kind": "original", "origin": "external",
            "integrity": "unverified",
        }  # fmt: skip


async def test_a_url_that_dies_is_noticed_when_it_is_looked_at_again(bucket: MediaStage) -> None:
    url = bucket.host.put_file("a.flac", MUSIC)
    track = await bucket.seeds.track(await bucket.account(), audioBlob=None, audioUrl=url)
    await bucket.playback(track)
    await bucket.work()
    bucket.host.put_file("a.flac", b"<html>moved</html>")
    bucket.clock.move(bucket.media.settings.recheck_seconds + 1)
    await bucket.sweeper.sweep(bucket.clock.now)
    await bucket.work()
    answer = await bucket.playback(track)
    assert (answer["access"], answer["audio"]["state"]) == ("unavailable", "unsupported")
    await bucket.seeds.delete(track)
    await bucket.sweeper.sweep(bucket.clock.now)
    assert await bucket.pool.fetchval("SELECT count(*) FROM plyr.external_media") == 0


async def test_a_url_at_another_origin_is_asked_by_nobody(bucket: MediaStage) -> None:
    track = await bucket.seeds.track(
        await bucket.account(), audioBlob=None, audioUrl=f"http://127.0.0.1:{bucket.host.port}/files/a.flac"
    )
    answer = await bucket.playback(track)
    assert (answer["access"], answer["sources"], await bucket.jobs()) == ("unavailable", [], [])
    leading = bucket.host.put_file("b.flac", b"", status=302, headers={"Location": "http://localhost:9/x"})
    moved = await bucket.seeds.track(await bucket.account(), audioBlob=None, audioUrl=leading)
    await bucket.playback(moved)
    for _ in range(8):
        await bucket.work()
        bucket.clock.move(7 * 3600)
    assert (await bucket.playback(moved))["access"] == "unavailable"


async def test_a_did_that_names_anothers_object_by_url_gains_nothing(bucket: MediaStage) -> None:
    artist, thief = await bucket.account(), await bucket.account()
    track = await bucket.track(artist, MUSIC)
    await bucket.mirrored(track)
    url = f"{bucket.url}{bucket.path(track)}"
    claim = await bucket.seeds.track(thief, audioBlob=None, audioUrl=url)
    assert (await bucket.playback(claim))["access"] == "unavailable"
    assert (await bucket.http.get(f"/audio/{thief.did}/{CID}")).status_code == 404
    await bucket.seeds.delete(track)
    assert await bucket.pool.fetchval("SELECT count(*) FROM network.blob_references") == 0
