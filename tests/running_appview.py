"""A running application, and the ways to it that tests use."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from fastapi import FastAPI
from made_up_accounts import MadeUpAccount, key_of
from seeds import NAMESPACE, NOW, Account, Seeds
from starlette.types import ASGIApp
from xrpc_client import XrpcClient

from appview.media.settings import MediaSettings
from appview.settings import AppviewSettings
from atprotocol.syntax.did import DID
from database.own_tables import all_tables

REPOSITORY = Path(__file__).resolve().parents[1]
ORIGIN = "https://appview.example.com"
SETTINGS = AppviewSettings(
    namespace=NAMESPACE,
    public_url=ORIGIN,
    version="1.2.3",
    pool_maximum=4,
    page_seconds=0,
    media=MediaSettings(origins=frozenset(("https://audio.example.com", "https://cdn.example.com"))),
)
# Of everybody who signs in, as far as a test does not care whose keys are whose.
VIEWERS_KEY = key_of(77)
_TOKENS = itertools.count(1000)


async def everybodys_key(_: DID) -> str:
    """Know everybody, all with one key."""
    return VIEWERS_KEY.public_key.did_key


@dataclass
class Clock:
    """A clock that stands until it is moved."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class CountingPool:
    """A pool that keeps the statements that its borrowers send."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self.statements: list[str] = []

    @asynccontextmanager
    async def acquire(self, **arguments: Any) -> AsyncIterator[asyncpg.Connection]:
        async with self._pool.acquire(**arguments) as connection:
            with connection.query_logger(lambda query: self.statements.append(query.query)):
                yield connection

    async def close(self) -> None:
        """Leave the pool open: it serves all tests."""


@dataclass
class SharedDatabase:
    """A migrated database for all tests of a session, which empty it first."""

    url: str
    pool: asyncpg.Pool
    owner: asyncpg.Connection

    async def empty(self) -> None:
        tables = ", ".join(f"{table.schema}.{table.name}" for table in all_tables().sorted_tables)
        await self.owner.execute(f"TRUNCATE {tables} RESTART IDENTITY CASCADE")


@dataclass
class Appview:
    """The running application and the ways to it."""

    app: FastAPI
    client: XrpcClient
    seeds: Seeds
    clock: Clock
    pool: CountingPool

    def signed_in(self, account: Account, name: str) -> dict[str, str]:
        """Return the headers with which an account calls a method of the namespace."""
        made_up = MadeUpAccount(DID(account.did), VIEWERS_KEY, SETTINGS.did, next(_TOKENS))
        return made_up.authorization(f"{NAMESPACE}.{name}", self.clock.now.timestamp())

    async def statements_of(self, name: str, parameters: Any, viewer: Account | None = None) -> list[str]:
        """Return the SQL statements that a successful query sends."""
        headers = {} if viewer is None else self.signed_in(viewer, name)
        self.pool.statements.clear()
        response = await self.client.get(name, parameters, headers=headers)
        assert response.status_code == 200, response.text
        return list(self.pool.statements)


StartAppview = Callable[..., Awaitable[Appview]]


def within(app: ASGIApp, address: str = "192.0.2.1") -> httpx.AsyncClient:
    """Return a client that calls an application without a network, from an address."""
    transport = httpx.ASGITransport(app, client=(address, 50_000))
    return httpx.AsyncClient(transport=transport, base_url="http://appview.test")
