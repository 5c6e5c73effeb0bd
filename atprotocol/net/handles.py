"""Whether a handle belongs to the DID that claims it: DNS first, then HTTPS; never part of finding a key.

Several different DIDs in DNS are a failure, not a choice. Names under reserved top-level domains never
resolve; a development network names a resolver that is asked instead of DNS and HTTPS. An answer that
failed to come is told apart from one that says no. Source: https://atproto.com/specs/handle#handle-resolution
"""

from dataclasses import dataclass
from enum import Enum
from urllib.parse import quote

from atprotocol.errors import ForbiddenAddress, HostNotFound, InvalidSyntax, NetworkError, ResponseTooLarge
from atprotocol.net.dns_txt import TxtLookup
from atprotocol.net.http import BoundedClient
from atprotocol.syntax.did import DID, parse_did
from atprotocol.syntax.handle import Handle, is_reserved_handle, normalize_handle

MAX_WELL_KNOWN_BYTES = 2048
MAX_RESOLVER_ANSWER_BYTES = 8192
WELL_KNOWN_TIMEOUT_SECONDS = 5.0
WELL_KNOWN_REDIRECTS = 3
_MAX_DNS_NAME = 253


class HandleStatus(Enum):
    """What is known of a handle after asking."""

    VERIFIED = "verified"
    BROKEN = "broken"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class HandleVerdict:
    """The status, and why when it is not verified. UNAVAILABLE is inconclusive: keep what was known, ask again."""

    status: HandleStatus
    reason: str | None = None


VERIFIED = HandleVerdict(HandleStatus.VERIFIED)


class HandleVerifier:
    """Verifies handles through DNS and HTTPS, or through the one resolver of a development network."""

    def __init__(self, client: BoundedClient, look_up_txt: TxtLookup, *, resolver_url: str | None = None) -> None:
        """Name the ways to ask; `resolver_url`, when given, replaces both."""
        self._client = client
        self._look_up_txt = look_up_txt
        self._resolver_url = resolver_url.rstrip("/") if resolver_url else None

    async def verify_handle(self, handle: Handle, did: DID) -> HandleVerdict:
        """Return whether the handle names this DID. Raises nothing that the network can cause."""
        handle = normalize_handle(handle)
        if self._resolver_url is not None:
            return await self._ask_resolver(self._resolver_url, handle, did)
        if is_reserved_handle(handle):
            return _broken("a reserved top-level domain")
        try:
            named = await self._dns(handle)
        except NetworkError as error:
            # DNS would win, so without it HTTPS can only confirm.
            verdict = await self._ask_host(handle, did)
            return verdict if verdict == VERIFIED else _unavailable(str(error))
        if len(named) > 1:
            return _broken("several DIDs in DNS")
        if named:
            return _verdict(named.pop(), did, "DNS")
        return await self._ask_host(handle, did)

    async def _dns(self, handle: Handle) -> set[DID]:
        name = f"_atproto.{handle}"
        if len(name) > _MAX_DNS_NAME:
            return set()
        named = set()
        for value in await self._look_up_txt(name):
            if value.startswith("did="):
                try:
                    named.add(parse_did(value.removeprefix("did=").strip()))
                except InvalidSyntax:
                    continue
        return named

    async def _ask_host(self, handle: Handle, did: DID) -> HandleVerdict:
        try:
            response = await self._client.get(
                f"https://{handle}/.well-known/atproto-did",
                max_bytes=MAX_WELL_KNOWN_BYTES,
                timeout_seconds=WELL_KNOWN_TIMEOUT_SECONDS,
                max_redirects=WELL_KNOWN_REDIRECTS,
            )
        except (ForbiddenAddress, HostNotFound, ResponseTooLarge) as error:
            return _broken(str(error))
        except NetworkError as error:
            return _unavailable(str(error))
        if response.status == 429 or response.status >= 500:
            return _unavailable(f"status {response.status}")
        if response.status != 200:
            return _broken(f"status {response.status}")
        try:
            return _verdict(parse_did(response.body.decode("utf-8").strip()), did, "HTTPS")
        except (InvalidSyntax, UnicodeDecodeError):
            return _broken("no DID at the well-known address")

    async def _ask_resolver(self, resolver_url: str, handle: Handle, did: DID) -> HandleVerdict:
        url = f"{resolver_url}/xrpc/com.atproto.identity.resolveHandle?handle={quote(handle)}"
        try:
            response = await self._client.get(url, max_bytes=MAX_RESOLVER_ANSWER_BYTES)
            if response.status == 400:
                return _broken("the resolver knows no such handle")
            if response.status != 200:
                return _unavailable(f"status {response.status} of the resolver")
            answer = response.json()
        except NetworkError as error:
            return _unavailable(str(error))
        named = answer.get("did") if isinstance(answer, dict) else None
        return (
            _verdict(DID(named), did, "the resolver")
            if isinstance(named, str)
            else _unavailable("no DID in the answer")
        )


def _verdict(named: DID, did: DID, source: str) -> HandleVerdict:
    return VERIFIED if named == did else _broken(f"{source} names {named[:80]}")


def _broken(reason: str) -> HandleVerdict:
    return HandleVerdict(HandleStatus.BROKEN, reason)


def _unavailable(reason: str) -> HandleVerdict:
    return HandleVerdict(HandleStatus.UNAVAILABLE, reason)
