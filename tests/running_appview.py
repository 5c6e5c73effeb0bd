"""A running application, and the ways to it that tests use."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from fastapi import FastAPI
from seeds import NAMESPACE, NOW, Seeds
from starlette.types import ASGIApp
from xrpc_client import XrpcClient

from appview.settings import AppviewSettings
from database.own_tables import all_tables

REPOSITORY = Path(__file__).resolve().parents[1]
SETTINGS = AppviewSettings(
    namespace=NAMESPACE, public_url="https://appview.example.com", version="1.2.3", pool_maximum=4
)


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

    async def statements_of(self, name: str, parameters: Any) -> list[str]:
        """Return the SQL statements that a successful query sends."""
        self.pool.statements.clear()
        response = await self.client.get(name, parameters)
        assert response.status_code == 200, response.text
        return list(self.pool.statements)


StartAppview = Callable[..., Awaitable[Appview]]


def within(app: ASGIApp, address: str = "192.0.2.1") -> httpx.AsyncClient:
    """Return a client that calls an application without a network, from an address."""
    transport = httpx.ASGITransport(app, client=(address, 50_000))
    return httpx.AsyncClient(transport=transport, base_url="http://appview.test")
