"""Two `plyr index` processes on one database: one works, the other waits and takes over when the first is gone."""

import asyncio
import json
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest
import world
from plyr_command import lines_until, run_plyr, start_plyr
from world_server import WorldServer

GUARD_SECONDS = 60
TRACK = {"$type": "fm.plyr.track", "artist": "A", "fileType": "mp3", "createdAt": "2026-01-01T00:00:00.000Z"}


@pytest.fixture
async def server() -> AsyncIterator[WorldServer]:
    made = WorldServer(world.World(71))
    await made.start()
    yield made
    await made.stop()


def variables(database_url: str, server: WorldServer) -> dict[str, str]:
    return {
        "PLYR_DATABASE_URL": database_url,
        "PLYR_RELAY_URL": server.url,
        "PLYR_PLC_URL": server.url,
        "PLYR_HANDLE_RESOLVER_URL": server.url,
    }


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(GUARD_SECONDS):
        while not await condition():
            await asyncio.sleep(0.02)


async def titles(database_url: str) -> list[str]:
    connection = await asyncpg.connect(database_url)
    rows = await connection.fetch("SELECT title FROM network.tracks ORDER BY title")
    await connection.close()
    return [row["title"] for row in rows]


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
async def test_the_standby_takes_over_when_the_leader_dies(
    database_url: str, server: WorldServer, sign: signal.Signals
) -> None:
    account = server.world.account(pds=server.url)

    async def publish(title: str) -> None:
        path = f"fm.plyr.track/{server.world.tid()}"
        commit = account.commit([("create", path, TRACK | {"title": title})])
        await server.send(server.world.commit_frame(account, commit))

    processes: list[subprocess.Popen[str]] = []
    try:
        leader = start_plyr("index", **variables(database_url, server))
        processes.append(leader)
        await asyncio.to_thread(lines_until, leader, "plyr.index")
        await publish("One")

        async def is_there() -> bool:
            return await titles(database_url) == ["One"]

        await until(is_there)
        standby = start_plyr("index", **variables(database_url, server))
        processes.append(standby)
        await asyncio.to_thread(lines_until, standby, "waiting until it ends")
        leader.send_signal(sign)
        assert await asyncio.to_thread(leader.wait, GUARD_SECONDS) == (-sign if sign is signal.SIGKILL else 0)
        await publish("Two")

        async def are_there() -> bool:
            return await titles(database_url) == ["One", "Two"]

        await until(are_there)
        assert standby.poll() is None
    finally:
        for process in processes:
            process.kill()
            process.communicate()


async def test_an_audit_by_hand_tells_what_differs_and_the_indexer_puts_it_right(
    database_url: str, server: WorldServer
) -> None:
    account = server.world.account(pds=server.url)
    path = f"fm.plyr.track/{server.world.tid()}"
    commit = account.commit([("create", path, TRACK | {"title": "One"})])
    await server.send(server.world.commit_frame(account, commit))
    chosen = variables(database_url, server)
    process = start_plyr("index", **chosen)
    try:
        # The account is not ours until a record of it is heard of; the stream begins live.
        await asyncio.to_thread(lines_until, process, "plyr.index")
        update = account.commit([("update", path, TRACK | {"title": "Two"})])
        await server.send(server.world.commit_frame(account, update))

        async def is_there() -> bool:
            return await titles(database_url) == ["Two"]

        await until(is_there)
        account.commit([("update", path, TRACK | {"title": "never announced"})])
        looked = await asyncio.to_thread(run_plyr, "audit", "--dry-run", "--grace", "0", "--json", **chosen)
        found = json.loads(looked.stdout)
        assert (looked.returncode, found["counts"], found["requested"]) == (1, {"behind": 1}, [])
        assert [each["did"] for each in found["findings"]] == [account.did]
        assert await titles(database_url) == ["Two"]

        asked = await asyncio.to_thread(run_plyr, "audit", "--grace", "0", **chosen)
        assert asked.returncode == 1
        assert account.did in asked.stdout
        assert "will be fetched anew" in asked.stdout

        async def is_right() -> bool:
            return await titles(database_url) == ["never announced"]

        await until(is_right)
        again = await asyncio.to_thread(run_plyr, "audit", "--grace", "0", **chosen)
        assert (again.returncode, again.stdout.splitlines()[-1]) == (
            0,
            "100.00% of the repositories that could be compared equal their hosts'.",
        )
        status = json.loads((await asyncio.to_thread(run_plyr, "status", "--json", **chosen)).stdout)
        assert status["audit"]["share_of_same"] == 1.0
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()


async def test_an_audit_of_nothing_is_fine(database_url: str, server: WorldServer) -> None:
    done = await asyncio.to_thread(run_plyr, "audit", **variables(database_url, server))
    assert (done.returncode, done.stdout.strip()) == (0, "No repository is tracked.")
