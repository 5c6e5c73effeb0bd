"""Replay a recorded network on a loopback port: relay, directory, hosts and handle resolver in one server.

Speaks a real WebSocket and real HTTP. Nothing of a moment is told before that moment is advanced to, so a consumer meets
the network as it was, a step at a time. Answers GET alone, and only to the loopback interface.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

import cbor2
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from atprotocol.car import read_car
from atprotocol.cid import CID
from atprotocol.commit import decode_commit
from plyr.recorded_network import Moment, Recording, seq_of

SUBSCRIBE = "com.atproto.sync.subscribeRepos"
_NOT_SERVED = {
    "deactivated": "RepoDeactivated",
    "takendown": "RepoTakendown",
    "suspended": "RepoSuspended",
    "deleted": "RepoNotFound",
}
_KINDS = {
    "com.atproto.sync.getRepo": "application/vnd.ipld.car",
    # What a blob is, is for whoever fetches it to find out.
    "com.atproto.sync.getBlob": "application/octet-stream",
}
_T = TypeVar("_T")


class _Refused(Exception):
    """An answer that says no."""

    def __init__(self, status: int, error: str, message: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": error, "message": message}


class Replay:
    """A recorded network that is answered for; `moment` is None before the first one."""

    def __init__(self, recording: Recording) -> None:
        """Take the recording; nothing has happened yet."""
        self.port = 0
        self._moments = recording.moments
        self._frames: list[tuple[int, bytes]] = []
        last = 0
        for frame in recording.frames:
            # A frame that was damaged still came at its place.
            last = seq_of(frame) or last + 1
            self._frames.append((last, frame))
        self._reached = -1
        self._is_over = False
        self._advanced = asyncio.Condition()

    @property
    def url(self) -> str:
        """Return the origin of everything that is served."""
        return f"http://localhost:{self.port}"

    @property
    def moment(self) -> Moment | None:
        """Return the moment that was reached."""
        return self._moments[self._reached] if self._reached >= 0 else None

    async def advance(self) -> Moment | None:
        """Let the next moment come and return it; None when there is none left."""
        if self._reached + 1 >= len(self._moments):
            return None
        async with self._advanced:
            self._reached += 1
            self._advanced.notify_all()
        return self.moment

    async def end(self) -> None:
        """Let every consumer go."""
        async with self._advanced:
            self._is_over = True
            self._advanced.notify_all()

    async def stream(self, consumer: ServerConnection) -> None:
        """Send frames to one consumer: those after its cursor, then each moment's as it comes, until it goes."""
        with contextlib.suppress(ConnectionClosed):
            await self._stream(consumer)

    async def _stream(self, consumer: ServerConnection) -> None:
        asked = dict(parse_qsl(urlsplit(consumer.request.path).query)) if consumer.request else {}
        cursor = asked.get("cursor", str(self._seq()))
        if not cursor.isdigit() or int(cursor) > self._seq():
            error = {"error": "FutureCursor" if cursor.isdigit() else "InvalidRequest"}
            await consumer.send(cbor2.dumps({"op": -1}) + cbor2.dumps(error))
            return
        sent = 0
        while not self._is_over:
            reached = self._reached
            while sent < len(self._frames) and self._frames[sent][0] <= self._seq():
                seq, frame = self._frames[sent]
                sent += 1
                if seq > int(cursor):
                    await consumer.send(frame)
            async with self._advanced:
                await self._advanced.wait_for(lambda: self._is_over or self._reached > reached)  # noqa: B023  (at once)

    def answer(self, _: ServerConnection, request: Request) -> Response | None:
        """Answer an HTTP request, or let a subscription through."""
        url = urlsplit(request.path)
        method = url.path.removeprefix("/xrpc/")
        if method == SUBSCRIBE:
            return None
        try:
            if url.path.startswith("/xrpc/"):
                found = self._xrpc(method, dict(parse_qsl(url.query)))
            else:
                found = self._document(unquote(url.path.removeprefix("/")))
            status = 200
        except _Refused as refused:
            status, found = refused.status, refused.body
        content = found if isinstance(found, bytes) else json.dumps(found).encode()
        kind = _KINDS.get(method, "application/json") if status == 200 else "application/json"
        headers = {"Content-Type": kind, "Content-Length": str(len(content)), "Connection": "close"}
        return Response(status, HTTPStatus(status).phrase, Headers(headers), content)

    def _xrpc(self, method: str, asked: dict[str, str]) -> bytes | dict[str, Any]:
        did = asked.get("did", "")
        match method:
            case "com.atproto.sync.getRepo":
                return self._repo(did)
            case "com.atproto.sync.getBlob":
                blob = self._latest(lambda moment: moment.blobs.get(asked.get("cid", "")))
                if blob is None:
                    raise _Refused(400, "BlobNotFound", "Blob not found")
                return blob
            case "com.atproto.sync.getRepoStatus":
                status = self._latest(lambda moment: moment.statuses.get(did))
                if status is None:
                    raise _Refused(400, "RepoNotFound", did)
                return {"did": did, **status}
            case "com.atproto.sync.getLatestCommit":
                car = read_car(self._repo(did))
                commit = decode_commit(car.blocks[car.root])
                return {"cid": str(CID(car.root)), "rev": commit.rev}
            case "com.atproto.identity.resolveHandle":
                named = self._latest(lambda moment: moment.handles.get(asked.get("handle", "")))
                if not named:
                    raise _Refused(400, "HandleNotFound", "Unable to resolve handle")
                return {"did": named}
            case "com.atproto.sync.listReposByCollection":
                dids = sorted({did for moment in self._past() for did in moment.collections})
                wanted = asked.get("collection", "")
                return {"repos": [{"did": did} for did in dids if wanted in self._collections(did)]}
        raise _Refused(501, "MethodNotImplemented", method[:100])

    def _repo(self, did: str) -> bytes:
        status = self._latest(lambda moment: moment.statuses.get(did))
        if status is not None and not status["active"]:
            raise _Refused(400, _NOT_SERVED.get(status.get("status", ""), "RepoNotFound"), did)
        repo = self._latest(lambda moment: moment.repos.get(did))
        if repo is None:
            raise _Refused(400, "RepoNotFound", did)
        return repo

    def _document(self, did: str) -> dict[str, Any]:
        document = self._latest(lambda moment: moment.documents.get(did))
        if document is None:
            raise _Refused(404, "NotFound", f"DID not registered: {did[:100]}")
        services = [service | {"serviceEndpoint": self.url} for service in document.get("service", [])]
        return document | {"service": services}

    def _collections(self, did: str) -> list[str]:
        return self._latest(lambda moment: moment.collections.get(did)) or []

    def _past(self) -> tuple[Moment, ...]:
        return self._moments[: self._reached + 1]

    def _latest(self, look: Callable[[Moment], _T | None]) -> _T | None:
        """Return what the latest of the past moments says, of those that say anything."""
        for moment in reversed(self._past()):
            found = look(moment)
            if found is not None:
                return found
        return None

    def _seq(self) -> int:
        return self._moments[self._reached].seq if self._reached >= 0 else 0


@asynccontextmanager
async def replaying(recording: Recording) -> AsyncIterator[Replay]:
    """Serve a recording on a free loopback port for the length of a block."""
    replay = Replay(recording)
    async with serve(
        replay.stream, "127.0.0.1", 0, process_request=replay.answer, compression=None, close_timeout=1
    ) as server:
        replay.port = int(next(iter(server.sockets)).getsockname()[1])
        try:
            yield replay
        finally:
            await replay.end()
