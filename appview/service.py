"""What every method works with: a database connection, the settings, and the call itself.

A connection is borrowed for one call. A database that is away, or too busy to answer in time, is 503; every other
failure of it is our bug and 500.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias

import asyncpg

from appview.settings import AppviewSettings
from appview.viewer import Asker, Viewer
from appview.xrpc.call import Call, Handler, Output
from appview.xrpc.errors import Unavailable

# OSError covers TimeoutError; operator intervention covers a statement that took too long.
_AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.exceptions.OperatorInterventionError,
    asyncpg.exceptions.InsufficientResourcesError,
    OSError,
)
_NO_ANSWER = "The database does not answer in time"


@dataclass(frozen=True, slots=True)
class Context:
    """One call, and what it may use."""

    call: Call
    connection: asyncpg.Connection
    settings: AppviewSettings
    viewer: Viewer | None = None

    @property
    def asker(self) -> Asker:
        """Return who asks, and whose labels they want."""
        return Asker(self.viewer)


MethodOf: TypeAlias = Callable[[Context], Awaitable[Output]]


class Service:
    """The methods' way to the database; `pool` is set while the application runs."""

    def __init__(self, settings: AppviewSettings) -> None:
        """Keep the settings."""
        self.settings = settings
        self.pool: asyncpg.Pool | None = None

    def bind(self, method: MethodOf) -> Handler:
        """Return the handler that gives a method its connection."""

        async def handler(call: Call) -> Output:
            async with self.connection() as connection:
                return await method(Context(call, connection, self.settings))

        return handler

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """Borrow a connection.

        Raises Unavailable when there is none in time, or it goes away.
        """
        if self.pool is None:
            raise Unavailable("The service is starting")
        try:
            async with AsyncExitStack() as stack:
                borrowed = self.pool.acquire(timeout=self.settings.acquire_timeout_seconds)
                try:
                    connection = await stack.enter_async_context(borrowed)
                except asyncpg.PostgresError as error:
                    # Whatever keeps us from connecting: not a word about it belongs to clients.
                    raise Unavailable(_NO_ANSWER) from error
                yield connection
        except _AWAY as error:
            raise Unavailable(_NO_ANSWER) from error
