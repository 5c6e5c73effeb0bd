"""Shared fixtures; and `tests/` itself is importable (world, interop)."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1]), str(Path(__file__).parent / "crash")]

from database.migrate import migrate  # noqa: E402

if TYPE_CHECKING:
    from postgres import PostgresForTests

os.environ["LOGFIRE_IGNORE_NO_CONFIG"] = "1"  # nothing is sent anywhere from tests
pytest_plugins = ["postgres", "rules_that_ran", "s3_server"]
REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
async def migrated(postgres: "PostgresForTests") -> str:
    """Give the URL of a database with the newest schema, to be copied and not used."""
    url = postgres.create_database()
    await migrate(url, REPOSITORY / "migrations")
    return url


@pytest.fixture
def database_url(postgres: "PostgresForTests", migrated: str) -> Iterator[str]:
    """Give the URL of an empty database with the newest schema, of this test alone."""
    url = postgres.create_database(template=migrated)
    yield url
    postgres.drop_database(url)
