import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import world
from harness import RELAY, TRACK, Harness, harness, synchronized, track
from scripted_stream import GUARD_SECONDS, Script, audits, consumer_of, others, others_at, played, stored

from atprotocol.errors import NetworkError, StreamRefused
from atprotocol.net import firehose
from atprotocol.net.addresses import Policy
from indexer.consumer import ENDPOINT, StreamSettings


@pytest.fixture
async def indexer(database_url: str) -> AsyncIterator[Harness]:
    async with harness(database_url, world.World(3)) as made:
        yield made


async def test_the_cursor_moves_through_a_stream_that_holds_nothing_of_ours(indexer: Harness) -> None:
    await played(indexer, others(indexer, 3))

    assert await stored(indexer) == 3
    assert await indexer.value("SELECT event_time FROM network.cursors") is not None


async def test_a_new_connection_begins_after_the_last_frame(indexer: Harness) -> None:
    one, two, three, four = others(indexer, 4)
    script = await played(indexer, [one, two], [three], [four, NetworkError("gone")])

    assert script.asked == [None, 2, 3, 4]
    assert await stored(indexer) == 4


async def test_a_process_begins_at_the_stored_cursor(indexer: Harness) -> None:
    frames = others(indexer, 3)
    await played(indexer, frames[:2])
    await indexer.load()

    assert (await played(indexer, [frames[2]])).asked == [2, 3]


async def test_the_first_frame_after_a_reconnect_may_repeat_the_cursor(indexer: Harness) -> None:
    one, two, three = others(indexer, 3)
    script = await played(indexer, [one, two], [two, three])

    assert script.asked == [None, 2, 3]


async def test_the_cursors_own_event_is_not_acted_on_again(indexer: Harness) -> None:
    account = await synchronized(indexer)
    said = indexer.world.identity_frame(account)
    await played(indexer, [said], [said])

    assert indexer.metrics.frames["#identity"] == 1


@pytest.mark.parametrize("order", [(0, 2, 1), (0, 1, 1)])
async def test_a_regression_inside_a_connection_drops_it(indexer: Harness, order: tuple[int, ...]) -> None:
    frames = others(indexer, 4)
    script = await played(indexer, [*(frames[index] for index in order), frames[3]], [])

    highest = max(order) + 1
    assert script.asked == [None, highest, highest]
    assert indexer.metrics.events["indexer.reconnect"] == 1
    assert await stored(indexer) == highest


async def test_an_upstream_that_answers_below_the_cursor_is_asked_three_times_and_then_taken_as_restarted(
    indexer: Harness,
) -> None:
    account = await synchronized(indexer)
    high = others(indexer, 5)[-1]
    low = [others_at(indexer, 2)]
    script = await played(indexer, [high], low, low, low, [others_at(indexer, 3)])

    cursor = indexer.world.seq
    assert script.asked[:5] == [1, cursor, cursor, cursor, None]
    assert await stored(indexer) == 3
    assert await indexer.rows("SELECT seq FROM network.cursor_history") == [(cursor,)]
    assert await audits(indexer) == ["relay.test restarted its numbering"]
    assert await indexer.audited() == {"same": 1}
    assert (await indexer.repo(account))["sync_status"] == "synchronized"


async def test_two_answers_below_the_cursor_are_no_restart(indexer: Harness) -> None:
    await synchronized(indexer)
    frames = others(indexer, 5)
    low = [others_at(indexer, 2)]
    script = await played(indexer, [frames[3]], low, low, [frames[4]], low, low)

    assert None not in script.asked
    assert await indexer.rows("SELECT seq FROM network.cursor_history") == []
    assert await stored(indexer) == indexer.world.seq


async def test_a_future_cursor_is_kept_as_history_and_the_stream_goes_on_live(indexer: Harness) -> None:
    account = await synchronized(indexer)
    script = await played(indexer, [world.error_frame("FutureCursor")], [others_at(indexer, 7)])

    assert script.asked[:2] == [1, None]
    assert await indexer.rows("SELECT seq, reason FROM network.cursor_history") == [(1, "it says FutureCursor")]
    assert await stored(indexer) == 7
    assert await audits(indexer) == ["relay.test restarted its numbering"]
    assert (await indexer.repo(account))["sync_status"] == "synchronized"


async def test_after_an_outdated_cursor_every_repository_is_compared_and_those_that_differ_are_fetched(
    indexer: Harness,
) -> None:
    missed, other = await synchronized(indexer), await synchronized(indexer)
    missed.commit([("update", TRACK, track("missed"))])
    script = await played(indexer, [world.info_frame("OutdatedCursor"), others_at(indexer, 900)])

    assert script.asked == [2, 900]
    assert await audits(indexer) == ["relay.test says OutdatedCursor"]
    assert await indexer.audited() == {"same": 1, "behind": 1}
    assert (await indexer.repo(missed))["cause"] == "audit"
    assert (await indexer.repo(other))["sync_status"] == "synchronized"
    await indexer.settle()
    assert await indexer.titles() == ["One", "missed"]
    assert indexer.server.requests["getRepo"] == 1


async def test_after_another_error_frame_the_connection_is_made_anew(indexer: Harness) -> None:
    frames = others(indexer, 2)
    script = await played(indexer, [frames[0], world.error_frame("ConsumerTooSlow")], [frames[1]])

    assert script.asked == [None, 1, 2]


async def test_a_frame_that_cannot_be_decoded_drops_the_connection_once_and_is_then_kept(indexer: Harness) -> None:
    one, two = others(indexer, 2)
    script = await played(indexer, [one, b"\xff\xffjunk"], [b"\xff\xffjunk", two])

    assert script.asked == [None, 1, 2]
    assert await indexer.rows("SELECT host, after_seq, content FROM network.undecodable_frames") == [
        (RELAY.host, 1, b"\xff\xffjunk")
    ]
    assert await stored(indexer) == 2


async def test_what_follows_a_frame_that_cannot_be_decoded_is_not_read_until_that_came_again(indexer: Harness) -> None:
    one, two = others(indexer, 2)
    script = await played(indexer, [one, b"\xff\xffjunk", two], [b"\xff\xffjunk", two])

    assert script.asked == [None, 1, 2]


async def test_of_a_huge_frame_that_cannot_be_decoded_a_part_is_kept(indexer: Harness) -> None:
    junk = b"\xff" * 100_000
    await played(indexer, [junk], [junk])

    assert await indexer.value("SELECT octet_length(content) FROM network.undecodable_frames") == 65_536


async def test_frames_of_unknown_kinds_are_passed_over(indexer: Harness) -> None:
    (one,) = others(indexer, 1)
    script = await played(indexer, [world.encode({"op": 1, "t": "#new"}) + world.encode({"seq": 1}), one])

    assert script.asked == [None, 1]


async def test_bad_blocks_are_a_bad_commit_and_no_bad_connection(indexer: Harness) -> None:
    account = await synchronized(indexer)
    bad = indexer.world.commit_frame(account, account.commit([("update", TRACK, track("Two"))]), blocks=b"\xff")
    (after,) = others(indexer, 1)
    script = await played(indexer, [bad, after])

    assert script.asked == [1, 3]
    assert (await indexer.repo(account))["cause"] == "bad-commit"
    await indexer.settle()
    assert await indexer.titles() == ["Two"]


async def test_an_upstream_that_serves_no_stream_ends_the_program_with_the_reason(indexer: Harness) -> None:
    @asynccontextmanager
    async def refuse(cursor: int | None) -> AsyncIterator[AsyncIterator[bytes]]:
        raise StreamRefused("501")
        yield

    with pytest.raises(StreamRefused):
        await consumer_of(indexer, refuse).run()


async def test_on_a_real_socket_frames_arrive_and_a_dropped_connection_is_made_again(indexer: Harness) -> None:
    account = indexer.world.account(pds=indexer.server.url)
    url = f"{indexer.server.url}/xrpc/{ENDPOINT}"
    policy = Policy(frozenset({("localhost", indexer.server.port)}), allow_http=True)

    @asynccontextmanager
    async def connect(cursor: int | None) -> AsyncIterator[AsyncIterator[bytes]]:
        async with firehose.connect(url, cursor, policy) as connection:
            yield aiter(connection)

    consumer = consumer_of(indexer, connect, settings=StreamSettings(first_cursor=0))
    running = asyncio.create_task(consumer.run())
    await indexer.server.send(indexer.world.commit_frame(account, account.commit([("create", TRACK, track("One"))])))
    await until(lambda: consumer.cursor == 1)
    await indexer.settle()
    indexer.server.disconnect()
    await indexer.server.send(indexer.world.commit_frame(account, account.commit([("update", TRACK, track("Two"))])))
    await until(lambda: consumer.cursor == 2)
    await indexer.settle()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert await indexer.titles() == ["Two"]
    assert indexer.server.requests["subscribeRepos"] == 2


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; the guard is against a hang."""
    async with asyncio.timeout(GUARD_SECONDS):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    "odd",
    [
        world.encode({"op": 1, "t": "#info"}) + world.encode({"name": 7}),
        world.encode({"op": 1, "t": "#info"}) + world.encode({"name": "news", "seq": 1 << 60}),
        world.encode({"op": 1, "t": "#info"}) + world.encode({"seq": "many", "did": ["did:plc:x"], "repo": [1]}),
        world.encode({"op": -1}) + world.encode({}),
    ],
)
async def test_a_word_about_the_stream_never_moves_the_cursor(indexer: Harness, odd: bytes) -> None:
    one, two = others(indexer, 2)
    script = await played(indexer, [one, odd], [two])

    assert script.asked == [None, 1, 2]
    assert await stored(indexer) == 2


@pytest.mark.parametrize("time", [7, b"now", None, ["now"], "x" * 100_000])
async def test_a_time_that_is_none_is_left_out(indexer: Harness, time: object) -> None:
    frame = world.encode({"op": 1, "t": "#identity"}) + world.encode({"seq": 9, "did": "did:plc:x", "time": time})
    await played(indexer, [frame])

    assert await stored(indexer) == 9
    assert await indexer.value("SELECT event_time FROM network.cursors") is None


async def test_two_frames_in_a_row_that_cannot_be_decoded_do_not_stall_the_stream(indexer: Harness) -> None:
    one, two = others(indexer, 2)
    bad, worse = b"\xff\xffbad", b"\xff\xffworse"
    rest: list[bytes | Exception] = [bad, worse, two]
    script = await played(indexer, [one, *rest], rest, rest)

    assert script.asked == [None, 1, 1, 2]
    assert await indexer.rows("SELECT content FROM network.undecodable_frames ORDER BY 1") == [(bad,), (worse,)]
    assert await stored(indexer) == 2


async def test_of_frames_that_cannot_be_decoded_so_many_are_kept_and_no_more(indexer: Harness) -> None:
    await indexer.pool.execute(
        "INSERT INTO network.undecodable_frames (host, reason, content) SELECT 'x', 'x', '' FROM generate_series(1, 1000)"
    )
    await played(indexer, [b"\xff\xffjunk"], [b"\xff\xffjunk"])

    assert await indexer.value("SELECT count(*) FROM network.undecodable_frames") == 1000
    assert indexer.metrics.events["indexer.undecodable_frame"] == 1


async def test_another_upstreams_numbers_do_not_hide_what_this_one_says_of_accounts(indexer: Harness) -> None:
    account = await synchronized(indexer)
    repo = indexer.repos.by_did[account.did]
    repo.account_seq, repo.account_host = 9_000_000_000, "another.relay.test"
    away = indexer.world.account_frame(account, False, "deactivated")
    await played(indexer, [away])

    assert (await indexer.repo(account))["visible"] is False


async def test_after_a_restart_of_the_upstream_its_low_numbers_count(indexer: Harness) -> None:
    account = await synchronized(indexer)
    indexer.world.seq = 5000
    back = indexer.world.account_frame(account, True)
    indexer.world.seq = 7
    away = indexer.world.account_frame(account, False, "deactivated")
    await played(indexer, [back, world.error_frame("FutureCursor")], [away])

    assert (await indexer.repo(account))["active"] is False


async def test_a_restart_of_the_upstream_and_its_marks_are_stored_together(indexer: Harness) -> None:
    account = await synchronized(indexer)
    script = Script([world.error_frame("FutureCursor")])
    running = asyncio.create_task(consumer_of(indexer, script.connect).run())
    async with asyncio.timeout(GUARD_SECONDS):
        await script.exhausted.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    # Here the process dies: what says that a gap was seen must not be half stored.
    assert (await indexer.repo(account))["sync_status"] == "synchronized"
    assert (await stored(indexer), await audits(indexer)) == (1, [])


async def test_after_a_gap_not_even_a_repository_that_only_awaits_its_identity_is_believed(indexer: Harness) -> None:
    account = await synchronized(indexer)
    indexer.feed(indexer.world.identity_frame(account))
    account.commit([("update", TRACK, track("missed"))])
    await played(indexer, [world.info_frame("OutdatedCursor"), others_at(indexer, 900)])
    await indexer.audited()
    await indexer.settle()

    assert await indexer.titles() == ["missed"]
