"""An artist's audio from the reference PDS to a listener's ears: heard, sought, kept, taken away and given back."""

import asyncio
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest
from account import Account
from audio_samples import MEDIA_TYPES, sample
from audio_stage import CREATED_AT, GUARD_SECONDS, LIKE, TRACK, AudioStage, Published, audio_stage, decoded, until
from chromium import chromium
from listening_page import listening_page, page_server
from picture_samples import picture
from PIL import Image
from playwright.async_api import Browser, Page
from postgres import PostgresForTests

pytestmark = pytest.mark.xdist_group("local-network")
SECONDS = 6.0
FORMATS = ("flac", "mp3", "wav")
CODECS = {"flac": "flac", "mp3": "mp3float", "wav": "pcm_s16le"}
VARIANT = "?variant=aac-160"


@pytest.fixture(scope="module")
async def stage(postgres: PostgresForTests, migrated: str) -> AsyncIterator[AudioStage]:
    async with audio_stage(postgres, migrated) as stage:
        yield stage


@pytest.fixture(scope="module")
async def artist(stage: AudioStage) -> Account:
    return await stage.net.create_account("artist.pds1.test")


@pytest.fixture(scope="module")
async def tracks(stage: AudioStage, artist: Account) -> dict[str, Published]:
    """Give a track of each format."""
    return {each: await publish(stage, artist, f"A tone in {each}", each) for each in FORMATS}


@pytest.fixture(scope="module")
async def cover_url(stage: AudioStage, artist: Account) -> str:
    """Give where the cover of a track is seen."""
    image = await artist.upload_blob(picture("PNG", 1200, 900), "image/png")
    track = await publish(stage, artist, "With a cover", "mp3", 330.0, image=image)
    url: str = (await stage.mirroring.xrpc.answer("feed.getTrack", uri=track.uri))["imageUrl"]
    return url


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
async def page_url() -> AsyncIterator[str]:
    async with page_server() as url:
        yield url


@pytest.fixture
async def page(browser: Browser, page_url: str) -> AsyncIterator[Page]:
    async with listening_page(browser, page_url) as page:
        yield page


async def publish(
    stage: AudioStage, account: Account, title: str, kind: str, hertz: float = 440.0, **more: Any
) -> Published:
    return await stage.publish(account, title, sample(kind, SECONDS, hertz), MEDIA_TYPES[kind], kind, **more)


@pytest.mark.parametrize("kind", FORMATS)
async def test_the_first_listener_hears_a_track_that_nobody_keeps(
    stage: AudioStage, tracks: dict[str, Published], kind: str
) -> None:
    track = tracks[kind]
    playback = await stage.streaming.xrpc.answer("feed.getPlayback", uri=track.uri)
    (source,) = playback["sources"]
    assert (playback["access"], source["origin"], source["integrity"]) == ("granted", "pds", "unverified")
    await is_heard_in_full_and_in_parts(stage, source["url"], track.content, MEDIA_TYPES[kind])
    assert not [path for path in stage.streaming.media_folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("kind", FORMATS)
async def test_a_track_is_kept_verified_and_heard_in_full_and_in_parts(
    stage: AudioStage, tracks: dict[str, Published], kind: str
) -> None:
    track = tracks[kind]
    playback = await stage.mirrored(track)
    original, variant = playback["sources"]
    assert (playback["access"], original["cid"], original["sizeBytes"]) == ("granted", track.cid, len(track.content))
    assert [source["integrity"] for source in playback["sources"]] == ["verified", "verified"]
    assert playback["audio"]["durationMs"] == pytest.approx(SECONDS * 1000, abs=60)
    await is_heard_in_full_and_in_parts(stage, original["url"], track.content, MEDIA_TYPES[kind])
    assert decoded(track.content) == (CODECS[kind], pytest.approx(SECONDS, abs=0.1))

    assert variant["url"].endswith(VARIANT)
    stream = (await stage.heard(stage.mirroring, variant["url"])).content
    assert decoded(stream) == ("aac", pytest.approx(SECONDS, abs=0.1))
    await is_heard_in_full_and_in_parts(stage, variant["url"], stream, "audio/mp4")


async def is_heard_in_full_and_in_parts(stage: AudioStage, url: str, content: bytes, media_type: str) -> None:
    whole = await stage.heard(stage.mirroring, url)
    assert (whole.status_code, whole.headers["Content-Type"]) == (200, media_type)
    assert (whole.headers["Accept-Ranges"], whole.headers["Content-Length"]) == ("bytes", str(len(content)))
    assert whole.content == content
    size = len(content)
    middle = size // 2
    for asked, start, end in (
        ("0-1", 0, 2),
        ("0-", 0, size),
        (f"{middle}-{middle + 999}", middle, middle + 1000),
        (f"{size - 10}-{size + 10}", size - 10, size),
        ("-500", size - 500, size),
    ):
        part = await stage.heard(stage.mirroring, url, Range=f"bytes={asked}", If_Range=whole.headers["ETag"])
        assert (part.status_code, part.headers["Content-Range"]) == (206, f"bytes {start}-{end - 1}/{size}")
        assert part.content == content[start:end]
    step = size // 7 + 1
    pieces = [
        (await stage.heard(stage.mirroring, url, Range=f"bytes={start}-{start + step - 1}")).content
        for start in range(0, size, step)
    ]
    assert len(pieces) == 7
    assert decoded(b"".join(pieces))[1] == pytest.approx(SECONDS, abs=0.1)
    assert (await stage.heard(stage.mirroring, url, Range=f"bytes={size}-")).status_code == 416


@pytest.mark.parametrize(
    ("where", "kind", "variant"),
    [
        *(("mirroring", kind, "") for kind in FORMATS),
        ("mirroring", "wav", VARIANT),
        *(("streaming", kind, "") for kind in FORMATS),
    ],
)
async def test_a_page_of_another_origin_plays_and_seeks_in_a_browser(
    stage: AudioStage, tracks: dict[str, Published], page: Page, where: str, kind: str, variant: str
) -> None:
    track = tracks[kind]
    if where == "mirroring":
        await stage.mirrored(track)
    plyr = stage.mirroring if where == "mirroring" else stage.streaming
    url = f"http://localhost:{plyr.port}{track.path}{variant}"
    heard = await page.evaluate("url => listen(url)", url)
    assert heard["error"] is None
    assert heard["duration"] == pytest.approx(SECONDS, abs=0.2)
    assert heard["soughtTo"] == pytest.approx(heard["duration"] - 1.5, abs=0.1)
    assert heard["playedTo"] >= heard["soughtTo"] + 0.5
    assert heard["backAt"] == pytest.approx(0.5, abs=0.1)
    assert heard["loudest"] == pytest.approx(0.5, abs=0.1)

    content = track.content if not variant else (await stage.heard(plyr, url)).content
    size = len(content)
    for asked, start, end in (("100-149", 100, 150), ("-20", size - 20, size)):
        part = await page.evaluate("([url, range]) => part(url, range)", [url, asked])
        assert (part["status"], bytes(part["bytes"])) == (206, content[start:end])
        assert part["headers"]["content-range"] == f"bytes {start}-{end - 1}/{size}"
        assert (part["headers"]["accept-ranges"], part["headers"]["content-length"]) == ("bytes", str(end - start))
        assert part["headers"]["etag"]
    assert await page.evaluate("url => decode(url)", url) == pytest.approx(SECONDS, abs=0.1)


@pytest.mark.parametrize("where", ["mirroring", "streaming"])
async def test_the_address_itself_plays_when_it_is_opened_in_a_browser(
    stage: AudioStage, tracks: dict[str, Published], page: Page, where: str
) -> None:
    plyr = stage.mirroring if where == "mirroring" else stage.streaming
    await page.goto(f"http://localhost:{plyr.port}{tracks['mp3'].path}")
    # The browser makes a page of it, which may not begin by itself, nor run a script: it is watched from outside.
    async with asyncio.timeout(GUARD_SECONDS):
        await page.evaluate("document.querySelector('video').play()")

    async def is_heard() -> bool:
        assert await page.evaluate("document.querySelector('video').error") is None
        return bool(await page.evaluate("document.querySelector('video').currentTime > 0.3"))

    await until(is_heard)


async def test_a_cover_is_answered_in_its_size_in_both_forms(
    stage: AudioStage, artist: Account, cover_url: str
) -> None:
    assert cover_url.startswith(f"http://localhost:{stage.mirroring.port}/img/cover/{artist.did}/")
    path = cover_url.removeprefix(f"http://localhost:{stage.mirroring.port}")
    for accept, name, media_type in (
        ("image/avif,image/webp,*/*;q=0.8", "WEBP", "image/webp"),
        ("image/png,*/*", "JPEG", "image/jpeg"),
    ):
        for plyr in (stage.mirroring, stage.streaming):
            answer = await stage.heard(plyr, path, Accept=accept)
            assert (answer.status_code, answer.headers["Content-Type"]) == (200, media_type), answer.text[:200]
            assert answer.headers["Vary"].startswith("Accept")
            with Image.open(io.BytesIO(answer.content)) as seen:
                assert (seen.format, seen.size) == (name, (1000, 750))


async def test_a_cover_is_seen_on_a_page_of_another_origin(cover_url: str, page: Page) -> None:
    assert await page.evaluate("url => see(url)", cover_url) == [1000, 750]


async def test_edits_and_a_storm_of_likes_change_nothing_of_the_sound(stage: AudioStage, artist: Account) -> None:
    track = await publish(stage, artist, "Draft", "flac", 370.0)
    await stage.mirrored(track)
    files, requests = stage.kept_files(track), await stage.net.blob_requests(track.cid)
    assert len(files) == 2
    written = track.written
    for number in range(5):
        record = track.record | {"title": f"Take {number}"}
        written = await artist.put_record(TRACK, written.record_key, record)
        await stage.plays(track)
    await stage.indexed(written)

    fan = await stage.net.create_account("fan.pds2.test")
    like = {"$type": LIKE, "subject": written.strong_ref, "createdAt": CREATED_AT}
    likes = [{"action": "create", "collection": LIKE, "value": like} for _ in range(120)]
    stormed = await fan.apply_writes(likes)
    last = stormed["results"][-1]["uri"]

    async def is_over() -> bool:
        await stage.plays(track, with_variant=False)
        return (await stage.record_status(stage.mirroring, last))["state"] == "indexed"

    await until(is_over)
    view = await stage.mirroring.xrpc.answer("feed.getTrack", uri=track.uri)
    assert (view["title"], view["likeCount"], view["cid"]) == ("Take 4", 1, written.cid)
    await stage.plays(track)
    assert stage.kept_files(track) == files
    # Once by the installation that keeps it.
    assert await stage.net.blob_requests(track.cid) == requests == 1


async def test_what_is_kept_is_heard_while_its_host_is_down(stage: AudioStage) -> None:
    account = await stage.net.create_account("away.pds2.test")
    track = await publish(stage, account, "On my own feet", "wav", 415.0)
    await stage.mirrored(track)
    await stage.net.stop_pds(account.pds)
    try:
        await stage.plays(track)
        playback = await stage.mirroring.xrpc.answer("feed.getPlayback", uri=track.uri)
        assert [source["integrity"] for source in playback["sources"]] == ["verified", "verified"]
        # It is the installation that keeps nothing that has to say so, and that may be asked again.
        assert (await stage.heard(stage.streaming, track.path)).status_code == 502
    finally:
        await stage.net.start_pds(account.pds)

    async def is_streamed_again() -> bool:
        return (await stage.heard(stage.streaming, track.path)).content == track.content

    await until(is_streamed_again)


async def test_a_deleted_track_is_heard_no_more(stage: AudioStage, artist: Account) -> None:
    track = await publish(stage, artist, "Regretted", "mp3", 466.0)
    await stage.mirrored(track)
    await artist.delete_record(TRACK, track.written.record_key)

    async def is_deleted() -> bool:
        return (await stage.record_status(stage.mirroring, track.uri))["state"] == "unknown"

    await until(is_deleted)
    for path in (track.path, track.path + VARIANT):
        assert await stage.status_of(path) == 404
    # The host has deleted the bytes too; once a record names them anew, they are heard without asking it for them.
    requests = await stage.net.blob_requests(track.cid)
    assert await artist.upload_blob(track.content, MEDIA_TYPES["mp3"]) == track.record["audioBlob"]
    again = await artist.create_record(TRACK, track.record)
    await stage.indexed(again)
    await stage.plays(track)
    assert await stage.net.blob_requests(track.cid) == requests


async def test_what_is_taken_down_is_heard_no_more_and_kept_no_longer_until_it_is_given_back(
    stage: AudioStage, artist: Account
) -> None:
    suspect = await stage.net.create_account("suspect.pds2.test")
    by_record = await publish(stage, artist, "Disputed", "mp3", 493.0)
    by_account = await publish(stage, suspect, "Suspicious", "flac", 523.0)
    hidden = {by_record.uri: by_record, suspect.did: by_account}
    for track in hidden.values():
        await stage.mirrored(track)
        assert len(stage.kept_files(track)) == 2
    for subject, track in hidden.items():
        code, output = await stage.mirroring.command("hide", subject, "--reason", "test")
        assert code == 0, output
        for path in (track.path, track.path + VARIANT):
            assert await stage.status_of(path) == 404

    async def are_gone() -> bool:
        return not any(stage.kept_files(track) for track in hidden.values())

    await until(are_gone)
    for subject, track in hidden.items():
        requests = await stage.net.blob_requests(track.cid)
        code, output = await stage.mirroring.command("unhide", subject)
        assert code == 0, output
        # The indexer is told of it too, in its own time.
        await until(lambda path=track.path: is_answered(stage, path))  # type: ignore[misc]
        await stage.plays(track, with_variant=False)
        assert await stage.net.blob_requests(track.cid) > requests
        # Having been heard, it is kept again.
        await stage.mirrored(track)
        await stage.plays(track)
        assert len(stage.kept_files(track)) == 2


async def is_answered(stage: AudioStage, path: str) -> bool:
    return await stage.status_of(path) == 200


async def test_a_deactivated_account_is_not_heard_until_it_is_back(stage: AudioStage) -> None:
    account = await stage.net.create_account("shy.pds2.test")
    track = await publish(stage, account, "Shy", "flac", 554.0)
    await stage.mirrored(track)
    requests = await stage.net.blob_requests(track.cid)
    await account.deactivate()

    async def is_silent() -> bool:
        return await stage.status_of(track.path) == 404

    await until(is_silent)
    assert await stage.status_of(track.path + VARIANT) == 404

    async def is_not_found() -> bool:
        # An answer is kept for a moment.
        answer = await stage.mirroring.xrpc.get("feed.getPlayback", {"uri": track.uri})
        return answer.status_code == 400 and answer.json()["error"] == "TrackNotFound"

    await until(is_not_found)
    assert len(stage.kept_files(track)) == 2
    await account.activate()
    await until(lambda: is_answered(stage, track.path))
    await stage.plays(track)
    assert await stage.net.blob_requests(track.cid) == requests


async def test_the_audio_of_an_account_that_moved_is_heard_from_its_new_host(stage: AudioStage) -> None:
    account = await stage.net.create_account("mover.pds1.test")
    old = account.pds
    track = await publish(stage, account, "Before the move", "mp3", 587.0)
    assert (await stage.heard(stage.streaming, track.path)).content == track.content
    await account.migrate_to(stage.net.pds[1])
    # Once it writes there, everybody has heard of its new key.
    after = await account.create_record(TRACK, track.record | {"title": "After the move"})
    await stage.indexed(after)
    requests = await stage.net.control("GET", f"/blobs/{old.name}")
    await stage.net.stop_pds(old)
    try:
        answer = await stage.heard(stage.streaming, track.path)
        assert (answer.status_code, answer.content == track.content) == (200, True)
        part = await stage.heard(stage.streaming, track.path, Range="bytes=1000-1999")
        assert (part.status_code, part.content) == (206, track.content[1000:2000])
    finally:
        await stage.net.start_pds(old)
    assert await stage.net.control("GET", f"/blobs/{old.name}") == requests


async def test_both_installations_end_in_order(stage: AudioStage) -> None:
    assert await asyncio.gather(stage.mirroring.stop(), stage.streaming.stop()) == [0, 0]
