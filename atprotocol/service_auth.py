"""Inter-service tokens: short-lived JWTs by which an account's host says in whose name it asks.

Everything but the signature is judged without a key: shape, type, algorithm, times, audience, method, issuer. Only
then is a key worth looking up. Strict where the network's signers leave room: no padding, no second spelling, no
duplicate names, no number that is not an integer. Tokens alone may be signed with high s. What was wrong is
said without a word of the token. Source: https://atproto.com/specs/xrpc#inter-service-authentication-jwt
"""

import base64
import binascii
import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, NoReturn

from atprotocol.crypto import SIGNATURE_LENGTH, CurveName, PublicKey, with_low_s
from atprotocol.data_model import Json
from atprotocol.errors import BadSignature, BadToken, InvalidSyntax
from atprotocol.syntax.did import DID, parse_did
from atprotocol.syntax.nsid import Nsid, normalize_nsid, parse_nsid

BAD_JWT: Final = "BadJwt"
BAD_JWT_TYPE: Final = "BadJwtType"
JWT_EXPIRED: Final = "JwtExpired"
BAD_JWT_AUDIENCE: Final = "BadJwtAudience"
BAD_JWT_LEXICON_METHOD: Final = "BadJwtLexiconMethod"
BAD_JWT_ISS: Final = "BadJwtIss"
BAD_JWT_SIGNATURE: Final = "BadJwtSignature"

MAX_LENGTH: Final = 4096
LEEWAY_SECONDS: Final = 60
MAX_LIFETIME_SECONDS: Final = 3600
_CURVES: Final[dict[str, CurveName]] = {"ES256": "P-256", "ES256K": "K-256"}
_KEY_ID: Final = "#atproto"
_MAX_TOKEN_ID_LENGTH: Final = 512


@dataclass(frozen=True, slots=True)
class ServiceToken:
    """A token whose every claim is in order; who holds it is open until `verify` has passed.

    Times are in seconds since 1970; `method` is normalised.
    """

    issuer: DID
    audience: str
    method: Nsid
    issued_at: int
    expires_at: int
    token_id: str
    curve: CurveName
    signed: bytes
    signature: bytes

    def verify(self, key: PublicKey) -> None:
        """Check that the issuer's key signed it.

        Raises BadToken.
        """
        if key.curve != self.curve:
            raise BadToken(BAD_JWT_SIGNATURE, "The algorithm is not that of the issuer's key")
        try:
            key.verify(with_low_s(self.curve, self.signature), self.signed)
        except BadSignature:
            raise BadToken(BAD_JWT_SIGNATURE, "The signature is not one of the issuer's key") from None


def read_service_token(text: str, *, audiences: Collection[str], method: Nsid, now: float) -> ServiceToken:
    """Return a token that is meant for one of these audiences, for this method and for now; its signature is open.

    `audiences` are compared whole, `method` is a normalised NSID, `now` in seconds since 1970.
    Raises BadToken.
    """
    if len(text) > MAX_LENGTH:
        raise BadToken(BAD_JWT, f"The token is longer than {MAX_LENGTH} characters")
    parts = text.split(".")
    if len(parts) != 3:
        raise BadToken(BAD_JWT, "The token is not three parts with dots between them")
    header, claims, signature = _json_object(parts[0]), _json_object(parts[1]), _decoded(parts[2])
    curve = _read_header(header)
    issued_at, expires_at = _read_times(claims, now)
    audience = claims.get("aud")
    if not isinstance(audience, str) or audience not in audiences:
        raise BadToken(BAD_JWT_AUDIENCE, "The token is meant for another service: aud is not a name of this one")
    issuer = _read_issuer(claims)
    _check_key_id(header, issuer)
    if len(signature) != SIGNATURE_LENGTH:
        raise BadToken(BAD_JWT_SIGNATURE, f"A signature has {SIGNATURE_LENGTH} bytes, r and then s")
    return ServiceToken(
        issuer=issuer,
        audience=audience,
        method=_read_method(claims, method),
        issued_at=issued_at,
        expires_at=expires_at,
        token_id=_read_token_id(claims),
        curve=curve,
        signed=f"{parts[0]}.{parts[1]}".encode("ascii"),
        signature=signature,
    )


def _read_header(header: dict[str, Json]) -> CurveName:
    # Access, refresh and proof tokens are JWTs too, of the same keys perhaps: this name tells them apart.
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower() != "jwt":
        raise BadToken(BAD_JWT_TYPE, "The token is of another type: typ is JWT, or absent")
    if "crit" in header:
        raise BadToken(BAD_JWT, "The token demands extensions that are not supported")
    algorithm = header.get("alg")
    curve = _CURVES.get(algorithm) if isinstance(algorithm, str) else None
    if curve is None:
        raise BadToken(BAD_JWT, "The algorithm is neither ES256 nor ES256K")
    return curve


def _check_key_id(header: dict[str, Json], issuer: DID) -> None:
    if header.get("kid", _KEY_ID) not in (_KEY_ID, issuer + _KEY_ID):
        raise BadToken(BAD_JWT, f"Accounts ask with their key {_KEY_ID} and no other")


def _read_times(claims: dict[str, Json], now: float) -> tuple[int, int]:
    issued_at, expires_at = _seconds(claims, "iat"), _seconds(claims, "exp")
    if expires_at <= now - LEEWAY_SECONDS:
        raise BadToken(JWT_EXPIRED, "The token has expired")
    if issued_at > now + LEEWAY_SECONDS:
        raise BadToken(BAD_JWT, "The token was issued in the future")
    if not 0 <= expires_at - issued_at <= MAX_LIFETIME_SECONDS + LEEWAY_SECONDS:
        raise BadToken(BAD_JWT, f"The token lives longer than {MAX_LIFETIME_SECONDS} seconds, or ends before it begins")
    if "nbf" in claims and _seconds(claims, "nbf") > now + LEEWAY_SECONDS:
        raise BadToken(BAD_JWT, "The token is not valid yet")
    return issued_at, expires_at


def _seconds(claims: dict[str, Json], name: str) -> int:
    value = claims.get(name)
    # A bool is an int in Python, and 1e9 a float.
    if type(value) is not int:
        raise BadToken(BAD_JWT, f"The token has no {name} in whole seconds")
    return value


def _read_issuer(claims: dict[str, Json]) -> DID:
    issuer = claims.get("iss")
    try:
        if isinstance(issuer, str):
            return parse_did(issuer)
    except InvalidSyntax:
        pass
    raise BadToken(BAD_JWT_ISS, "The issuer is not the DID of an account alone")


def _read_method(claims: dict[str, Json], called: Nsid) -> Nsid:
    method = claims.get("lxm")
    try:
        if isinstance(method, str) and normalize_nsid(parse_nsid(method)) == called:
            return called
    except InvalidSyntax:
        pass
    raise BadToken(BAD_JWT_LEXICON_METHOD, "The token is for another method, or names none: lxm is the NSID called")


def _read_token_id(claims: dict[str, Json]) -> str:
    token_id = claims.get("jti")
    if not isinstance(token_id, str) or not 0 < len(token_id) <= _MAX_TOKEN_ID_LENGTH:
        raise BadToken(BAD_JWT, "The token has no jti")
    return token_id


def _json_object(part: str) -> dict[str, Json]:
    try:
        value = json.loads(
            _decoded(part).decode("utf-8"), object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError):
        raise BadToken(BAD_JWT, "Header and claims of the token are not JSON") from None
    if not isinstance(value, dict):
        raise BadToken(BAD_JWT, "Header and claims of the token are not JSON objects")
    return value


def _without_duplicates(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name stands twice in an object")
    return value


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError("no number of JSON")


def _decoded(part: str) -> bytes:
    try:
        content = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise BadToken(BAD_JWT, "The token is not base64url") from None
    # There is one spelling of these bytes, without padding and with zeros in the bits that are left over.
    if base64.urlsafe_b64encode(content).rstrip(b"=") != part.encode("ascii"):
        raise BadToken(BAD_JWT, "The token is not base64url as JWTs spell it")
    return content
