"""Fetch a blob from the hosts of those who refer to it, and publish it once it is proved to be what its CID names.

Bytes arrive in staging while they are hashed; nothing is visible before the hash is right, the container is one that we
take and its facts are read. Every ending has a state and a reason; what the network or the storage could not do
now is no ending but is tried again.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from appview.media.facts import AudioFacts
from appview.media.keys import BlobKey
from appview.media.references import Source
from appview.media.sniffing import HEAD_BYTES, is_sound, sniff_audio, sniff_image
from appview.media.storage import Staged, Storage, Stored
from appview.media.workshop import MediaRejected, Workshop
from atprotocol.errors import BlobMismatch, BlobNotFound, NetworkError, RepoGone, ResponseTooLarge
from atprotocol.net.blobs import BlobHash, get_blob
from atprotocol.net.host_limiter import HostLimiter
from atprotocol.net.http import BoundedClient

# So many files are fetched from one host at a time.
PER_HOST = 2
# Of what hosts claim, that counts which another answer may still change.
_BY_HOPE = ("mismatch", "gone", "too-large")


@dataclass(frozen=True, slots=True)
class Published:
    """The bytes are kept."""

    stored: Stored
    mime_type: str
    facts: AudioFacts | None
    host: str


@dataclass(frozen=True, slots=True)
class NotKept:
    """The bytes are not kept, and why: `state` is mismatch, too-large, gone or unsupported."""

    state: str
    reason: str
    host: str | None = None


@dataclass(frozen=True, slots=True)
class NotNow:
    """A host did not answer; the wait is what it asked for."""

    reason: str
    retry_after_seconds: float | None


Outcome: TypeAlias = Published | NotKept | NotNow
# Told the name of every step that is over, for whoever watches; a test ends the process there.
AtStep: TypeAlias = Callable[[str], None]


class _NotTaken(Exception):
    """The bytes are what the CID names, and nothing that we take: whichever host gave them."""

    def __init__(self, state: str, reason: str) -> None:
        super().__init__(reason)
        self.state = state
        self.reason = reason


def ignore_step(_: str) -> None:
    """Tell nobody."""


class Mirror:
    """Fetches blobs into a storage."""

    def __init__(
        self,
        client: BoundedClient,
        storage: Storage,
        workshop: Workshop,
        *,
        max_audio_bytes: int,
        max_picture_bytes: int,
        at_step: AtStep = ignore_step,
    ) -> None:
        """Take the parts and the bounds."""
        self._client = client
        self._storage = storage
        self._workshop = workshop
        self._max_audio_bytes = max_audio_bytes
        self._max_picture_bytes = max_picture_bytes
        self._at_step = at_step
        self._turns = HostLimiter(PER_HOST)

    async def fetch(self, cid: str, sources: Sequence[Source]) -> Outcome:
        """Ask one host after the other until one gives the bytes, and publish them.

        What they are, audio or a picture, they say themselves: records of several people may name them as either. What
        a host only claims is the ending when no other host has better news, so that none can spoil another's blob.
        Raises StorageUnavailable and WorkshopFailed, which are our own trouble and say nothing about the blob.
        """
        endings: list[NotKept] = []
        passing: NotNow | None = None
        for source in sources:
            try:
                return await self._fetch_from(source, cid)
            except BlobMismatch as error:
                endings.append(NotKept("mismatch", str(error), source.pds))
            except (BlobNotFound, RepoGone) as error:
                endings.append(NotKept("gone", str(error), source.pds))
            except ResponseTooLarge as error:
                endings.append(NotKept("too-large", str(error), source.pds))
            except _NotTaken as error:
                return NotKept(error.state, error.reason, source.pds)
            except NetworkError as error:
                passing = NotNow(str(error), error.retry_after_seconds)
        if not endings:
            endings.append(NotKept("gone", "no account that names it has a host"))
        return passing or min(endings, key=lambda each: _BY_HOPE.index(each.state))

    async def _fetch_from(self, source: Source, cid: str) -> Published:
        bound = max(self._max_audio_bytes, self._max_picture_bytes)
        async with self._storage.staged() as staged:
            async with (
                self._turns.turn(source.pds),
                get_blob(self._client, source.pds, source.did, cid, max_bytes=bound) as response,
            ):
                self._at_step("asked")
                head, size_bytes = await _receive(response.chunks(), staged, cid)
            self._at_step("received")
            mime_type = self._checked(head, size_bytes)
            await staged.finish()
            self._at_step("staged")
            facts = None
            if is_sound(mime_type):
                try:
                    facts = await self._workshop.probe(staged.path)
                except MediaRejected as error:
                    raise _NotTaken("unsupported", error.reason) from error
                self._at_step("probed")
            stored = await staged.publish(BlobKey(cid), mime_type)
            self._at_step("published")
        return Published(stored, mime_type, facts, source.pds)

    def _checked(self, head: bytes, size_bytes: int) -> str:
        """Return the media type of verified bytes. Raises _NotTaken."""
        mime_type = sniff_audio(head) or sniff_image(head)
        if mime_type is None:
            raise _NotTaken("unsupported", "not-media: the bytes are neither audio nor a picture that we take")
        most = self._max_audio_bytes if is_sound(mime_type) else self._max_picture_bytes
        if size_bytes > most:
            raise _NotTaken("too-large", f"{size_bytes} bytes of {mime_type} came, {most} are allowed")
        return mime_type


async def _receive(pieces: AsyncIterator[bytes], staged: Staged, cid: str) -> tuple[bytes, int]:
    """Write what comes into the staged object, and return its beginning and its size. Raises BlobMismatch."""
    blob_hash = BlobHash(cid)
    head = b""
    async with contextlib.aclosing(pieces):  # type: ignore[type-var]
        async for piece in pieces:
            blob_hash.update(piece)
            if len(head) < HEAD_BYTES:
                head += piece[: HEAD_BYTES - len(head)]
            await staged.write(piece)
            await asyncio.sleep(0)
    blob_hash.verify()
    return head, blob_hash.size_bytes
