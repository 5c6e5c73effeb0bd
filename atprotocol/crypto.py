"""Public keys as the network writes them, and signatures as it demands them.

P-256 and K-256 only; a signature is 64 bytes, r then s, with s in the lower half of the curve's order.
Both are checked here, before any library sees the signature, as OpenSSL accepts high s. K-256 goes to
libsecp256k1 where coincurve has a wheel (ten times faster), else to OpenSSL.
Source: https://atproto.com/specs/cryptography
"""

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from atprotocol.errors import BadSignature, InvalidKey

try:
    import coincurve._libsecp256k1 as secp256k1
    from coincurve.context import GLOBAL_CONTEXT
except ImportError:  # no wheel for this Python: OpenSSL verifies K-256 too, only slower
    secp256k1 = None

CurveName = Literal["P-256", "K-256"]

_MULTICODECS: Final[dict[bytes, CurveName]] = {b"\x80\x24": "P-256", b"\xe7\x01": "K-256"}
_CODEC_OF: Final[dict[CurveName, bytes]] = {curve: codec for codec, curve in _MULTICODECS.items()}
_CURVES: Final[dict[CurveName, ec.EllipticCurve]] = {"P-256": ec.SECP256R1(), "K-256": ec.SECP256K1()}
_ORDERS: Final[dict[CurveName, int]] = {
    "P-256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "K-256": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141,
}
_LEGACY_TYPES: Final[dict[str, CurveName]] = {
    "EcdsaSecp256r1VerificationKey2019": "P-256",
    "EcdsaSecp256k1VerificationKey2019": "K-256",
}
_PREHASHED: Final = ec.ECDSA(Prehashed(hashes.SHA256()))
_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE58_VALUES: Final = {character: value for value, character in enumerate(_BASE58)}
_LONGEST_MULTIBASE: Final = 120
SIGNATURE_LENGTH: Final = 64


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key: its curve and its 33-byte compressed point. Make one with a parse function."""

    curve: CurveName
    compressed: bytes
    _openssl: ec.EllipticCurvePublicKey = field(repr=False, compare=False)
    _secp256k1: object = field(repr=False, compare=False, default=None)

    @property
    def multikey(self) -> str:
        """Return the Multikey text: `z`, then base58btc of codec and compressed point."""
        return "z" + encode_base58(_CODEC_OF[self.curve] + self.compressed)

    @property
    def did_key(self) -> str:
        """Return the did:key text."""
        return f"did:key:{self.multikey}"

    def verify(self, signature: bytes, message: bytes) -> None:
        """Check that `signature` (64 bytes, low s) is this key's over SHA-256 of `message`.

        Raises BadSignature.
        """
        if len(signature) != SIGNATURE_LENGTH:
            raise BadSignature(f"a signature has {SIGNATURE_LENGTH} bytes, this one {len(signature)}")
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        order = _ORDERS[self.curve]
        if not (0 < r < order and 0 < s <= order >> 1):
            raise BadSignature("r or s is out of range (s must lie in the lower half of the order)")
        digest = hashlib.sha256(message).digest()
        if self._secp256k1 is not None:
            self._verify_secp256k1(signature, digest)
            return
        try:
            self._openssl.verify(encode_dss_signature(r, s), digest, _PREHASHED)
        except InvalidSignature:
            raise BadSignature("not a signature of this key over these bytes") from None

    def _verify_secp256k1(self, signature: bytes, digest: bytes) -> None:
        ffi, lib = secp256k1.ffi, secp256k1.lib
        parsed = ffi.new("secp256k1_ecdsa_signature *")
        context = GLOBAL_CONTEXT.ctx
        if not lib.secp256k1_ecdsa_signature_parse_compact(context, parsed, signature):
            raise BadSignature("not a compact signature")
        if not lib.secp256k1_ecdsa_verify(context, parsed, digest, self._secp256k1):
            raise BadSignature("not a signature of this key over these bytes")


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A private key, for tests and tools: the two programs sign nothing."""

    curve: CurveName
    _openssl: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def public_key(self) -> PublicKey:
        """Return the matching public key."""
        return _public_key(self.curve, self._openssl.public_key())

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte low-s signature over SHA-256 of `message`."""
        digest = hashlib.sha256(message).digest()
        r, s = decode_dss_signature(self._openssl.sign(digest, _PREHASHED))
        order = _ORDERS[self.curve]
        return r.to_bytes(32, "big") + min(s, order - s).to_bytes(32, "big")


def with_low_s(curve: CurveName, signature: bytes) -> bytes:
    """Return a signature with s in the lower half of the order, for where the protocol allows either half.

    What is no pair of r and s is returned as it is: `PublicKey.verify` refuses it.
    """
    s, order = int.from_bytes(signature[32:], "big"), _ORDERS[curve]
    if len(signature) != SIGNATURE_LENGTH or not order >> 1 < s < order:
        return signature
    return signature[:32] + (order - s).to_bytes(32, "big")


def private_key_from_bytes(curve: CurveName, secret: bytes) -> PrivateKey:
    """Return the private key whose scalar is these 32 bytes. Raises InvalidKey when it is out of range."""
    try:
        return PrivateKey(curve, ec.derive_private_key(int.from_bytes(secret, "big"), _CURVES[curve]))
    except ValueError as error:
        raise InvalidKey(f"not a {curve} private key: {error}") from None


@lru_cache(maxsize=65536)
def parse_did_key(text: str) -> PublicKey:
    """Return the key of a `did:key:z…` text; parsed keys are cached.

    Raises InvalidKey. Source: https://atproto.com/specs/cryptography#public-key-encoding
    """
    if not text.startswith("did:key:"):
        raise InvalidKey(f"not a did:key: {text[:40]!r}")
    return parse_multikey(text.removeprefix("did:key:"))


@lru_cache(maxsize=65536)
def parse_multikey(text: str) -> PublicKey:
    """Return the key of a Multikey text (`z`, base58btc of a two-byte codec and a compressed point).

    Raises InvalidKey.
    """
    content = decode_multibase(text)
    curve = _MULTICODECS.get(content[:2])
    if curve is None:
        raise InvalidKey(f"a key of no supported type: codec {content[:2].hex()}")
    if len(content) != 35:
        raise InvalidKey(f"a compressed key has 33 bytes, this one {len(content) - 2}")
    return _key_from_point(curve, content[2:])


def parse_legacy_key(verification_type: str, multibase: str) -> PublicKey:
    """Return the key of an older DID document: the type names the curve, the text is a bare point.

    The point may be compressed or not. Raises InvalidKey.
    """
    curve = _LEGACY_TYPES.get(verification_type)
    if curve is None:
        raise InvalidKey(f"a verification method of no supported type: {verification_type[:60]!r}")
    return _key_from_point(curve, decode_multibase(multibase))


def decode_multibase(text: str) -> bytes:
    """Return the bytes of a base58btc multibase text (`z…`). Raises InvalidKey."""
    if not text.startswith("z") or len(text) > _LONGEST_MULTIBASE:
        raise InvalidKey(f"not base58btc multibase: {text[:40]!r}")
    number = 0
    for character in text[1:]:
        value = _BASE58_VALUES.get(character)
        if value is None:
            raise InvalidKey(f"not base58btc: {text[:40]!r}")
        number = number * 58 + value
    zeros = len(text) - 1 - len(text[1:].lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def encode_base58(content: bytes) -> str:
    """Return base58btc of the bytes, without a multibase prefix."""
    number = int.from_bytes(content, "big")
    characters = []
    while number:
        number, digit = divmod(number, 58)
        characters.append(_BASE58[digit])
    zeros = len(content) - len(content.lstrip(b"\0"))
    return "1" * zeros + "".join(reversed(characters))


def _key_from_point(curve: CurveName, point: bytes) -> PublicKey:
    try:
        return _public_key(curve, ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[curve], point))
    except ValueError as error:
        raise InvalidKey(f"not a point on {curve}") from error


def _public_key(curve: CurveName, key: ec.EllipticCurvePublicKey) -> PublicKey:
    compressed = key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    native: object = None
    if curve == "K-256" and secp256k1 is not None:
        native = secp256k1.ffi.new("secp256k1_pubkey *")
        if not secp256k1.lib.secp256k1_ec_pubkey_parse(GLOBAL_CONTEXT.ctx, native, compressed, len(compressed)):
            raise InvalidKey("not a point on K-256")
    return PublicKey(curve, compressed, key, native)
