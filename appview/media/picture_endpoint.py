"""`GET|HEAD /img/{preset}/{did}/{cid}`: a picture that a record names, in one of our sizes, as WebP or JPEG by Accept.

The original comes from the account's host, is verified, and is read by nobody but a bounded process; what that draws
holds none of the original's metadata. It is drawn once for each size and kept, unless the operator keeps nothing.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from appview.media import blob_rows, jobs
from appview.media.audio_endpoint import names_of
from appview.media.facts import IMAGE_PRESETS, ImagePreset
from appview.media.file_reply import CORS, PREFLIGHT, File, bounds, send_head
from appview.media.jobs import Job
from appview.media.keys import BlobKey, VariantKey
from appview.media.letting_go import PICTURE_TYPES
from appview.media.media import Media
from appview.media.picture_rows import PictureRow, load_picture
from appview.media.plan import HOPELESS, MISSING, Kept
from appview.media.ranges import Part, Whole
from appview.media.settings import Mirroring
from appview.media.sniffing import HEAD_BYTES, sniff_image
from appview.media.storage import ObjectChanged, ObjectMissing, StorageError
from appview.media.streams import Streams
from appview.media.workshop import MediaRejected, WorkshopFailed
from appview.service import Service
from appview.viewer import ANONYMOUS
from appview.xrpc.errors import INVALID_REQUEST, Unavailable, UpstreamFailure, XrpcError
from appview.xrpc.reply import error_reply
from appview.xrpc.server import XrpcServer
from atprotocol.errors import NetworkError, ProtocolError, ResponseTooLarge
from atprotocol.net.blobs import BlobHash, get_blob
from atprotocol.syntax.did import DID

NOT_FOUND: Final = "ImageNotFound"
UNAVAILABLE: Final = "ImageUnavailable"
# A picture that its hosts do not have is asked for again by whoever looks at it so much later.
MISSING_SECONDS: Final = 600.0
# How long somebody waits while another fetches the same picture.
WAIT_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.1
# Pictures that are fetched or drawn for somebody just now.
_AT_ONCE: Final = 64
_PER_ADDRESS: Final = 16

# Does a job that was taken, to its end or until it has to wait.
DoJob: TypeAlias = Callable[[Job], Awaitable[None]]

logger = logging.getLogger(__name__)


class PictureEndpoint:
    """An ASGI application; the route that leads here names `preset`, `did` and `cid`."""

    def __init__(self, service: Service, server: XrpcServer, media: Media, do_job: DoJob) -> None:
        """Take the parts; `do_job` is how a blob is fetched into the storage."""
        self._service = service
        self._server = server
        self._media = media
        self._do_job = do_job
        self._drawing: dict[tuple[str, str], asyncio.Lock] = {}
        self._misses = Streams(_AT_ONCE, _PER_ADDRESS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        try:
            if request.method == "OPTIONS":
                await send_head(send, 204, PREFLIGHT)
            elif request.method in ("GET", "HEAD"):
                await self._answer(request, send)
            else:
                raise XrpcError(405, INVALID_REQUEST, "Method not allowed", {"Allow": "GET, HEAD, OPTIONS"})
        except XrpcError as error:
            reply = error_reply(error)
            reply.headers |= CORS
            await reply.send(request, send)

    async def _answer(self, request: Request, send: Send) -> None:
        preset = IMAGE_PRESETS.get(request.path_params["preset"])
        did, cid = names_of(request.path_params)
        mime_type = accepted_type(request.headers.get("accept", ""))
        row = None if preset is None else await self._load(did, cid, preset, mime_type)
        # A page shows a hundred pictures: what is drawn already takes nothing from what its reader may ask.
        limit_headers = {} if row is not None and row.variant is not None else self._server.limit(request, None)
        if row is None or preset is None:
            raise XrpcError(404, NOT_FOUND, "There is no such picture here", limit_headers)
        try:
            content, tag = await self._content(request, did, cid, row, preset, mime_type)
        except (ProtocolError, ResponseTooLarge) as error:
            raise _unavailable(str(error)) from error
        except NetworkError as error:
            raise UpstreamFailure("The host of the picture does not answer", error.retry_after_seconds) from error
        except (StorageError, WorkshopFailed) as error:
            logger.warning("media.picture_failed cid=%s error=%s", cid, error)
            raise Unavailable("The picture cannot be had just now") from error
        cache = f"public, max-age={self._media.settings.cache_seconds}"
        file = File(len(content), mime_type, tag, cache, None)
        asked = file.asked(request)
        status, headers = file.headers(asked)
        headers["Vary"] = "Accept, Authorization"
        if request.method == "HEAD" or not isinstance(asked, Whole | Part):
            await send_head(send, status, headers)
            return
        start, end = bounds(asked, len(content))
        await send_head(send, status, headers, has_body=True)
        await send({"type": "http.response.body", "body": content[start:end]})

    async def _load(self, did: str, cid: str, preset: ImagePreset, mime_type: str) -> PictureRow | None:
        if not did:
            return None
        async with self._service.connection() as connection:
            return await load_picture(connection, ANONYMOUS, did, cid, _profile(preset, mime_type))

    async def _content(
        self, request: Request, did: str, cid: str, row: PictureRow, preset: ImagePreset, mime_type: str
    ) -> tuple[bytes, str]:
        """Return the picture and what names its bytes. Raises as everything that it takes does."""
        if row.variant is not None and (content := await self._kept(row.variant)) is not None:
            return content, row.variant.tag
        if row.state in HOPELESS:
            raise _unavailable(row.state or "")
        profile = _profile(preset, mime_type)
        with self._misses.one_more(self._server.address_of(request)):
            lock = self._drawing.setdefault((cid, profile), asyncio.Lock())
            try:
                async with lock:
                    return await self._drawn(did, cid, preset, mime_type)
            finally:
                if not lock.locked():
                    self._drawing.pop((cid, profile), None)

    async def _drawn(self, did: str, cid: str, preset: ImagePreset, mime_type: str) -> tuple[bytes, str]:
        row = await self._load(did, cid, preset, mime_type)
        if row is None:
            raise _unavailable("it went meanwhile")
        if row.variant is not None and (content := await self._kept(row.variant)) is not None:
            return content, row.variant.tag
        profile = _profile(preset, mime_type)
        if self._media.settings.mirroring is Mirroring.NEVER and row.original is None:
            return await self._without_keeping(did, cid, row, preset, mime_type), f"{cid}.{profile}"
        original = row.original or await self._fetched(did, cid, row, preset, mime_type)
        try:
            made, content = await self._media.renderer.picture(original, preset, mime_type, profile)
        except MediaRejected as error:
            async with self._service.connection() as connection:
                is_rejected = await blob_rows.reject(connection, original, error.reason, self._server.clock())
            if is_rejected:
                await self._media.storage.delete(BlobKey(cid))
            raise _unavailable(error.reason) from error
        except (ObjectMissing, ObjectChanged) as error:
            await self._lost(original, str(error))
            raise
        async with self._service.connection() as connection:
            is_kept = await blob_rows.save_variant(
                connection,
                cid,
                profile,
                content_cid=made.content_cid,
                size_bytes=made.stored.size_bytes,
                mime_type=mime_type,
                etag=made.stored.etag,
            )
        if not is_kept:
            # It was let go of while it was drawn, and nobody else would ever find this.
            await self._media.storage.delete(VariantKey(cid, profile))
            raise _unavailable("it went meanwhile")
        return content, made.content_cid

    async def _kept(self, variant: Kept) -> bytes | None:
        """Return the bytes of a picture that is kept; None when it is not there, and will be drawn again."""
        key = VariantKey(variant.cid, variant.profile or "")
        pieces = []
        try:
            async with self._media.storage.read(key, 0, variant.size_bytes, variant.etag) as reader:
                while piece := await reader.read(1 << 20):
                    pieces.append(piece)
        except (ObjectMissing, ObjectChanged) as error:
            await self._lost(variant, str(error))
            return None
        return b"".join(pieces)

    async def _lost(self, kept: Kept, reason: str) -> None:
        async with self._service.connection() as connection, connection.transaction():
            await blob_rows.lose(connection, kept, reason)

    async def _fetched(self, did: str, cid: str, known: PictureRow, preset: ImagePreset, mime_type: str) -> Kept:
        """Have the original fetched into the storage, by us or by whoever is at it. Raises XrpcError, NetworkError."""
        self._check_patience(known)
        deadline = asyncio.get_running_loop().time() + WAIT_SECONDS
        while True:
            async with self._service.connection() as connection:
                job = await jobs.take_this(connection, "blob", cid, self._server.clock())
            if job is not None:
                async with self._service.answering():
                    await self._do_job(job)
            row = await self._load(did, cid, preset, mime_type)
            if row is None:
                raise _unavailable("it went meanwhile")
            if row.original is not None:
                return row.original
            if job is not None:
                if row.state == "pending":
                    raise NetworkError("no host gave it")
                raise _unavailable(row.state or "")
            if asyncio.get_running_loop().time() > deadline:
                raise NetworkError("it takes too long")
            await asyncio.sleep(_POLL_SECONDS)

    def _check_patience(self, row: PictureRow) -> None:
        """Have a host that gave nothing asked again when it is time, and not by everybody who looks.

        Raises NetworkError, XrpcError.
        """
        now = self._server.clock()
        if row.next_try_at is not None and row.next_try_at > now:
            wait = (row.next_try_at - now).total_seconds()
            raise NetworkError("its host is asked again later", retry_after_seconds=wait)
        is_new = row.state_at is not None and (now - row.state_at).total_seconds() < MISSING_SECONDS
        if row.state in MISSING and is_new and row.next_try_at is None:
            raise _unavailable(row.state or "")

    async def _without_keeping(self, did: str, cid: str, row: PictureRow, preset: ImagePreset, mime_type: str) -> bytes:
        if row.pds is None:
            raise _unavailable("no host is known")
        bound = self._media.settings.max_picture_bytes
        async with get_blob(self._media.client, row.pds, DID(did), cid, max_bytes=bound) as response:
            blob_hash = BlobHash(cid)
            original = await response.read()
            blob_hash.update(original)
            blob_hash.verify()
        if sniff_image(original[:HEAD_BYTES]) is None:
            raise _unavailable("not-image")
        async with self._media.renderer.scratch() as folder:
            path = folder / "original"
            await asyncio.to_thread(path.write_bytes, original)
            try:
                return await self._media.renderer.draw(path, preset, mime_type)
            except MediaRejected as error:
                raise _unavailable(error.reason) from error


def accepted_type(accept: str) -> str:
    """Return the form that an Accept header prefers: WebP for whoever names it, JPEG for everybody else."""
    for part in accept.lower().split(","):
        name, _, parameters = part.strip().partition(";")
        if name.strip() == "image/webp":
            quality = parameters.replace(" ", "")
            return "image/jpeg" if quality.startswith("q=0") and not quality[3:].strip(".0") else "image/webp"
    return "image/jpeg"


def _profile(preset: ImagePreset, mime_type: str) -> str:
    return f"{preset.name}.{PICTURE_TYPES[mime_type]}"


def _unavailable(_: str) -> XrpcError:
    return XrpcError(404, UNAVAILABLE, "The picture is not to be had")
