"""The figures of a real `plyr index` process, scraped from its port, and told by `plyr status`."""

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import logfire
import pytest
import world
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from plyr_command import environment, json_of, run_plyr
from prometheus_client.parser import text_string_to_metric_families
from world_server import WorldServer

from indexer.instruments import INSTRUMENTS, PREFIX
from indexer.leadership import leadership
from indexer.observation import families_of_a_standby
from plyr import telemetry
from plyr.live_figures import parse_live_figures
from plyr.watching import Watched

GUARD_SECONDS = 60
TRACK = {"$type": "fm.plyr.track", "title": "One", "artist": "A", "createdAt": "2026-01-01T00:00:00.000Z"}


@asynccontextmanager
async def served(network: world.World) -> AsyncIterator[WorldServer]:
    server = WorldServer(network)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def indexing(database_url: str, server: WorldServer) -> AsyncIterator[httpx.AsyncClient]:
    """Run `plyr index` and give a client for the port of its figures."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "plyr", "index", "--metrics-port", "0"),
        env=environment(
            PLYR_DATABASE_URL=database_url,
            PLYR_RELAY_URL=server.url,
            PLYR_PLC_URL=server.url,
            PLYR_HANDLE_RESOLVER_URL=server.url,
        ),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    said: list[str] = []

    async def listen() -> None:
        async for line in process.stderr:  # type: ignore[union-attr]
            said.append(line.decode())
            if "plyr.metrics" in said[-1]:
                served_at.set_result(int(said[-1].rpartition("port=")[2]))

    served_at: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    listening = asyncio.create_task(listen())
    try:
        async with asyncio.timeout(GUARD_SECONDS):
            await asyncio.wait([listening, served_at], return_when=asyncio.FIRST_COMPLETED)  # type: ignore[list-item]
        assert served_at.done(), "".join(said)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{served_at.result()}", trust_env=False) as client:
            yield client
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(GUARD_SECONDS):
            assert await process.wait() == 0, "".join(said)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await listening


async def until(client: httpx.AsyncClient, path: str, status: int, wanted: str = "") -> httpx.Response:
    """Ask until an answer has a status and holds a text."""
    async with asyncio.timeout(GUARD_SECONDS):
        while True:
            answer = await client.get(path)
            if answer.status_code == status and wanted in answer.text:
                return answer
            await asyncio.sleep(0.05)


def samples(text: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_a_running_indexer_is_scraped_and_told_by_status(database_url: str) -> None:
    network = world.World(5)
    async with served(network) as server, indexing(database_url, server) as client:
        await until(client, "/health", 200, "localhost")
        async with asyncio.timeout(GUARD_SECONDS):
            while not server._sockets:
                await asyncio.sleep(0.05)
        account, stranger = network.account(pds=server.url), network.account()
        commit = account.commit([("create", "fm.plyr.track/3mbd3542kzc22", TRACK)])
        await server.send(network.commit_frame(account, commit))
        for _ in range(3):
            await server.send(network.identity_frame(stranger))
        host = f"localhost:{server.port}"
        answer = await until(client, "/metrics", 200, f'plyr_indexer_cursor_seq{{host="{host}"}} 4.0')
        answer = await until(client, "/metrics", 200, 'plyr_indexer_repos{status="synchronized"} 1.0')
        finished = await asyncio.to_thread(
            run_plyr,
            "status",
            "--json",
            PLYR_DATABASE_URL=database_url,
            PLYR_METRICS_PORT=str(client.base_url.port),
        )
        shown = await asyncio.to_thread(
            run_plyr, "status", PLYR_DATABASE_URL=database_url, PLYR_METRICS_PORT=str(client.base_url.port)
        )

    assert answer.headers["content-type"].startswith("text/plain; version=")
    found = samples(answer.text)
    assert found["plyr_indexer_leads",] == 1
    assert found["plyr_indexer_received_total", host] == 4
    assert found["plyr_indexer_frames_total", "#commit"] == 1
    assert found["plyr_indexer_frames_total", "#identity"] == 0
    assert found["plyr_indexer_lag_seconds", host] >= 0
    assert found["process_resident_memory_bytes",] > 0
    assert all(f"# HELP {each.name} " in answer.text for each in INSTRUMENTS)
    live = json_of(finished)["live"]
    assert live["received_total"] == {host: 4}
    assert live["repos"]["synchronized"] == 1
    assert live["leads"] == 1
    assert "received_total" in shown.stdout


async def test_a_standby_says_so_and_shows_no_figures(database_url: str) -> None:
    async with (
        served(world.World(6)) as server,
        leadership(database_url, lambda: None),
        indexing(database_url, server) as client,
    ):
        answer = await until(client, "/health", 503, "standby")
        scraped = samples((await client.get("/metrics")).text)

    assert answer.json() == {"status": "standby", "why": "another indexer leads"}
    assert {key: value for key, value in scraped.items() if key[0].startswith(PREFIX)} == {(f"{PREFIX}leads",): 0}


@pytest.mark.parametrize("command", ["index", "up"])
async def test_a_port_that_is_taken_ends_with_4_before_a_database_is_made(command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        finished = await asyncio.to_thread(
            run_plyr, command, *(["--port", "0"] if command == "up" else []), PLYR_METRICS_PORT=str(port)
        )

    assert finished.returncode == 4
    assert f"port {port} of 127.0.0.1 is taken" in finished.stderr
    assert "--metrics-port (PLYR_METRICS_PORT)" in finished.stderr


async def test_status_does_without_an_indexer_that_does_not_answer(database_url: str) -> None:
    finished = await asyncio.to_thread(
        run_plyr, "status", "--json", PLYR_DATABASE_URL=database_url, PLYR_METRICS_PORT="1"
    )
    assert (finished.returncode, json_of(finished)["live"]) == (0, None)


def test_before_it_leads_an_indexer_says_that_it_begins() -> None:
    assert Watched().health() == (False, {"status": "starting", "why": "it does not lead yet"})


def test_figures_are_told_by_label() -> None:
    text = (
        '# TYPE plyr_indexer_lag_seconds gauge\nplyr_indexer_lag_seconds{host="one.test"} 1.5\n'
        '# TYPE plyr_indexer_x gauge\nplyr_indexer_x{a="b",c="d"} 2.0\n'
        "# TYPE plyr_indexer_leads gauge\nplyr_indexer_leads 1.0\n# TYPE other gauge\nother 3\n"
    )
    assert parse_live_figures(text) == {"lag_seconds": {"one.test": 1.5}, "x": {"b d": 2}, "leads": 1}


def test_the_same_figures_are_sent_through_logfire() -> None:
    reader = InMemoryMetricReader()
    local = logfire.configure(
        local=True, send_to_logfire=False, console=False, metrics=logfire.MetricsOptions(additional_readers=[reader])
    )
    telemetry.export_metrics(families_of_a_standby, local)
    data = reader.get_metrics_data()
    local.shutdown()

    assert data is not None
    found = {
        metric.name: [point.value for point in metric.data.data_points]
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert found["plyr_indexer_leads"] == [0]
