"""Pictures of tracks, lists and accounts: verified, drawn in our sizes, without what the original told of its maker."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from audio_samples import sample
from blob_host import cid_text
from media_stage import GUARD_SECONDS, MediaStage, media_stage
from picture_samples import SECRET, picture, png_bomb
from PIL import Image
from running_appview import SharedDatabase

from appview.media.folder import FolderStorage
from appview.media.keys import BlobKey, VariantKey
from appview.media.picture_endpoint import accepted_type
from appview.media.settings import Mirroring
from atprotocol.lexicon.catalog import Catalog

WEBP, JPEG = "image/webp", "image/jpeg"


@pytest.fixture(params=[Mirroring.ON_PLAY, Mirroring.NEVER])
async def stage(
    request: pytest.FixtureRequest,
    database: SharedDatabase,
    catalog: Catalog,
    folder_storage: FolderStorage,
    tmp_path: Path,
) -> AsyncIterator[MediaStage]:
    async with media_stage(database, catalog, folder_storage, tmp_path, mirroring=request.param) as made:
        yield made


def seen(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def drawn_from(folder: Path) -> list[Path]:
    """Return the copies of originals from which pictures are drawn just now."""
    return list(folder.rglob("original"))


@pytest.mark.parametrize(
    ("preset", "size"), [("thumb", (96, 96)), ("card", (320, 320)), ("cover", (1000, 500)), ("avatar", (256, 256))]
)
async def test_a_picture_comes_in_every_size_as_webp_or_jpeg(
    stage: MediaStage, preset: str, size: tuple[int, int]
) -> None:
    artist = await stage.account()
    original = picture("jpeg", 1600, 800)
    track = await stage.seeds.track(artist, image=stage.blob(original, JPEG))
    path = f"/img/{preset}/{artist.did}/{track.record['image']['ref']['$link']}"
    for accept, kind in ((f"image/avif,{WEBP},*/*", WEBP), ("*/*", JPEG), ("image/png", JPEG)):
        for _ in range(2):
            response = await stage.http.get(path, headers={"Accept": accept})
            assert (response.status_code, response.headers["content-type"]) == (200, kind)
            image = seen(response.content)
            assert (image.size, image.format) == (size, kind.removeprefix("image/").upper())
            assert not image.getexif()
            assert response.headers["vary"] == "Accept, Authorization"
            assert response.headers["x-content-type-options"] == "nosniff"
            assert response.headers["access-control-allow-origin"] == "*"
            assert response.headers["cache-control"] == "public, max-age=3600"
            again = await stage.http.get(path, headers={"Accept": accept, "If-None-Match": response.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
            head = await stage.http.head(path, headers={"Accept": accept})
            assert (head.content, head.headers["content-length"]) == (b"", str(len(response.content)))


async def test_a_part_of_a_picture_is_a_part_of_it(stage: MediaStage) -> None:
    artist = await stage.account()
    track = await stage.seeds.track(artist, image=stage.blob(picture("png", 300, 300), "image/png"))
    path = f"/img/card/{artist.did}/{track.record['image']['ref']['$link']}"
    whole = (await stage.http.get(path)).content
    part = await stage.http.get(path, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole[10:20])
    beyond = await stage.http.get(path, headers={"Range": f"bytes={len(whole)}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(whole)}")


async def test_views_say_where_pictures_are(stage: MediaStage) -> None:
    artist = await stage.account()
    face, sleeve, cover = (stage.blob(picture("png", 300, 300 + number), "image/png") for number in range(3))
    await stage.seeds.profile(artist, avatarBlob=face)
    track = await stage.seeds.track(artist, image=cover)
    album = await stage.seeds.track_list(artist, [track], image=sleeve, name="Album", listType="album")
    view = await stage.xrpc.answer("feed.getTrack", uri=track.uri)
    listed = await stage.xrpc.answer("library.getList", uri=album.uri)
    for url in (view["imageUrl"], view["author"]["avatar"], listed["list"]["imageUrl"]):
        response = await stage.http.get(url.removeprefix("https://appview.example.com"))
        assert response.status_code == 200, url


async def test_it_is_turned_the_right_way_up_and_tells_nothing_of_its_maker(stage: MediaStage) -> None:
    artist = await stage.account()
    original = picture("jpeg", 400, 200, exif_orientation=6, gps=True)
    track = await stage.seeds.track(artist, image=stage.blob(original, JPEG))
    response = await stage.http.get(f"/img/cover/{artist.did}/{track.record['image']['ref']['$link']}")
    image = seen(response.content)
    assert image.size == (400, 200)
    assert image.getpixel((20, 20)) == pytest.approx((255, 0, 0), abs=12)
    assert SECRET.encode() in original
    assert SECRET.encode() not in response.content
    assert not image.getexif()


async def test_many_who_look_at_once_have_it_drawn_once(stage: MediaStage) -> None:
    artist = await stage.account()
    blob = stage.blob(picture("png", 500, 500), "image/png")
    await stage.seeds.track(artist, image=blob)
    path = f"/img/card/{artist.did}/{blob['ref']['$link']}"
    answers = await asyncio.gather(*(stage.http.get(path) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    if stage.media.settings.mirroring is not Mirroring.NEVER:
        assert stage.host.asked[blob["ref"]["$link"]] == 1
        assert len([key async for key, _ in stage.storage.keys(VariantKey)]) == 1
    else:
        assert [key async for key, _ in stage.storage.keys(BlobKey)] == []


async def test_what_is_no_picture_of_anything_shown_is_missing(stage: MediaStage) -> None:
    artist, hidden = await stage.account(), await stage.account()
    blob = stage.blob(picture("png", 50, 50), "image/png")
    cid = blob["ref"]["$link"]
    audio = stage.blob(b"audio")
    await stage.seeds.track(artist, audioBlob=audio)
    track = await stage.seeds.track(hidden, image=blob)
    await stage.seeds.take_down(track.uri)
    answers = {
        (response.status_code, response.content)
        for response in [
            await stage.http.get(path)
            for path in (
                f"/img/cover/{hidden.did}/{cid}",
                f"/img/cover/{artist.did}/{cid}",
                f"/img/cover/{artist.did}/{audio['ref']['$link']}",
                f"/img/nonsense/{artist.did}/{cid}",
                f"/img/cover/nobody/{cid}",
                f"/img/cover/{artist.did}/nonsense",
            )
        ]
    }
    assert answers == {(404, b'{"error":"ImageNotFound","message":"There is no such picture here"}')}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        png_bomb(),
        picture("png", 400, 400)[:200],
        b"\x89PNG\r\n\x1a\n",
    ],
)
async def test_a_hostile_picture_is_refused_and_kept_by_nobody(stage: MediaStage, content: bytes) -> None:
    artist = await stage.account()
    blob = stage.blob(content, "image/png")
    await stage.seeds.track(artist, image=blob)
    for _ in range(2):
        response = await stage.http.get(f"/img/cover/{artist.did}/{blob['ref']['$link']}")
        assert (response.status_code, response.json()["error"]) == (404, "ImageUnavailable")
    assert [key async for key, _ in stage.storage.keys(VariantKey)] == []
    assert [key async for key, _ in stage.storage.keys(BlobKey)] == []


@pytest.mark.parametrize(
    ("behaviour", "status"),
    [({"status": 500}, 502), ({"status": 400, "error": "BlobNotFound"}, 404), ({"claimed_length": 10**9}, 404)],
)
async def test_a_host_without_the_picture_is_told_as_such(
    stage: MediaStage, behaviour: dict[str, Any], status: int
) -> None:
    artist = await stage.account()
    content = picture("png", 60, 60)
    await stage.seeds.track(artist, image=stage.blob(content, "image/png", is_served=False))
    stage.host.put(content, **behaviour)
    response = await stage.http.get(f"/img/cover/{artist.did}/{cid_text(content)}")
    assert response.status_code == status
    assert response.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("behaviour", "status", "seconds"),
    [({"status": 503, "headers": {"Retry-After": "700"}}, 502, 701), ({"status": 404}, 404, 601)],
)
async def test_a_host_that_gave_nothing_is_not_asked_again_by_everybody_who_looks(
    stage: MediaStage, behaviour: dict[str, Any], status: int, seconds: float
) -> None:
    if stage.media.settings.mirroring is Mirroring.NEVER:
        pytest.skip("where nothing is kept, nothing is known of what a host said")
    artist = await stage.account()
    content = picture("png", 60, 60)
    await stage.seeds.track(artist, image=stage.blob(content, "image/png", is_served=False))
    stage.host.put(content, **behaviour)
    path = f"/img/cover/{artist.did}/{cid_text(content)}"
    for _ in range(30):
        assert (await stage.http.get(path)).status_code == status
    assert stage.host.asked[cid_text(content)] == 1
    stage.host.put(content)
    stage.clock.move(seconds)
    assert (await stage.http.get(path)).status_code == 200


async def test_a_size_that_is_drawn_while_the_picture_is_let_go_of_is_not_kept(
    stage: MediaStage, tmp_path: Path
) -> None:
    if stage.media.settings.mirroring is Mirroring.NEVER:
        pytest.skip("nothing is kept")
    artist = await stage.account()
    content = picture("png", 1000, 1000)
    track = await stage.seeds.track(artist, image=stage.blob(content, "image/png"))
    await stage.want(cid_text(content))
    await stage.work()
    drawing = asyncio.create_task(stage.http.get(f"/img/cover/{artist.did}/{cid_text(content)}"))
    async with asyncio.timeout(GUARD_SECONDS):
        while not drawn_from(tmp_path):
            await asyncio.sleep(0.01)
    await stage.seeds.take_down(track.uri)
    await stage.sweeper.sweep_takedowns(stage.clock.now)
    await stage.work()
    assert (await drawing).status_code == 404
    assert await stage.pool.fetchval("SELECT count(*) FROM plyr.blob_variants") == 0
    assert [key async for key, _ in stage.storage.keys(VariantKey)] == []


async def test_who_looks_at_a_picture_has_no_audio_transcoded(stage: MediaStage) -> None:
    if stage.media.settings.mirroring is Mirroring.NEVER:
        pytest.skip("nothing is kept")
    artist = await stage.account()
    music = sample("mp3", seconds=0.5)
    await stage.track(artist, music, image=stage.blob(music, "image/png"))
    assert (await stage.http.get(f"/img/cover/{artist.did}/{cid_text(music)}")).status_code == 404
    assert [key async for key, _ in stage.storage.keys(VariantKey)] == []
    assert await stage.jobs() == [(cid_text(music), 0)]
    await stage.work()
    assert len([key async for key, _ in stage.storage.keys(VariantKey)]) == 1


async def test_other_bytes_are_no_picture(stage: MediaStage) -> None:
    artist = await stage.account()
    content = picture("png", 70, 70)
    await stage.seeds.track(artist, image=stage.blob(content, "image/png", is_served=False))
    stage.host.put(picture("png", 71, 71), cid_text(content))
    assert (await stage.http.get(f"/img/cover/{artist.did}/{cid_text(content)}")).status_code == 404


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", JPEG),
        ("*/*", JPEG),
        ("image/*", JPEG),
        ("image/webp", WEBP),
        ("IMAGE/WEBP", WEBP),
        ("image/avif,image/webp;q=0.8,*/*;q=0.5", WEBP),
        ("image/webp;q=0", JPEG),
        ("image/webp; q=0.0", JPEG),
        ("image/webp;q=0.01", WEBP),
    ],
)
def test_webp_is_for_whoever_names_it(accept: str, expected: str) -> None:
    assert accepted_type(accept) == expected
