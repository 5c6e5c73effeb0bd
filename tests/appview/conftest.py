"""The application over a migrated database of its own, rows to put into it, and a client that checks its answers."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from postgres import PostgresForTests, postgres  # noqa: F401
from running_appview import (
    REPOSITORY,
    SETTINGS,
    Appview,
    Clock,
    CountingPool,
    SharedDatabase,
    StartAppview,
    everybodys_key,
    within,
)
from seeds import NAMESPACE, Seeds
from xrpc_client import XrpcClient

from appview.api.methods import METHODS
from appview.app import create_app, pool_opener
from appview.xrpc.signing_keys import ResolveKey
from atprotocol.lexicon.catalog import Catalog
from database.migrate import migrate


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return Catalog.load(REPOSITORY / "lexicons")


@pytest.fixture(scope="session")
async def database_url(postgres: PostgresForTests) -> str:  # noqa: F811
    url = postgres.create_database()
    await migrate(url, REPOSITORY / "migrations")
    return url


@pytest.fixture(scope="session")
async def database(database_url: str) -> AsyncIterator[SharedDatabase]:
    pool = await pool_opener(database_url, SETTINGS)()
    owner = await asyncpg.connect(database_url)
    yield SharedDatabase(database_url, pool, owner)
    await owner.close()
    await pool.close()


@pytest.fixture
async def start_appview(database: SharedDatabase, catalog: Catalog) -> AsyncIterator[StartAppview]:
    """Start applications with other settings or methods, over the same empty database."""
    await database.empty()
    async with AsyncExitStack() as stack:

        async def start(methods: Any = None, resolve_key: ResolveKey = everybodys_key, **settings: Any) -> Appview:
            pool, clock = CountingPool(database.pool), Clock()

            async def open_pool() -> Any:
                return pool

            chosen = replace(SETTINGS, **settings)
            app = create_app(
                chosen, catalog, open_pool=open_pool, methods=methods or METHODS, clock=clock, resolve_key=resolve_key
            )
            await stack.enter_async_context(app.router.lifespan_context(app))
            return Appview(app, XrpcClient(within(app), catalog, NAMESPACE), Seeds(database.owner), clock, pool)

        yield start


@pytest.fixture
async def appview(start_appview: StartAppview) -> Appview:
    return await start_appview()


@pytest.fixture
def client(appview: Appview) -> XrpcClient:
    return appview.client


@pytest.fixture
def seeds(appview: Appview) -> Seeds:
    return appview.seeds
