"""Storages, real ones, for whoever needs to keep something."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from s3_server import S3Server

from appview.media.folder import FolderStorage
from appview.media.s3 import S3Settings, S3Storage
from appview.media.storage import Storage


@pytest.fixture
async def folder_storage(tmp_path: Path) -> FolderStorage:
    """Give an empty folder."""
    return FolderStorage(tmp_path / "media")


@pytest.fixture
async def s3_storage(s3_server: S3Server, s3_bucket: str, tmp_path: Path) -> AsyncIterator[Storage]:
    """Give an empty bucket of a real server."""
    settings = S3Settings(
        endpoint_url=s3_server.endpoint_url,
        bucket=s3_bucket,
        access_key_id=s3_server.access_key_id,
        secret_access_key=s3_server.secret_access_key,
    )
    async with S3Storage(settings, tmp_path / "spool") as storage:
        yield storage
