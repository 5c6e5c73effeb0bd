from collections.abc import AsyncIterator

import pytest
import world
from harness import Harness, harness

from atprotocol.errors import NetworkError
from indexer.upstreams import origin_of, upstream_of


@pytest.fixture
async def indexer(database_url: str) -> AsyncIterator[Harness]:
    async with harness(database_url, world.World(4)) as made:
        yield made


async def test_a_host_that_describes_itself_is_a_pds(indexer: Harness) -> None:
    indexer.server.is_pds = True
    upstream = await upstream_of(indexer.client, indexer.server.url)

    assert (upstream.host, upstream.pds) == (f"localhost:{indexer.server.port}", indexer.server.url)


async def test_one_that_has_no_such_method_is_a_relay(indexer: Harness) -> None:
    assert (await upstream_of(indexer.client, indexer.server.url)).pds is None


async def test_one_that_does_not_answer_now_is_not_taken_for_a_relay(indexer: Harness) -> None:
    indexer.server.down.add("describeServer")

    with pytest.raises(NetworkError):
        await upstream_of(indexer.client, indexer.server.url)


def test_methods_are_asked_by_http_where_the_stream_is_named_by_a_websocket_url() -> None:
    assert origin_of("wss://relay.example.com/") == "https://relay.example.com"
    assert origin_of("ws://localhost:2470") == "http://localhost:2470"
