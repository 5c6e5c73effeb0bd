"""Two whole indexers that know nothing of one another, on one database and one world."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import world
from harness import Harness, Limits, harness


@dataclass
class Pair:
    """The one that began first, and the other."""

    first: Harness
    second: Harness


@asynccontextmanager
async def pair(database_url: str, network: world.World) -> AsyncIterator[Pair]:
    """Give two harnesses; the second has loaded before the first, so the first leads until the second loads again."""
    async with harness(database_url, network) as first:
        second = Harness(first.pool, first.server, first.client, Limits(), first.reader)
        yield Pair(first, second)
