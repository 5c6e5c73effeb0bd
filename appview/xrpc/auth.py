"""Who asks: the account in whose name a verified inter-service token speaks.

No Authorization header: anonymous. One that is there is always verified, for public queries too, and what does not
pass is refused, never taken for anonymous. A token is judged before its key is looked up; a signature that fails has
the directory asked once more, since keys rotate. Tokens of procedures are good for one call.
Source: https://atproto.com/specs/xrpc#inter-service-authentication-jwt
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from appview.xrpc.errors import INVALID_TOKEN, MISSING_JWT, Unauthorized, Unavailable
from appview.xrpc.replays import FullOfTokens, UsedTokens
from appview.xrpc.signing_keys import SigningKeys
from atprotocol.crypto import parse_did_key
from atprotocol.errors import BadToken
from atprotocol.service_auth import BAD_JWT_ISS, LEEWAY_SECONDS, ServiceToken, read_service_token
from atprotocol.syntax.did import DID
from atprotocol.syntax.nsid import Nsid


@dataclass(frozen=True, slots=True)
class Authenticator:
    """Verifies tokens that are meant for one of `audiences`, all of them names of this service."""

    audiences: frozenset[str]
    keys: SigningKeys
    used: UsedTokens = field(default_factory=UsedTokens)

    async def viewer(
        self, authorization: Sequence[str], method: Nsid, *, is_procedure: bool, address: str | None, now: float
    ) -> DID | None:
        """Return the account that the Authorization headers prove, None when there is none.

        `address` is the client's, `now` in seconds since 1970. Raises XrpcError: Unauthorized for everything that is
        the client's fault, 429 or 502 when the issuer's key cannot be had, 503 when no more uses can be remembered.
        """
        if not authorization:
            return None
        scheme, _, text = authorization[0].partition(" ")
        if len(authorization) > 1 or scheme.lower() != "bearer" or not text.strip():
            raise Unauthorized(MISSING_JWT, "Authorization takes one Bearer token of a service", "invalid_request")
        try:
            token = read_service_token(text.strip(), audiences=self.audiences, method=method, now=now)
            await self._verify(token, address, now)
        except BadToken as error:
            raise Unauthorized(error.name, error.message) from error
        if is_procedure:
            self._use(token, now)
        return token.issuer

    async def _verify(self, token: ServiceToken, address: str | None, now: float) -> None:
        key = await self.keys.key_of(token.issuer, address, now)
        if key is None:
            raise BadToken(BAD_JWT_ISS, "The issuer is no account that can be resolved, or has no key")
        try:
            token.verify(parse_did_key(key))
        except BadToken:
            changed = await self.keys.changed_key_of(token.issuer, key, now)
            if changed is None:
                raise
            token.verify(parse_did_key(changed))

    def _use(self, token: ServiceToken, now: float) -> None:
        try:
            is_first = self.used.take(token.issuer, token.token_id, token.expires_at + LEEWAY_SECONDS, now)
        except FullOfTokens as error:
            raise Unavailable("Too many tokens that have not expired were used: ask for shorter ones") from error
        if not is_first:
            raise Unauthorized(INVALID_TOKEN, "The token was used before: each call of a procedure takes a new one")
