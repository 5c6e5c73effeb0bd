"""References to blobs come and go with the records that name them, and jobs are asked for in the same transaction."""

from collections.abc import AsyncIterator

import pytest
import world
from harness import OTHER, TRACK, Harness, Limits, harness, playlist, publish, synchronized, track

from indexer.media_rows import MediaWishes
from indexer.record_rows import purge
from indexer.reindex import reindex

ORIGIN = "https://audio.example.com"
WISHES = MediaWishes(mirrors=True, origins=frozenset({ORIGIN}))
AUDIO = world.blob(b"music", "audio/mpeg")
COVER = world.blob(b"cover", "image/png")


@pytest.fixture
async def indexer(database_url: str) -> AsyncIterator[Harness]:
    async with harness(database_url, world.World(51), Limits(media=WISHES)) as made:
        yield made


@pytest.fixture
async def modest(database_url: str) -> AsyncIterator[Harness]:
    async with harness(database_url, world.World(52)) as made:
        yield made


async def _references(indexer: Harness) -> list[tuple[str, str, str]]:
    return [
        (row[0], row[1], row[2])
        for row in await indexer.rows(
            """SELECT u.path, b.role, b.cid FROM network.blob_references b JOIN network.uris u USING (uri_id, actor_id)
               ORDER BY 1, 2"""
        )
    ]


async def _jobs(indexer: Harness) -> list[tuple[str, str]]:
    return [(row[0], row[1]) for row in await indexer.rows("SELECT kind, subject FROM plyr.media_jobs ORDER BY 1, 2")]


def _text(blob: world.Record) -> str:
    return world.cid_text(blob["ref"].value[1:])


async def test_references_come_and_go_with_their_records(indexer: Harness) -> None:
    account = await synchronized(indexer, ("create", TRACK, track(audioBlob=AUDIO, image=COVER)))
    audio, cover = _text(AUDIO), _text(COVER)
    assert await _references(indexer) == [(TRACK, "audio", audio), (TRACK, "image", cover)]

    indexer.feed(publish(indexer, account, ("update", TRACK, track(audioBlob=AUDIO))))
    await indexer.settle()
    assert await _references(indexer) == [(TRACK, "audio", audio)]

    indexer.feed(publish(indexer, account, ("delete", TRACK, None)))
    await indexer.settle()
    assert await _references(indexer) == []


async def test_a_list_and_a_profile_name_their_pictures(indexer: Harness) -> None:
    profile = {"$type": "fm.plyr.actor.profile", "createdAt": "2026-01-01T00:00:00Z", "avatarBlob": COVER}
    bluesky = {"$type": "app.bsky.actor.profile", "avatar": world.blob(b"other face", "image/png")}
    await synchronized(
        indexer,
        ("create", "fm.plyr.actor.profile/self", profile),
        ("create", "app.bsky.actor.profile/self", bluesky),
        ("create", "fm.plyr.list/3mbd3542kzc24", playlist([], image=COVER)),
    )
    assert [(path, role) for path, role, _ in await _references(indexer)] == [
        ("app.bsky.actor.profile/self", "image"),
        ("fm.plyr.actor.profile/self", "image"),
        ("fm.plyr.list/3mbd3542kzc24", "image"),
    ]
    # What somebody shows elsewhere is fetched when somebody looks at it here.
    assert await _jobs(indexer) == [("blob", _text(COVER))]


async def test_one_blob_is_one_job_however_many_tracks_name_it(indexer: Harness) -> None:
    await synchronized(
        indexer,
        ("create", TRACK, track(audioBlob=AUDIO)),
        ("create", OTHER, track("Again", audioBlob=AUDIO)),
    )
    assert await _jobs(indexer) == [("blob", _text(AUDIO))]


async def test_whoever_works_on_a_job_learns_that_it_is_wanted_again(indexer: Harness) -> None:
    account = await synchronized(indexer, ("create", TRACK, track(audioBlob=AUDIO)))
    before = await indexer.value("SELECT wanted FROM plyr.media_jobs")
    indexer.feed(publish(indexer, account, ("update", TRACK, track("Edited", audioBlob=AUDIO))))
    await indexer.settle()
    assert await indexer.value("SELECT wanted FROM plyr.media_jobs") == before + 1


async def test_nothing_is_fetched_unless_the_operator_mirrors(modest: Harness) -> None:
    await synchronized(modest, ("create", TRACK, track(audioBlob=AUDIO, audioUrl=f"{ORIGIN}/a.mp3")))
    assert await _jobs(modest) == []
    assert len(await _references(modest)) == 1


async def test_a_url_is_looked_at_only_at_an_allowed_origin_and_without_a_blob(indexer: Harness) -> None:
    await synchronized(
        indexer,
        ("create", TRACK, track(audioUrl=f"{ORIGIN}/a.mp3")),
        ("create", OTHER, track(audioUrl="https://elsewhere.example.com/a.mp3")),
        ("create", "fm.plyr.track/3mbd3542kzc24", track(audioUrl=f"{ORIGIN}/b.mp3", audioBlob=AUDIO)),
    )
    assert await _jobs(indexer) == [("blob", _text(AUDIO)), ("url", f"{ORIGIN}/a.mp3")]


async def test_a_rejected_record_asks_for_nothing(indexer: Harness) -> None:
    await synchronized(indexer, ("create", TRACK, track(artist=None, audioBlob=AUDIO)))
    assert (await _jobs(indexer), await _references(indexer)) == ([], [])


async def test_an_account_that_is_purged_leaves_no_reference(indexer: Harness) -> None:
    account = await synchronized(indexer, ("create", TRACK, track(audioBlob=AUDIO, image=COVER)))
    assert len(await _references(indexer)) == 2
    async with indexer.pool.acquire() as connection, connection.transaction():
        await purge(connection, (await indexer.repo(account))["actor_id"])
    assert await _references(indexer) == []


async def test_a_reindex_gives_the_references_that_the_stream_had_built(indexer: Harness) -> None:
    await synchronized(indexer, ("create", TRACK, track(audioBlob=AUDIO, image=COVER)))
    before = await _references(indexer)
    await indexer.pool.execute("DELETE FROM network.blob_references")
    await reindex(indexer.pool, indexer.reader, None, lambda *_: None)
    assert await _references(indexer) == before
