"""The recording through a real WebSocket into the indexer: whole, and with one byte of one frame flipped."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
from plyr_command import json_of, run_plyr
from postgres import PostgresForTests

from atprotocol.car import read_car
from atprotocol.errors import RepoGone, StreamRefused
from atprotocol.frames import CommitFrame, parse_message, split
from atprotocol.net.addresses import Policy
from atprotocol.net.firehose import connect
from atprotocol.net.http import BoundedClient
from atprotocol.net.repos import get_latest_commit, get_repo_status
from atprotocol.syntax.did import DID
from plyr.demo import indexer_settings, play, settings_for
from plyr.indexing import index
from plyr.recorded_network import BadRecording, Recording, load_recording, save_recording, seq_of
from plyr.replay import SUBSCRIBE, replaying
from plyr.settings import Settings
from plyr.shipped import recording as recording_file
from plyr.status import Status

# Everything that is projected, by URI; what depends on when and by which way it came is left out.
TABLES = (
    "SELECT a.did, sync_status, cause, active, upstream_status, rev, data, handle, handle_verified_at IS NOT NULL, signing_key FROM network.repos JOIN network.actors a USING (actor_id)",
    "SELECT a.did, u.path, r.cid, r.raw, r.json::text, r.verdict, r.problems::text FROM network.records r JOIN network.uris u USING (uri_id) JOIN network.actors a USING (actor_id) WHERE r.cid IS NOT NULL",
    "SELECT uri, title, artist, album, duration_seconds, audio_cid, visibility, tags FROM network.tracks",
    "SELECT uri, name, purpose, description, item_count FROM network.lists",
    "SELECT a.did, u.path, position FROM network.list_items i JOIN network.uris u ON u.uri_id = i.subject_uri_id JOIN network.actors a USING (actor_id)",
    "SELECT a.did, u.path, text, timestamp_ms FROM network.comments JOIN network.uris u USING (uri_id) JOIN network.actors a ON a.actor_id = u.actor_id",
    "SELECT a.did, u.path, counted FROM network.likes JOIN network.uris u USING (uri_id) JOIN network.actors a ON a.actor_id = u.actor_id",
    "SELECT a.did, u.path, like_count, comment_count FROM network.track_counters JOIN network.uris u USING (uri_id) JOIN network.actors a USING (actor_id) WHERE like_count + comment_count > 0",
    "SELECT a.did, source, display_name, bio FROM network.profiles JOIN network.actors a USING (actor_id)",
    "SELECT collection, accepted, rejected FROM network.collection_totals",
)
Rows = list[list[tuple[object, ...]]]


async def _tables(url: str) -> Rows:
    connection = await asyncpg.connect(url)
    try:
        return [sorted((tuple(row) for row in await connection.fetch(query)), key=repr) for query in TABLES]
    finally:
        await connection.close()


async def _played(
    url: str, recording: Recording, afterwards: Callable[[], Awaitable[None]] | None = None
) -> list[Status]:
    """Index a recording to its end, do something beside the idle indexer, and return the status after each moment."""
    told: list[Status] = []
    async with replaying(recording) as replay:
        settings = settings_for(replay, Settings(), Path("media"))
        running = asyncio.create_task(index(url, settings, indexer_settings(replay), shows_progress=False))
        playing = asyncio.create_task(play(url, replay, lambda _, status: told.append(status)))
        try:
            await asyncio.wait([running, playing], return_when=asyncio.FIRST_COMPLETED)
            assert not running.done(), running.exception()
            await playing
            if afterwards is not None:
                await afterwards()
        finally:
            for task in (running, playing):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
    return told


@pytest.fixture(scope="module")
def recording() -> Recording:
    return load_recording(recording_file())


@pytest.fixture(scope="module")
async def whole(
    postgres: PostgresForTests, migrated: str, recording: Recording
) -> AsyncIterator[tuple[Rows, list[Status]]]:
    url = postgres.create_database(template=migrated)
    told = await _played(url, recording)
    yield await _tables(url), told
    postgres.drop_database(url)


def test_the_whole_recording_is_indexed_moment_by_moment(
    recording: Recording, whole: tuple[Rows, list[Status]]
) -> None:
    tables, told = whole
    assert len(told) == len(recording.moments) == 4
    last = told[-1]
    assert last["upstreams"][0]["seq"] == recording.moments[-1].seq
    assert last["repos"]["by_status"] == {"inactive:deactivated": 1, "synchronized": 6}
    assert last["records"]["fm.plyr.track"] == {"accepted": 11, "rejected": 1}
    assert last["records"]["fm.plyr.like"]["rejected"] == 1
    assert [status["records"]["fm.plyr.track"]["accepted"] for status in told] == [11, 11, 10, 11]
    assert {each["collection"] for each in last["rejected"]} == {"fm.plyr.track", "fm.plyr.like"}
    # The artist who moved is signed with another key now, under a handle of the new host.
    assert any(row[7] == "wren.pds2.test" and row[8] for row in tables[0])
    assert any(row[7] == "ines.music.test" and row[8] for row in tables[0])


def _flipped(recording: Recording, where: str) -> tuple[Recording, str]:
    """Return the recording with one byte of one commit flipped, and whose commit it was.

    It is the first of an account that is synchronized by then, and that commits once more in the same moment.
    """
    before, after = recording.moments[0].seq, recording.moments[1].seq
    commits: list[tuple[int, CommitFrame]] = []
    for place, frame in enumerate(recording.frames):
        kind, payload = split(frame)
        message = parse_message(kind, payload) if kind == "#commit" else None
        if (
            isinstance(message, CommitFrame)
            and before < message.seq <= after
            and message.did in recording.moments[0].repos
        ):
            commits.append((place, message))
    place, commit = next(
        (place, one) for place, one in commits if sum(other.did == one.did for _, other in commits) > 1
    )
    frame = bytearray(recording.frames[place])
    car = read_car(commit.blocks)
    signed = car.blocks[car.root]
    match where:
        case "record":
            cid = split(bytes(frame))[1]["ops"][0]["cid"]
            spot = frame.index(car.blocks[cid]) + len(car.blocks[cid]) // 2
        case "signature":
            spot = frame.index(signed) + signed.index(b"csig") + 20
        case _:
            spot = 0
    frame[spot] ^= 0x01
    frames = (*recording.frames[:place], bytes(frame), *recording.frames[place + 1 :])
    return replace(recording, frames=frames), commit.did


@pytest.mark.parametrize("where", ["record", "signature", "header"])
async def test_a_flipped_byte_desynchronizes_one_repo_and_the_repair_leaves_no_difference(
    where: str,
    recording: Recording,
    whole: tuple[Rows, list[Status]],
    database_url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    damaged, did = _flipped(recording, where)
    with caplog.at_level(logging.INFO, "plyr.indexer"):
        await _played(database_url, damaged)

    repairs = [
        line for line in caplog.messages if line.startswith("indexer.resync") and f"did={did}" in line and "cause=new" not in line
    ]  # fmt: skip
    assert any("outcome=synchronized" in line for line in repairs), caplog.messages
    assert await _tables(database_url) == whole[0]


async def test_a_resync_is_waited_for_and_a_rebuilt_projection_is_the_same(
    recording: Recording, whole: tuple[Rows, list[Status]], database_url: str
) -> None:
    statuses = recording.moments[-1].statuses
    (gone,) = [did for did, status in statuses.items() if not status["active"]]
    here = next(did for did, status in statuses.items() if status["active"])
    unknown = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"

    async def resync(did: str, *more: str) -> tuple[int, str]:
        arguments = ("resync", did, "--wait", "--json", *more)
        finished = await asyncio.to_thread(run_plyr, *arguments, PLYR_DATABASE_URL=database_url)
        return finished.returncode, json_of(finished)["sync_status"]

    async def meanwhile() -> None:
        outcomes = await asyncio.gather(resync(here), resync(gone), resync(unknown))
        assert outcomes == [(0, "synchronized"), (1, "inactive"), (1, "inactive")]

    await _played(database_url, recording, meanwhile)
    reindexed = await asyncio.to_thread(run_plyr, "reindex", "--json", PLYR_DATABASE_URL=database_url)
    assert json_of(reindexed)["records"] == sum(row[2] is not None for row in whole[0][1])
    assert (await _tables(database_url))[1:] == whole[0][1:]


async def test_the_replay_answers_as_a_network_does_at_each_moment(recording: Recording) -> None:
    async with replaying(recording) as replay:
        policy = Policy(frozenset({("localhost", replay.port)}))
        (pavel,) = [did for did, status in recording.moments[-1].statuses.items() if not status["active"]]
        async with BoundedClient(policy) as client:
            with pytest.raises(RepoGone):
                await get_repo_status(client, replay.url, DID(pavel))
            await replay.advance()
            await replay.advance()
            status = await get_repo_status(client, replay.url, DID(pavel))
            assert status.active
            assert (await get_latest_commit(client, replay.url, DID(pavel))).rev == status.rev
            await replay.advance()
            await replay.advance()
            assert (await get_repo_status(client, replay.url, DID(pavel))).status == "deactivated"
            with pytest.raises(RepoGone):
                await get_latest_commit(client, replay.url, DID(pavel))
            assert await replay.advance() is None
        url = f"{replay.url}/xrpc/{SUBSCRIBE}"
        async with connect(url, 80, policy) as stream:
            frames = aiter(stream)
            got = [await anext(frames) for _ in recording.frames[80:]]
        assert got == list(recording.frames[80:])
        async with connect(url, 10_000, policy) as stream:
            assert split(await anext(aiter(stream)))[1]["error"] == "FutureCursor"
        with pytest.raises(StreamRefused):
            async with connect(f"{replay.url}/xrpc/com.atproto.label.subscribeLabels", None, policy):
                pass


def test_a_recording_is_written_and_read_without_loss(recording: Recording, tmp_path: Path) -> None:
    path = tmp_path / "again.cbor.gz"
    save_recording(path, recording)
    assert load_recording(path) == recording
    assert [seq_of(frame) for frame in recording.frames] == list(range(1, len(recording.frames) + 1))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(BadRecording):
        load_recording(path)
