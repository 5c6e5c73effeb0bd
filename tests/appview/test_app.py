"""The application around the methods: its start, its database, its page and what else it serves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import asyncpg
import pytest
from running_appview import SETTINGS, Appview, SharedDatabase, StartAppview, within
from seeds import NAMESPACE, NOW, Seeds
from xrpc_client import XrpcClient

from appview.api.methods import METHODS
from appview.app import create_app, now_in_utc, pool_opener
from appview.service import Context
from appview.settings import AppviewSettings
from appview.well_known import audiences, did_document
from appview.xrpc.call import Output
from appview.xrpc.rate_limit import Window
from atprotocol.lexicon.catalog import Catalog


@asynccontextmanager
async def _running(catalog: Catalog, settings: AppviewSettings, **arguments: Any) -> AsyncIterator[XrpcClient]:
    app = create_app(settings, catalog, **arguments)
    async with app.router.lifespan_context(app):
        yield XrpcClient(within(app), catalog, NAMESPACE)


async def test_it_opens_and_closes_its_own_pool_and_acts_in_its_own_role(
    database: SharedDatabase, catalog: Catalog
) -> None:
    pools: list[asyncpg.Pool] = []
    opener = pool_opener(database.url, SETTINGS)

    async def open_pool() -> asyncpg.Pool:
        pools.append(await opener())
        return pools[0]

    async with _running(catalog, SETTINGS, open_pool=open_pool) as client:
        assert (await client.request("GET", "/xrpc/_health")).status_code == 200
        async with pools[0].acquire() as connection:
            assert await connection.fetchval("SELECT current_user") == "plyr_appview"
            assert await connection.fetchval("SHOW statement_timeout") == "5s"
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute("DELETE FROM network.tracks")
    assert pools[0].is_closing()


async def test_before_its_start_and_after_its_end_it_is_not_available(appview: Appview, catalog: Catalog) -> None:
    app = create_app(SETTINGS, catalog, open_pool=pool_opener("", SETTINGS))
    assert await XrpcClient(within(app), catalog, NAMESPACE).error("feed.getLatest") == (503, "NotEnoughResources")


async def test_health_tells_the_version_and_how_far_behind_the_index_is(appview: Appview) -> None:
    health = await appview.client.request("GET", "/xrpc/_health")
    assert health.json() == {"status": "ok", "version": "1.2.3"}
    await appview.seeds.execute("INSERT INTO network.cursors VALUES ('relay.example', 'subscribeRepos', 7, $1)", NOW - timedelta(seconds=12))  # fmt: skip
    health = await appview.client.request("GET", "/xrpc/_health")
    assert health.json() == {"status": "ok", "version": "1.2.3", "lagSeconds": 12}


class LostPool:
    """A pool of a database that is away."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    @asynccontextmanager
    async def acquire(self, **_: Any) -> AsyncIterator[asyncpg.Connection]:
        raise self._error
        yield

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError("secret host"),
        TimeoutError(),
        asyncpg.CannotConnectNowError("secret host"),
        asyncpg.TooManyConnectionsError("secret host"),
        asyncpg.InvalidCatalogNameError("secret host"),
    ],
)
async def test_a_database_that_is_away_is_said_to_be_away(catalog: Catalog, error: Exception) -> None:
    async def open_pool() -> Any:
        return LostPool(error)

    async with _running(catalog, SETTINGS, open_pool=open_pool) as client:
        for path in ("/xrpc/_health", "/xrpc/fm.plyr.feed.getLatest", "/"):
            response = await client.request("GET", path)
            assert (response.status_code, response.json()["error"]) == (503, "NotEnoughResources")
            assert "secret" not in response.text
            assert response.headers["retry-after"]


async def test_a_call_that_takes_too_long_or_finds_no_connection_is_given_up(
    database: SharedDatabase, catalog: Catalog
) -> None:
    settings = replace(SETTINGS, pool_maximum=1, acquire_timeout_seconds=0.05, statement_timeout_ms=300)
    started = asyncio.Event()

    async def slow(context: Context) -> Output:
        started.set()
        await context.connection.execute("SELECT pg_sleep(60)")
        return {"tracks": []}

    methods = {**METHODS, "feed.getLatest": slow}
    opener = pool_opener(database.url, settings)
    async with _running(catalog, settings, open_pool=opener, methods=methods) as client:
        first = asyncio.create_task(client.get("feed.getLatest"))
        await started.wait()
        second = await client.get("index.getStats")
        assert [second.status_code, (await first).status_code] == [503, 503]
        assert (await client.get("index.getStats")).status_code == 200


async def test_a_statement_that_is_wrong_is_our_bug(start_appview: StartAppview) -> None:
    async def wrong(context: Context) -> Output:
        await context.connection.execute("SELECT secret FROM nowhere")
        return {}

    appview = await start_appview({**METHODS, "feed.getLatest": wrong})
    assert await appview.client.error("feed.getLatest") == (500, "InternalServerError")


async def test_the_service_says_who_it_is(appview: Appview) -> None:
    response = await appview.client.request("GET", "/.well-known/did.json")
    assert response.headers["content-type"] == "application/json"
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.json() == {
        "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"],
        "id": "did:web:appview.example.com",
        "service": [
            {"id": "#plyr_appview", "type": "PlyrAppView", "serviceEndpoint": "https://appview.example.com"},
        ],
    }


def test_a_port_is_written_as_the_did_method_wants_it() -> None:
    assert AppviewSettings(public_url="http://LocalHost:8080").did == "did:web:localhost%3A8080"


@pytest.mark.parametrize("rest", ["", "/", "/path", "/path/?query#fragment"])
def test_the_service_is_an_origin_whatever_its_address_ends_in(rest: str) -> None:
    settings = AppviewSettings(public_url=f"https://appview.example.com{rest}")
    document = did_document(settings)
    assert document["id"] == "did:web:appview.example.com"
    assert document["service"][0]["serviceEndpoint"] == "https://appview.example.com"  # type: ignore[index]
    assert audiences(settings) == {"did:web:appview.example.com", "did:web:appview.example.com#plyr_appview"}


async def test_its_document_is_kept_for_minutes(appview: Appview) -> None:
    for verb in ("GET", "HEAD"):
        response = await appview.client.request(verb, "/.well-known/did.json")
        assert (response.status_code, response.headers["cache-control"]) == (200, "public, max-age=300")


async def test_robots_stay_at_the_door(appview: Appview) -> None:
    response = await appview.client.request("GET", "/robots.txt")
    assert "Disallow: /xrpc/" in response.text


@pytest.mark.parametrize("path", ["/docs/", "/redoc", "/openapi.yaml", "/xrpcs", "/nothing"])
async def test_there_is_nothing_else(appview: Appview, path: str) -> None:
    response = await appview.client.request("GET", path)
    assert (response.status_code, response.json()["error"]) == (404, "NotFound")


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/openapi.json", "/robots.txt", "/.well-known/did.json", "/xrpc/_health"]
)
async def test_a_wrong_verb_is_told_in_the_same_words_everywhere(appview: Appview, path: str) -> None:
    response = await appview.client.request("POST", path)
    assert (response.status_code, response.json()["error"]) == (405, "InvalidRequest")
    assert {"GET", "HEAD"} <= set(response.headers["allow"].split(", "))


class Links(HTMLParser):
    """Collects where a page leads, and what it would load."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        attributes = dict(attrs)
        assert not attributes.keys() & {"src", "srcset", "onclick", "style"}
        if tag == "a":
            self.links.append(attributes["href"] or "")


async def test_the_page_shows_what_is_here_and_every_link_of_it_works(appview: Appview, seeds: Seeds) -> None:
    track = await seeds.track(await seeds.account(), title='<script>alert("1")</script>', artist="<b>&amp;")
    await seeds.track_list(track.account, [track])
    await seeds.execute("INSERT INTO network.collection_totals VALUES ('fm.plyr.track', 12345, 0)")
    response = await appview.client.request("GET", "/")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "<script" not in response.text
    assert "&lt;script&gt;" in response.text
    assert "12,345" in response.text
    links = Links()
    links.feed(response.text)
    assert not links.tags & {"script", "img", "link", "iframe", "b"}
    procedures_and_the_like = 8
    assert len(links.links) >= len(METHODS) - procedures_and_the_like
    for link in links.links:
        assert (await appview.client.request("GET", link)).status_code == 200, link


async def test_the_page_of_an_empty_index_has_only_links_that_work(appview: Appview) -> None:
    response = await appview.client.request("GET", "/")
    links = Links()
    links.feed(response.text)
    assert "None yet" in response.text
    for link in links.links:
        assert (await appview.client.request("GET", link)).status_code == 200, link


async def test_the_page_counts_like_any_request(start_appview: StartAppview) -> None:
    appview = await start_appview(rate_windows=(Window(1, 60),))
    first, second = [await appview.client.request("GET", "/") for _ in range(2)]
    assert (first.status_code, first.headers["ratelimit-remaining"]) == (200, "0")
    assert (second.status_code, second.json()["error"]) == (429, "RateLimitExceeded")
    assert await appview.client.error("feed.getLatest") == (429, "RateLimitExceeded")


async def test_the_clock_of_the_world_is_in_utc() -> None:
    assert now_in_utc().utcoffset() == timedelta(0)
