"""`GET|HEAD /audio/{did}/{cid}`: the audio of a track, from wherever its bytes are.

Any PDS' blob can be heard here with ranges, from any page, as soon as a track that is shown names it, whether or not we
keep it. What the plan decides is carried out; whoever owns a gated track proves it with a service token for
`feed.getPlayback`. `?variant=NAME` asks for a variant.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from appview.media import blob_rows, jobs
from appview.media.file_reply import CORS, PREFLIGHT, File, bounds, file_name, send_body, send_head
from appview.media.keys import BlobKey, VariantKey
from appview.media.media import Media
from appview.media.plan import (
    Audio,
    FromHost,
    FromStorage,
    Kept,
    Plan,
    Refusal,
    Refuse,
    ToPublic,
    ToSigned,
    plan,
)
from appview.media.ranges import Part, Whole
from appview.media.storage import ObjectChanged, ObjectMissing, StorageUnavailable
from appview.media.streams import Streams
from appview.service import Service
from appview.viewer import ANONYMOUS, Asker
from appview.xrpc.errors import (
    INTERNAL_SERVER_ERROR,
    INVALID_REQUEST,
    Unavailable,
    UpstreamFailure,
    XrpcError,
)
from appview.xrpc.reply import error_reply
from appview.xrpc.server import XrpcServer
from atprotocol.errors import InvalidSyntax, NetworkError, ProtocolError, ResponseTooLarge
from atprotocol.syntax.did import parse_did
from atprotocol.syntax.nsid import Nsid

_STATUS = {Refusal.NOT_FOUND: 404, Refusal.SUPPORT_REQUIRED: 402, Refusal.UNAVAILABLE: 404}
_MESSAGES = {
    Refusal.NOT_FOUND: "There is no such audio here",
    Refusal.SUPPORT_REQUIRED: "Only supporters of the artist hear this track",
    Refusal.UNAVAILABLE: "The audio of this track is not to be had",
}
_PRIVATE = "private, no-store"

logger = logging.getLogger(__name__)


class AudioEndpoint:
    """An ASGI application; the route that leads here names `did` and `cid`."""

    def __init__(self, service: Service, server: XrpcServer, media: Media, token_method: Nsid) -> None:
        """Take the parts; tokens of viewers are for `token_method`."""
        self._service = service
        self._server = server
        self._media = media
        self._token_method = token_method
        self.streams = Streams(media.settings.streams_in_total, media.settings.streams_per_address)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        try:
            if request.method == "OPTIONS":
                await send_head(send, 204, PREFLIGHT)
            elif request.method in ("GET", "HEAD"):
                await self._answer(request, receive, send)
            else:
                raise XrpcError(405, INVALID_REQUEST, "Method not allowed", {"Allow": "GET, HEAD, OPTIONS"})
        except XrpcError as error:
            reply = error_reply(error)
            reply.headers |= CORS
            await reply.send(request, send)

    async def _answer(self, request: Request, receive: Receive, send: Send) -> None:
        profile = request.query_params.get("variant") or None
        asker = await self._asker(request)
        limit_headers = self._server.limit(request, None)
        did, cid = names_of(request.path_params)
        audio = await self._load(asker, did, cid)
        is_own = asker.viewer is not None and asker.viewer.did == did
        decided = plan(audio, self._media.ways, is_own=is_own, profile=profile, is_head=request.method == "HEAD")
        await self._note(audio, decided)
        match decided:
            case Refuse(refusal=refusal):
                raise XrpcError(_STATUS[refusal], refusal, _MESSAGES[refusal], limit_headers)
            case ToPublic(kept=kept):
                url = self._media.storage.public_url(_key(kept))
                await _redirect(send, url, limit_headers)
            case ToSigned(kept=kept):
                await _redirect(send, await self._signed(kept, audio), limit_headers)
            case FromStorage(kept=kept, is_private=is_private):
                assert audio is not None
                # What a viewer got is kept by nobody: it may be for members alone.
                is_private = is_private or asker.viewer is not None
                await self._from_storage(request, receive, send, audio, kept, is_private=is_private)
            case FromHost():
                assert audio is not None
                is_private = decided.is_private or asker.viewer is not None
                await self._from_host(request, receive, send, audio, replace(decided, is_private=is_private))

    async def _asker(self, request: Request) -> Asker:
        viewer_did = await self._server.viewer_of(request, self._token_method)
        return ANONYMOUS if viewer_did is None else await self._service.asker(viewer_did)

    async def _load(self, asker: Asker, did: str, cid: str) -> Audio | None:
        if not did:
            return None
        async with self._service.connection() as connection:
            return await blob_rows.load_audio(connection, asker, did, cid)

    async def _note(self, audio: Audio | None, decided: Plan) -> None:
        """Ask for the bytes to be kept from now on, where the plan wants that."""
        if audio is not None and isinstance(decided, FromHost | Refuse) and decided.is_wanted:
            async with self._service.connection() as connection:
                await jobs.want_unless_queued(connection, "blob", audio.cid, self._server.clock())

    async def _signed(self, kept: Kept, audio: Audio | None) -> str | None:
        assert audio is not None
        name = file_name(audio.file_name, kept.mime_type)
        seconds = self._media.settings.signed_url_seconds
        return await self._media.storage.presigned_url(_key(kept), seconds, mime_type=kept.mime_type, file_name=name)

    def _file(self, audio: Audio, size_bytes: int, mime_type: str, tag: str, *, is_private: bool) -> File:
        cache = f"public, max-age={self._media.settings.cache_seconds}, no-transform"
        return File(size_bytes, mime_type, tag, _PRIVATE if is_private else cache, audio.file_name)

    async def _from_storage(
        self, request: Request, receive: Receive, send: Send, audio: Audio, kept: Kept, *, is_private: bool
    ) -> None:
        file = self._file(audio, kept.size_bytes, kept.mime_type, kept.tag, is_private=is_private)
        asked = file.asked(request)
        status, headers = file.headers(asked)
        if request.method == "HEAD" or not isinstance(asked, Whole | Part):
            await send_head(send, status, headers)
            return
        with self.streams.one_more(self._server.address_of(request)):
            try:
                async with self._media.storage.read(_key(kept), *bounds(asked, kept.size_bytes), kept.etag) as reader:
                    await send_head(send, status, headers, has_body=True)
                    await send_body(reader, receive, send)
            except (ObjectMissing, ObjectChanged) as error:
                await self._lost(kept, str(error))
                raise Unavailable("The audio is being fetched again") from error
            except StorageUnavailable as error:
                logger.warning("media.storage_unavailable error=%s", error)
                raise Unavailable("The audio cannot be read just now") from error

    async def _lost(self, kept: Kept, reason: str) -> None:
        logger.warning("media.lost cid=%s reason=%s", kept.cid, reason)
        async with self._service.connection() as connection, connection.transaction():
            await blob_rows.lose(connection, kept, reason)
            await jobs.want(connection, "blob", [kept.cid], self._server.clock())

    async def _from_host(self, request: Request, receive: Receive, send: Send, audio: Audio, decided: FromHost) -> None:
        with self.streams.one_more(self._server.address_of(request)):
            try:
                async with self._media.arrivals.open(decided.pds, audio.did, audio.cid) as arrival:
                    file = self._file(
                        audio, arrival.size_bytes, arrival.mime_type, audio.cid, is_private=decided.is_private
                    )
                    asked = file.asked(request)
                    status, headers = file.headers(asked)
                    if request.method == "HEAD" or not isinstance(asked, Whole | Part):
                        await send_head(send, status, headers)
                        return
                    async with arrival.read(*bounds(asked, arrival.size_bytes)) as reader:
                        await send_head(send, status, headers, has_body=True)
                        await send_body(reader, receive, send)
            except (ProtocolError, ResponseTooLarge) as error:
                logger.info("media.unavailable cid=%s error=%s", audio.cid, error)
                raise XrpcError(404, Refusal.UNAVAILABLE, _MESSAGES[Refusal.UNAVAILABLE]) from error
            except NetworkError as error:
                logger.info("media.upstream cid=%s error=%s", audio.cid, error)
                raise UpstreamFailure("The artist's host does not answer", error.retry_after_seconds) from error
            except StorageUnavailable as error:
                raise Unavailable("Too much is on its way just now") from error


def names_of(parameters: Mapping[str, str]) -> tuple[str, str]:
    """Return DID and CID of a path; empty where they are none, so that nothing is found."""
    try:
        return parse_did(parameters["did"]), BlobKey(parameters["cid"]).cid
    except (InvalidSyntax, ValueError):
        return "", ""


def _key(kept: Kept) -> BlobKey | VariantKey:
    return BlobKey(kept.cid) if kept.profile is None else VariantKey(kept.cid, kept.profile)


async def _redirect(send: Send, url: str | None, headers: Mapping[str, str]) -> None:
    if url is None:
        raise XrpcError(500, INTERNAL_SERVER_ERROR, "Internal Server Error")
    location = {"Location": url, "Cache-Control": "no-store", "Content-Length": "0", **CORS, **headers}
    await send_head(send, 307, location)
