"""What every method works with: a database connection, the settings, the call itself, and who asks.

A connection is borrowed for one call. A database that is away, or too busy to answer in time, is 503; every other
failure of it is our bug and 500. Who asks is looked up before the method runs, so the rev that goes with the answer
is never newer than what the answer is made of. An account that was taken down here is no viewer, and is told so:
to answer it as anonymous would look as if its own things had vanished.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias

import asyncpg

from appview.hydration import hydrate
from appview.media.keys import BlobKey, VariantKey
from appview.media.media import Media
from appview.media.places import MediaPlaces
from appview.media.plan import Ways
from appview.rows import State, TrackState
from appview.settings import AppviewSettings, places_of
from appview.track_contents import TrackContents
from appview.viewer import Asker, Viewer
from appview.xrpc.call import Call, Handler, Output
from appview.xrpc.errors import ACCOUNT_TAKEDOWN, AUTHENTICATION_REQUIRED, Unauthorized, Unavailable, XrpcError
from appview.xrpc.labelers import CONTENT_LABELERS, Labeler, labelers_text
from atprotocol.syntax.did import DID

# OSError covers TimeoutError; operator intervention covers a statement that took too long.
_AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.exceptions.OperatorInterventionError,
    asyncpg.exceptions.InsufficientResourcesError,
    OSError,
)
_NO_ANSWER = "The database does not answer in time"
_REPO_REV = "atproto-repo-rev"
_VIEWER = """
    SELECT a.actor_id, r.rev, EXISTS (SELECT FROM plyr.takedowns WHERE subject = asking.did) AS is_taken_down
    FROM (SELECT $1::text COLLATE "C" AS did) AS asking
    LEFT JOIN network.actors a USING (did) LEFT JOIN network.repos r USING (actor_id)
"""
# What an account that is gone left behind is nobody's key.
_SIGNING_KEY = """
    SELECT r.signing_key FROM network.actors a JOIN network.repos r USING (actor_id)
    WHERE a.did = $1 AND r.deleted_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class Context:
    """One call, and what it may use."""

    call: Call
    connection: asyncpg.Connection
    settings: AppviewSettings
    contents: TrackContents
    asker: Asker
    listener_key: bytes
    media: Media | None = None

    @property
    def viewer(self) -> Viewer | None:
        """Return who is signed in."""
        return self.asker.viewer

    @property
    def places(self) -> MediaPlaces:
        """Return where views say that audio and pictures are."""
        return places_of(self.settings)

    @property
    def ways(self) -> Ways:
        """Return what the storage of audio allows."""
        return Ways(mirroring=self.settings.media.mirroring) if self.media is None else self.media.ways

    async def signed_url(self, key: BlobKey | VariantKey, seconds: int, mime_type: str) -> str | None:
        """Return a URL that fetches an object for so many seconds; None where the storage signs none."""
        if self.media is None:
            return None
        return await self.media.storage.presigned_url(key, seconds, mime_type=mime_type, file_name=None)

    async def hydrate(self, track_states: Sequence[TrackState] | None = None, **numbers: Sequence[int]) -> State:
        """Load everything that an answer shows of these numbers, by kind: tracks, likes, comments, lists, actors."""
        namespace, contents = self.settings.namespace, self.contents
        return await hydrate(
            self.connection, namespace, self.asker, contents, self.places, track_states=track_states, **numbers
        )

    def required_viewer(self) -> Viewer:
        """Return who asks, for methods that answer nobody else.

        Raises XrpcError (401).
        """
        if self.viewer is None:
            message = "This method needs an account: call it through its host, with atproto-proxy"
            raise Unauthorized(AUTHENTICATION_REQUIRED, message, reason="")
        return self.viewer


MethodOf: TypeAlias = Callable[[Context], Awaitable[Output]]


class Service:
    """The methods' way to the database; `pool` is set while the application runs."""

    def __init__(self, settings: AppviewSettings, listener_key: bytes) -> None:
        """Keep the settings, and the key under which addresses of listeners are told apart."""
        self.settings = settings
        self.listener_key = listener_key
        # Those that we follow decide about what is shown, whatever else somebody wants to see of them.
        self._content_labelers = labelers_text(Labeler(DID(did), redact=True) for did in settings.labelers)
        self.pool: asyncpg.Pool | None = None
        self.media: Media | None = None
        self.contents = TrackContents()

    def bind(self, method: MethodOf) -> Handler:
        """Return the handler that gives a method its connection, and tells it who asks."""

        async def handler(call: Call) -> Output:
            async with self.connection() as connection:
                viewer = None if call.viewer_did is None else await _viewer(connection, call.viewer_did)
                if viewer is not None and viewer.rev is not None:
                    call.reply_headers[_REPO_REV] = viewer.rev
                if self._content_labelers:
                    call.reply_headers[CONTENT_LABELERS] = self._content_labelers
                asker = _asker(call, viewer)
                context = Context(call, connection, self.settings, self.contents, asker, self.listener_key, self.media)
                return await method(context)

        return handler

    async def asker(self, did: DID) -> Asker:
        """Return who asks, for an account that proved itself.

        Raises XrpcError (403) for one that was taken down here, Unavailable.
        """
        async with self.connection() as connection:
            return Asker(await _viewer(connection, did))

    async def signing_key(self, did: DID) -> str | None:
        """Return the key that the index knows an account to sign with, as a did:key text, or None.

        Raises Unavailable.
        """
        async with self.connection() as connection:
            key: str | None = await connection.fetchval(_SIGNING_KEY, did)
        return key

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """Borrow a connection.

        Raises Unavailable when there is none in time, or it goes away.
        """
        if self.pool is None:
            raise Unavailable("The service is starting")
        async with self.answering(), AsyncExitStack() as stack:
            borrowed = self.pool.acquire(timeout=self.settings.acquire_timeout_seconds)
            try:
                connection = await stack.enter_async_context(borrowed)
            except asyncpg.PostgresError as error:
                # Whatever keeps us from connecting: not a word about it belongs to clients.
                raise Unavailable(_NO_ANSWER) from error
            yield connection

    @asynccontextmanager
    async def answering(self) -> AsyncIterator[None]:
        """Tell clients of a database that goes away within the block, which has connections of its own.

        Raises Unavailable.
        """
        try:
            yield
        except _AWAY as error:
            raise Unavailable(_NO_ANSWER) from error


def _asker(call: Call, viewer: Viewer | None) -> Asker:
    accepted = call.accepted_labelers
    if accepted is None:
        return Asker(viewer)
    return Asker(viewer, frozenset(str(labeler.did) for labeler in accepted.labelers))


async def _viewer(connection: asyncpg.Connection, did: DID) -> Viewer:
    row = await connection.fetchrow(_VIEWER, did)
    if row["is_taken_down"]:
        raise XrpcError(403, ACCOUNT_TAKEDOWN, "This account was taken down here")
    return Viewer(did, row["actor_id"], row["rev"])
