"""A Postgres server for the tests of one process, and a database of it for whoever asks.

One server for each test session (under xdist: for each worker), in a temporary folder, without fsync.
`create_database` with a template costs about 30 ms, so a migrated database can be made once and copied.
"""

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from database.embedded import EmbeddedPostgres

SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "64MB"}
# Unpacked once for all sessions of this user; the server's user must be able to enter it, so not in a home.
BINARIES_CACHE = Path(tempfile.gettempdir()) / f"plyr-test-binaries-{os.geteuid()}"


class PostgresForTests:
    """A running server on which tests make databases of their own."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        """Wrap a server that runs."""
        self._server = server
        self._numbers = itertools.count(1)

    def create_database(self, template: str | None = None) -> str:
        """Make a database and return its URL; `template` is the URL of one to copy, which nobody may be using."""
        name = f"test_{next(self._numbers)}"
        copied = f"template {_name(template)} strategy wal_log" if template else "template template0"
        self._server.execute(f"create database {name} {copied}")
        return self._server.database_url(name)

    def drop_database(self, url: str) -> None:
        """Drop a database, whoever is connected to it."""
        self._server.execute(f"drop database {_name(url)} with (force)")


def _name(url: str) -> str:
    return url.split("?", maxsplit=1)[0].rsplit("/", 1)[1]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresForTests]:
    """Give the session's server."""
    root = Path(tempfile.mkdtemp(prefix="plyr-test-"))
    root.chmod(0o755)  # The server's user must enter it when the tests run as root.
    server = EmbeddedPostgres(root, SETTINGS, binaries_cache=BINARIES_CACHE)
    try:
        server.start()
        yield PostgresForTests(server)
    finally:
        server.stop()
        shutil.rmtree(root, ignore_errors=True)
