import base64
import json
from typing import Any

import pytest
import world
from interop import interop_path

from atprotocol.crypto import (
    CurveName,
    PublicKey,
    decode_multibase,
    encode_base58,
    parse_did_key,
    parse_legacy_key,
    parse_multikey,
    private_key_from_bytes,
)
from atprotocol.errors import BadSignature, InvalidKey

CURVES: list[CurveName] = ["P-256", "K-256"]
SIGNATURES = json.loads(interop_path("crypto/signature-fixtures.json").read_text())


def decode_base64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4))


@pytest.mark.parametrize("fixture", SIGNATURES, ids=lambda fixture: fixture["comment"])
def test_interop_signatures(fixture: dict[str, Any]) -> None:
    message, signature = decode_base64(fixture["messageBase64"]), decode_base64(fixture["signatureBase64"])
    keys = [
        parse_did_key(fixture["publicKeyDid"]),
        parse_legacy_key(fixture["didDocSuite"], fixture["publicKeyMultibase"]),
    ]

    assert keys[0] == keys[1]
    for key in keys:
        if fixture["validSignature"]:
            key.verify(signature, message)
        else:
            with pytest.raises(BadSignature):
                key.verify(signature, message)


@pytest.mark.parametrize(("file", "curve"), [("w3c_didkey_K256.json", "K-256"), ("w3c_didkey_P256.json", "P-256")])
def test_interop_did_keys(file: str, curve: CurveName) -> None:
    for fixture in json.loads(interop_path(f"crypto/{file}").read_text()):
        secret = (
            bytes.fromhex(fixture["privateKeyBytesHex"])
            if "privateKeyBytesHex" in fixture
            else decode_multibase("z" + fixture["privateKeyBytesBase58"])
        )
        key = private_key_from_bytes(curve, secret).public_key

        assert key.did_key == fixture["publicDidKey"]
        assert parse_did_key(fixture["publicDidKey"]) == key


@pytest.fixture(params=CURVES)
def curve(request: pytest.FixtureRequest) -> CurveName:
    return request.param


def without_native(key: PublicKey) -> PublicKey:
    """The same key where libsecp256k1 has no wheel."""
    return PublicKey(key.curve, key.compressed, key._openssl)


def test_what_a_key_signs_it_verifies_and_nothing_else(curve: CurveName) -> None:
    private = private_key_from_bytes(curve, bytes(31) + b"\x07")
    other = private_key_from_bytes(curve, bytes(31) + b"\x08").public_key
    signature = private.sign(b"message")

    for key in (private.public_key, without_native(private.public_key)):
        key.verify(signature, b"message")
        for wrong_signature, wrong_message in (
            (signature, b"massage"),
            (bytes((signature[0] ^ 1,)) + signature[1:], b"message"),
        ):
            with pytest.raises(BadSignature):
                key.verify(wrong_signature, wrong_message)
    with pytest.raises(BadSignature):
        other.verify(signature, b"message")


def test_high_s_and_other_lengths_and_ranges_are_refused(curve: CurveName) -> None:
    key = world.Key(curve, 7)
    order = world.ORDERS[curve]
    for public in (parse_multikey(key.multikey), without_native(parse_multikey(key.multikey))):
        public.verify(key.sign(b"x"), b"x")
        for signature in (
            key.sign(b"x", high_s=True),
            key.sign(b"x")[:-1],
            key.sign(b"x") + b"\0",
            bytes(64),
            key.sign(b"x")[:32] + bytes(32),
            bytes(32) + key.sign(b"x")[32:],
            order.to_bytes(32, "big") + key.sign(b"x")[32:],
        ):
            with pytest.raises(BadSignature):
                public.verify(signature, b"x")


def test_a_key_keeps_its_form(curve: CurveName) -> None:
    text = world.Key(curve, 12345).multikey

    assert parse_multikey(text).multikey == text
    assert parse_did_key(f"did:key:{text}").did_key == f"did:key:{text}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "z",
        "zzzz0",
        "m" + world.Key("P-256", 1).multikey[1:],
        "z" + encode_base58(b"\xed\x01" + bytes(32)),  # Ed25519
        "z" + encode_base58(b"\x80\x24" + b"\x02" + b"\xff" * 32),  # not on the curve
        "z" + encode_base58(b"\x80\x24" + b"\x02" + bytes(33)),
        "z" + "2" * 500,
    ],
)
def test_text_that_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidKey):
        parse_multikey(text)
    with pytest.raises(InvalidKey):
        parse_did_key(text)


def test_legacy_keys_of_unknown_types_are_refused() -> None:
    point = f"z{encode_base58(decode_multibase(world.World(1).key('K-256').multikey)[2:])}"
    assert parse_legacy_key("EcdsaSecp256k1VerificationKey2019", point).curve == "K-256"
    with pytest.raises(InvalidKey, match="no supported type"):
        parse_legacy_key("Ed25519VerificationKey2018", point)


def test_base58_keeps_leading_zeros() -> None:
    assert decode_multibase("z" + encode_base58(b"\0\0abc")) == b"\0\0abc"


@pytest.mark.parametrize("curve", CURVES)
def test_a_multikey_of_a_point_that_is_not_compressed_is_refused(curve: CurveName) -> None:
    key = world.World(1).key(curve)
    numbers = key.private.public_key().public_numbers()
    point = b"\x04" + numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
    assert parse_multikey(f"z{encode_base58(decode_multibase(key.multikey))}").multikey == key.multikey

    with pytest.raises(InvalidKey, match="33 bytes"):
        parse_multikey(f"z{encode_base58(world.CODECS[curve] + point)}")
