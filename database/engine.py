"""A SQLAlchemy engine for what is not hot: migrations and rare administration. Loaded only by what needs it."""

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from database.connect import parse_database_url


def create_engine(url: str) -> AsyncEngine:
    """Return an engine that keeps no connection."""
    database = parse_database_url(url)

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(database.dsn, statement_cache_size=0)

    return create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
