"""feed.recordPlay: what counts, what does not, and what a repeated call is answered."""

import asyncio
from typing import Any

from running_appview import NAMESPACE, Appview, StartAppview, within
from seeds import NOW, Account, Written
from xrpc_client import XrpcClient

from appview.xrpc.rate_limit import MethodLimits, Window

NAME = "feed.recordPlay"


async def play(
    appview: Appview, track: Written, key: str, viewer: Account | None = None, client: XrpcClient | None = None
) -> dict[str, Any]:
    headers = {} if viewer is None else appview.signed_in(viewer, NAME)
    body = {"uri": track.uri, "idempotencyKey": f"key-{key:0>8}"}
    response = await (client or appview.client).post(NAME, body, headers=headers)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def test_a_track_counts_once_in_the_time_that_it_lasts(appview: Appview) -> None:
    track = await appview.seeds.track(await appview.seeds.account(), duration=200)
    viewer, other = await appview.seeds.account(), await appview.seeds.account()
    assert await play(appview, track, "1", viewer) == {"counted": True, "playCount": 1}
    assert await play(appview, track, "2", viewer) == {"counted": False, "playCount": 1}
    assert await play(appview, track, "1", other) == {"counted": True, "playCount": 2}
    appview.clock.move(199)
    assert await play(appview, track, "3", viewer) == {"counted": False, "playCount": 2}
    appview.clock.move(1)
    assert await play(appview, track, "4", viewer) == {"counted": True, "playCount": 3}
    assert (await appview.client.answer("feed.getTrack", uri=track.uri))["playCount"] == 3
    assert (await appview.client.answer("actor.getProfile", actor=track.account.did))["playsCount"] == 3
    rows = await appview.seeds.connection.fetch("SELECT subject, listener FROM plyr.plays ORDER BY play_id")
    assert [tuple(row) for row in rows] == [(track.uri, who.did) for who in (viewer, other, viewer)]


async def test_the_same_call_again_is_answered_the_same_and_counts_nothing(appview: Appview) -> None:
    track = await appview.seeds.track(await appview.seeds.account(), duration=30)
    viewer = await appview.seeds.account()
    assert (await play(appview, track, "1", viewer))["counted"] is True
    appview.clock.move(3600)
    for _ in range(3):
        assert await play(appview, track, "1", viewer) == {"counted": True, "playCount": 1}


async def test_any_text_is_a_key(appview: Appview) -> None:
    track = await appview.seeds.track(await appview.seeds.account())
    for _ in range(2):
        assert await play(appview, track, "\0🎵") == {"counted": True, "playCount": 1}


async def test_calls_at_once_count_once(appview: Appview) -> None:
    track = await appview.seeds.track(await appview.seeds.account())
    viewer = await appview.seeds.account()
    answers = await asyncio.gather(*(play(appview, track, str(number), viewer) for number in range(8)))
    assert sorted(answer["counted"] for answer in answers) == [False] * 7 + [True]
    assert await appview.seeds.connection.fetchval("SELECT play_count FROM plyr.play_counters") == 1
    assert await appview.seeds.connection.fetchval("SELECT count(*) FROM plyr.plays") == 1


async def test_whoever_is_not_signed_in_is_told_from_others_by_the_address_which_is_kept_nowhere(
    appview: Appview,
) -> None:
    track = await appview.seeds.track(await appview.seeds.account())
    other = XrpcClient(within(appview.app, "198.51.100.7"), appview.client._catalog, NAMESPACE)
    assert (await play(appview, track, "1"))["counted"] is True
    assert (await play(appview, track, "2"))["counted"] is False
    assert (await play(appview, track, "3", client=other))["counted"] is True
    connection = appview.seeds.connection
    rows = [str(tuple(row)) for table in ("plays", "play_turns") for row in await connection.fetch(f"SELECT * FROM plyr.{table}")]  # fmt: skip
    assert len(rows) == 5
    assert not any("198.51" in row or "192.0" in row for row in rows)


async def test_what_is_needed_no_more_is_forgotten(appview: Appview) -> None:
    track = await appview.seeds.track(await appview.seeds.account())
    for number in range(5):
        await play(appview, track, str(number), await appview.seeds.account())
    appview.clock.move(90_000)
    await play(appview, track, "9", await appview.seeds.account())
    assert await appview.seeds.connection.fetchval("SELECT count(*) FROM plyr.play_turns") == 1
    assert await appview.seeds.connection.fetchval("SELECT count(*) FROM plyr.plays") == 6


async def test_plays_of_the_time_before_count_besides(appview: Appview) -> None:
    track = await appview.seeds.track(await appview.seeds.account())
    await appview.seeds.overlay(track, play_count=40)
    assert await play(appview, track, "1") == {"counted": True, "playCount": 41}
    assert (await appview.client.answer("feed.getTrack", uri=track.uri))["playCount"] == 41


async def test_a_track_that_is_not_there_or_hidden_is_not_played(appview: Appview) -> None:
    track = await appview.seeds.track(await appview.seeds.account())
    await appview.seeds.take_down(track.uri)
    for uri in (track.uri, f"{track.uri}x"):
        response = await appview.client.post(NAME, {"uri": uri, "idempotencyKey": "12345678"})
        assert (response.status_code, response.json()["error"]) == (400, "TrackNotFound")


async def test_whoever_plays_too_much_is_told_to_wait(start_appview: StartAppview) -> None:
    appview = await start_appview(play_limits=MethodLimits(by_address=(Window(2, 3600),)))
    track = await appview.seeds.track(await appview.seeds.account())
    for number in range(2):
        await play(appview, track, str(number))
    response = await appview.client.post(NAME, {"uri": track.uri, "idempotencyKey": "12345678"})
    assert (response.status_code, response.json()["error"]) == (429, "RateLimitExceeded")
    assert response.headers["retry-after"]
    assert appview.clock() == NOW
