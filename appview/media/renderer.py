"""Make the variants of a blob that is kept: the one AAC stream, and what is measured while it is made.

A variant has bytes of its own, so it has a CID of its own. A file that cannot be rendered is no less kept: why there is
no variant is written beside it, and it is not tried again.
"""

import asyncio
import hashlib
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from appview.media.facts import AudioProfile, ImagePreset, Rendering
from appview.media.keys import BlobKey, VariantKey
from appview.media.plan import Kept
from appview.media.scratch import make_scratch_folder
from appview.media.storage import Storage, Stored
from appview.media.workshop import Workshop
from atprotocol.cid import RAW_PREFIX, cid_from_bytes

_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Made:
    """A variant that is kept; `content_cid` names its bytes, `rendering` is None for pictures."""

    stored: Stored
    content_cid: str
    mime_type: str
    rendering: Rendering | None = None


class Renderer:
    """Makes variants in a storage; `folder` is for files on their way, the system's unless given."""

    def __init__(self, storage: Storage, workshop: Workshop, folder: Path | None = None) -> None:
        """Take the parts."""
        self._storage = storage
        self._workshop = workshop
        self._folder = folder

    async def render(self, kept: Kept, profile: AudioProfile) -> Made:
        """Make a stream of an original.

        Raises MediaRejected when the file cannot be rendered, StorageError and WorkshopFailed.
        """
        async with self._copied(kept) as original:
            target = original.with_name("variant")
            rendering = await self._workshop.render(original, target, profile)
            key = VariantKey(kept.cid, profile.name)
            stored, content_cid = await self._publish(target, key, rendering.mime_type)
        return Made(stored, content_cid, rendering.mime_type, rendering)

    async def picture(self, kept: Kept, preset: ImagePreset, mime_type: str, profile: str) -> tuple[Made, bytes]:
        """Make a picture of an original, and return its bytes too. Raises as `render` does."""
        async with self._copied(kept) as original:
            content = await self.draw(original, preset, mime_type)
            made = await self._publish(original.with_name("variant"), VariantKey(kept.cid, profile), mime_type)
        return Made(*made, mime_type), content

    async def draw(self, original: Path, preset: ImagePreset, mime_type: str) -> bytes:
        """Return a picture of a file, which also lies beside it as `variant`. Raises MediaRejected, WorkshopFailed."""
        target = original.with_name("variant")
        await self._workshop.picture(original, target, preset, mime_type)
        return await asyncio.to_thread(target.read_bytes)

    @asynccontextmanager
    async def scratch(self) -> AsyncIterator[Path]:
        """Give a folder that is gone after the block."""
        folder = await asyncio.to_thread(make_scratch_folder, self._folder)
        try:
            yield folder
        finally:
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))

    @asynccontextmanager
    async def _copied(self, kept: Kept) -> AsyncIterator[Path]:
        """Give a file with the bytes of an object."""
        async with self.scratch() as folder:
            path = folder / "original"
            async with self._storage.read(BlobKey(kept.cid), 0, kept.size_bytes, kept.etag) as reader:
                with path.open("wb") as file:
                    while piece := await reader.read(_PIECE_BYTES):
                        await asyncio.to_thread(file.write, piece)
            yield path

    async def _publish(self, path: Path, key: VariantKey, mime_type: str) -> tuple[Stored, str]:
        content_hash = hashlib.sha256()
        async with self._storage.staged() as staged:
            with path.open("rb") as file:
                while piece := await asyncio.to_thread(file.read, _PIECE_BYTES):
                    content_hash.update(piece)
                    await staged.write(piece)
            await staged.finish()
            stored = await staged.publish(key, mime_type)
        return stored, str(cid_from_bytes(RAW_PREFIX + content_hash.digest()))
