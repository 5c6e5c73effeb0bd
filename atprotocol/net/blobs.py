"""Blobs over HTTP: a file that an account's host keeps, as a stream that its reader verifies.

Nothing of what the host says about the file is believed: length, media type and name are its claims, and whether these
are the bytes is for `BlobHash` to say. Answers that say for good that there is no such file are told apart from all
others. Source: https://atproto.com/specs/blob, com.atproto.sync.getBlob
"""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from atprotocol.cid import RAW_PREFIX, parse_cid
from atprotocol.errors import BlobMismatch, BlobNotFound, NetworkError
from atprotocol.net.http import BoundedClient, StreamedResponse
from atprotocol.net.repos import error_of, failure, unavailable, xrpc_url
from atprotocol.syntax.did import DID

METHOD = "com.atproto.sync.getBlob"
BLOB_TIMEOUT_SECONDS = 1800.0


class BlobHash:
    """What bytes hash to while they come."""

    def __init__(self, cid: str) -> None:
        """Name the CID that they should have. Raises EncodingError for a text that is none."""
        self._expected = parse_cid(cid).raw
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    def update(self, piece: bytes) -> None:
        """Take the next bytes."""
        self._hash.update(piece)
        self.size_bytes += len(piece)

    def verify(self) -> None:
        """Conclude that these were the bytes. Raises BlobMismatch."""
        if RAW_PREFIX + self._hash.digest() != self._expected:
            raise BlobMismatch(f"{self.size_bytes} bytes came that have another hash")


@asynccontextmanager
async def get_blob(
    client: BoundedClient,
    pds: str,
    did: DID,
    cid: str,
    *,
    max_bytes: int,
    timeout_seconds: float = BLOB_TIMEOUT_SECONDS,
) -> AsyncIterator[StreamedResponse]:
    """Open the answer of an account's host to getBlob; its `chunks` are unverified, and are read within the block.

    Raises BlobNotFound, RepoGone, ResponseTooLarge, ForbiddenAddress, RepoUnavailable or another NetworkError.
    """
    url = xrpc_url(pds, METHOD, did=did, cid=cid)
    try:
        async with client.stream(url, max_bytes=max_bytes, timeout_seconds=timeout_seconds) as response:
            if response.status != 200:
                body = await response.read_excuse()
                name, message = error_of(body)
                if response.status == 404 or name in ("BlobNotFound", "InvalidRequest"):
                    raise BlobNotFound(f"{name or response.status}: {message}")
                raise failure(response.status, body, url, response.retry_after_seconds)
            yield response
    except NetworkError as error:
        raise unavailable(error, url) from error
