"""From a DID to the key, the host and the claimed handle of its account.

did:plc through a PLC directory, did:web at host level only; every other method is refused. Handles are not
resolved here: a broken handle must never keep an account's data out. Nothing is cached beyond the lookups
that are under way, which are shared. Sources: https://atproto.com/specs/did, https://web.plc.directory/spec
"""

import asyncio
import re
from collections.abc import Collection
from dataclasses import dataclass

from atprotocol.did_document import parse_did_document
from atprotocol.errors import IdentityNotFound, IdentityUnavailable, NetworkError, ProtocolError
from atprotocol.net.http import BoundedClient
from atprotocol.syntax.did import DID, did_method
from atprotocol.syntax.handle import Handle, is_reserved_handle

MAX_DOCUMENT_BYTES = 65536
RESOLVE_TIMEOUT_SECONDS = 10.0
_PLC = re.compile(r"did:plc:[a-z2-7]{24}")
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_WEB = re.compile(rf"did:web:((?:{_LABEL}\.)+[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])?)")
_WEB_LOCALHOST = re.compile(r"did:web:localhost(?:%3A([0-9]{1,5}))?")
_TOMBSTONE = 410
_CONCLUSIVE = frozenset((404, _TOMBSTONE))


@dataclass(frozen=True, slots=True)
class Identity:
    """An account as its DID document has it now; None where the document names none.

    `handle_claim` is unverified, keys are did:key texts, `pds` and `labeler` origins.
    """

    did: DID
    handle_claim: Handle | None
    signing_key: str | None
    pds: str | None
    label_key: str | None = None
    labeler: str | None = None


class Directory:
    """Resolves DIDs, one lookup at a time for each."""

    def __init__(
        self, client: BoundedClient, plc_url: str, *, allow_http: bool = False, allow_reserved: bool = False
    ) -> None:
        """Name the PLC directory. The flags are for development networks.

        `allow_http` admits hosts and did:web:localhost without TLS, `allow_reserved` did:web under `.test`.
        """
        self._client = client
        self._plc_url = plc_url.rstrip("/")
        self._allow_http = allow_http
        self._allow_reserved = allow_reserved
        self._under_way: dict[DID, asyncio.Task[Identity]] = {}

    async def resolve(self, did: DID) -> Identity:
        """Return who a DID is now, sharing a lookup that is under way.

        Raises IdentityNotFound (conclusive) or IdentityUnavailable (try again).
        """
        task = self._under_way.get(did)
        if task is None:
            task = asyncio.create_task(self._look_up(did))
            self._under_way[did] = task
            task.add_done_callback(lambda done: self._finished(did, done))
        # One caller's cancellation must not take the answer from the others.
        return await asyncio.shield(task)

    @property
    def under_way(self) -> Collection[DID]:
        """Return the DIDs that are being looked up."""
        return self._under_way.keys()

    def _finished(self, did: DID, task: asyncio.Task[Identity]) -> None:
        del self._under_way[did]
        if not task.cancelled():
            task.exception()  # Nobody may be left to hear of it.

    async def _look_up(self, did: DID) -> Identity:
        url = self._document_url(did)
        try:
            response = await self._client.get(
                url,
                max_bytes=MAX_DOCUMENT_BYTES,
                timeout_seconds=RESOLVE_TIMEOUT_SECONDS,
                headers={"Accept": "application/did+ld+json, application/json"},
            )
            if response.status in _CONCLUSIVE:
                tombstone = response.status == _TOMBSTONE and did_method(did) == "plc"
                raise IdentityNotFound(f"{did} is unknown or tombstoned ({response.status})", is_tombstone=tombstone)
            if response.status != 200:
                wait = response.retry_after_seconds
                raise IdentityUnavailable(f"{did}: status {response.status}", retry_after_seconds=wait)
            parsed = parse_did_document(response.json(), did, allow_http=self._allow_http)
        except (IdentityNotFound, IdentityUnavailable):
            raise
        except (NetworkError, ProtocolError) as error:
            wait = error.retry_after_seconds if isinstance(error, NetworkError) else None
            raise IdentityUnavailable(f"{did}: {error}", retry_after_seconds=wait) from error
        return Identity(
            parsed.did, parsed.handle_claim, parsed.signing_key, parsed.pds, parsed.label_key, parsed.labeler
        )

    def _document_url(self, did: DID) -> str:
        if _PLC.fullmatch(did):
            return f"{self._plc_url}/{did}"
        web = _WEB.fullmatch(did)
        if web and not is_reserved_handle(Handle(web[1]), allow_test=self._allow_reserved):
            return f"https://{web[1]}/.well-known/did.json"
        local = _WEB_LOCALHOST.fullmatch(did)
        if local and self._allow_http:
            return f"http://localhost{':' + local[1] if local[1] else ''}/.well-known/did.json"
        raise IdentityNotFound(f"{did[:120]} is of no method, or at no host, that the network resolves")
