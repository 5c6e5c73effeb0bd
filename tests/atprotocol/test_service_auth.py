"""Service tokens: what is accepted, and an attack for every way in which a verifier was ever too kind."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st
from made_up_accounts import ALGORITHMS, MadeUpAccount, encoded, key_of, signed

from atprotocol.crypto import CurveName, PrivateKey, with_low_s
from atprotocol.errors import BadSignature, BadToken
from atprotocol.service_auth import MAX_LENGTH, ServiceToken, read_service_token
from atprotocol.syntax.did import DID
from atprotocol.syntax.nsid import Nsid

NOW = 1_800_000_000.5
SECOND = int(NOW)
SERVICE = "did:web:service.example.com"
AUDIENCES = frozenset((f"{SERVICE}#thing", SERVICE))
METHOD = Nsid("com.example.feed.getThings")
ISSUER = DID("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")
CURVES: tuple[CurveName, ...] = ("K-256", "P-256")
ORDERS = {
    "P-256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "K-256": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141,
}
HEADER = {"typ": "JWT", "alg": "ES256K"}
CLAIMS = {"iss": ISSUER, "aud": f"{SERVICE}#thing", "lxm": METHOD, "iat": SECOND, "exp": SECOND + 60, "jti": "a"}


def account(curve: CurveName = "K-256") -> MadeUpAccount:
    return MadeUpAccount(ISSUER, key_of(7, curve), f"{SERVICE}#thing")


def accept(token: str, curve: CurveName = "K-256") -> ServiceToken:
    """Do what a service does that knows the issuer's key."""
    read = read_service_token(token, audiences=AUDIENCES, method=METHOD, now=NOW)
    read.verify(key_of(7, curve).public_key)
    return read


def refused(token: str, curve: CurveName = "K-256") -> str:
    """Return the name of the error; its message holds nothing of the token."""
    with pytest.raises(BadToken) as caught:
        accept(token, curve)
    assert caught.value.message == str(caught.value)
    for part in (*token.split("."), ISSUER):
        assert len(part) < 8 or part not in caught.value.message
    return caught.value.name


@pytest.mark.parametrize("curve", CURVES)
def test_a_token_as_hosts_write_it_is_accepted(curve: CurveName) -> None:
    token = accept(account(curve).token(METHOD, NOW), curve)
    assert (token.issuer, token.method, token.audience) == (ISSUER, METHOD, f"{SERVICE}#thing")
    assert (token.issued_at, token.expires_at) == (SECOND, SECOND + 60)


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        ({}, {"aud": SERVICE}),
        ({"typ": "jwt"}, {}),
        ({"kid": "#atproto"}, {}),
        ({"kid": f"{ISSUER}#atproto"}, {}),
        ({}, {"lxm": "com.EXAMPLE.Feed.getThings"}),
        ({}, {"iat": SECOND + 60}),
        ({}, {"iat": SECOND - 59, "exp": SECOND - 59}),
        ({}, {"exp": SECOND + 3600}),
        ({}, {"exp": SECOND + 3660}),
        ({}, {"iat": SECOND - 3600, "exp": SECOND - 1}),
        ({}, {"nbf": SECOND}),
        ({}, {"nbf": SECOND + 60}),
        ({}, {"iss": "did:web:artist.example.com"}),
        ({}, {"iss": "did:web:localhost%3A2583"}),
        ({"jwk": {"kty": "EC"}, "jku": "https://evil.example"}, {"sub": "did:plc:other", "nonce": 1, "deep": [[{}]]}),
    ],
)  # fmt: skip
def test_what_is_within_the_rules_is_accepted(header: dict[str, Any], claims: dict[str, Any]) -> None:
    accept(account().token(METHOD, NOW, header, **claims))


def test_a_token_without_a_type_is_accepted() -> None:
    accept(signed({"alg": "ES256K"}, CLAIMS, key_of(7)))


@pytest.mark.parametrize(
    ("header", "error"),
    [
        ({"typ": "at+jwt"}, "BadJwtType"),
        ({"typ": "refresh+jwt"}, "BadJwtType"),
        ({"typ": "dpop+jwt"}, "BadJwtType"),
        ({"typ": "AT+JWT"}, "BadJwtType"),
        ({"typ": "Dpop+Jwt"}, "BadJwtType"),
        ({"typ": "application/at+jwt"}, "BadJwtType"),
        ({"typ": "JWT "}, "BadJwtType"),
        ({"typ": ""}, "BadJwtType"),
        ({"typ": None}, "BadJwtType"),
        ({"typ": ["JWT"]}, "BadJwtType"),
        ({"alg": "none"}, "BadJwt"),
        ({"alg": "None"}, "BadJwt"),
        ({"alg": "HS256"}, "BadJwt"),
        ({"alg": "RS256"}, "BadJwt"),
        ({"alg": "ES384"}, "BadJwt"),
        ({"alg": "EdDSA"}, "BadJwt"),
        ({"alg": "es256k"}, "BadJwt"),
        ({"alg": ""}, "BadJwt"),
        ({"alg": None}, "BadJwt"),
        ({"alg": ["ES256K"]}, "BadJwt"),
        ({"alg": "ES256"}, "BadJwtSignature"),
        ({"kid": "#atproto_label"}, "BadJwt"),
        ({"kid": "atproto"}, "BadJwt"),
        ({"kid": ""}, "BadJwt"),
        ({"kid": None}, "BadJwt"),
        ({"kid": 1}, "BadJwt"),
        ({"kid": ["#atproto"]}, "BadJwt"),
        ({"kid": "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb#atproto"}, "BadJwt"),
        ({"kid": f"{ISSUER}#atproto_label"}, "BadJwt"),
        ({"crit": ["b64"], "b64": False}, "BadJwt"),
        ({"crit": []}, "BadJwt"),
    ],
)
def test_a_header_that_says_something_else_is_refused(header: dict[str, Any], error: str) -> None:
    assert refused(signed(HEADER | header, CLAIMS, key_of(7))) == error


@pytest.mark.parametrize(
    ("claims", "error"),
    [
        # for whom
        ({"aud": None}, "BadJwtAudience"),
        ({"aud": ""}, "BadJwtAudience"),
        ({"aud": "did:web:other.example.com"}, "BadJwtAudience"),
        ({"aud": "did:web:other.example.com#thing"}, "BadJwtAudience"),
        ({"aud": SERVICE[:-1]}, "BadJwtAudience"),
        ({"aud": f"{SERVICE}.evil.example"}, "BadJwtAudience"),
        ({"aud": f"{SERVICE}#"}, "BadJwtAudience"),
        ({"aud": f"{SERVICE}#thin"}, "BadJwtAudience"),
        ({"aud": f"{SERVICE}#things"}, "BadJwtAudience"),
        ({"aud": f"{SERVICE}#other"}, "BadJwtAudience"),
        ({"aud": SERVICE.upper()}, "BadJwtAudience"),
        ({"aud": [SERVICE]}, "BadJwtAudience"),
        ({"aud": {SERVICE: 1}}, "BadJwtAudience"),
        ({"aud": "*"}, "BadJwtAudience"),
        # for what
        ({"lxm": None}, "BadJwtLexiconMethod"),
        ({"lxm": ""}, "BadJwtLexiconMethod"),
        ({"lxm": "*"}, "BadJwtLexiconMethod"),
        ({"lxm": "com.example.feed.*"}, "BadJwtLexiconMethod"),
        ({"lxm": "com.example.feed.getThing"}, "BadJwtLexiconMethod"),
        ({"lxm": "com.example.feed.getThingsNow"}, "BadJwtLexiconMethod"),
        ({"lxm": "com.example.feed.getthings"}, "BadJwtLexiconMethod"),
        ({"lxm": "com.example.feed.GetThings"}, "BadJwtLexiconMethod"),
        ({"lxm": "com.example.feed"}, "BadJwtLexiconMethod"),
        ({"lxm": f"/xrpc/{METHOD}"}, "BadJwtLexiconMethod"),
        ({"lxm": f"{METHOD} "}, "BadJwtLexiconMethod"),
        ({"lxm": [METHOD]}, "BadJwtLexiconMethod"),
        ({"lxm": True}, "BadJwtLexiconMethod"),
        # until when
        ({"exp": None}, "BadJwt"),
        ({"exp": float(SECOND + 60)}, "BadJwt"),
        ({"exp": True}, "BadJwt"),
        ({"exp": str(SECOND + 60)}, "BadJwt"),
        ({"exp": [SECOND + 60]}, "BadJwt"),
        ({"exp": SECOND - 60}, "JwtExpired"),
        ({"exp": SECOND - 3600, "iat": SECOND - 3660}, "JwtExpired"),
        ({"exp": 0}, "JwtExpired"),
        ({"exp": -1}, "JwtExpired"),
        ({"exp": 10**30}, "BadJwt"),
        ({"exp": SECOND + 3661}, "BadJwt"),
        ({"exp": (SECOND + 60) * 1000}, "BadJwt"),
        ({"exp": SECOND - 1}, "BadJwt"),
        # since when
        ({"iat": None}, "BadJwt"),
        ({"iat": float(SECOND)}, "BadJwt"),
        ({"iat": False}, "BadJwt"),
        ({"iat": str(SECOND)}, "BadJwt"),
        ({"iat": SECOND + 61, "exp": SECOND + 120}, "BadJwt"),
        ({"iat": 0}, "BadJwt"),
        ({"iat": -(10**30)}, "BadJwt"),
        ({"nbf": SECOND + 61}, "BadJwt"),
        ({"nbf": str(SECOND)}, "BadJwt"),
        ({"nbf": float(SECOND)}, "BadJwt"),
        # in whose name
        ({"iss": None}, "BadJwtIss"),
        ({"iss": ""}, "BadJwtIss"),
        ({"iss": f"{ISSUER}#atproto_labeler"}, "BadJwtIss"),
        ({"iss": f"{ISSUER}#atproto"}, "BadJwtIss"),
        ({"iss": f"{ISSUER}#"}, "BadJwtIss"),
        ({"iss": "artist.example.com"}, "BadJwtIss"),
        ({"iss": f"at://{ISSUER}"}, "BadJwtIss"),
        ({"iss": "https://pds.example.com"}, "BadJwtIss"),
        ({"iss": "did:plc"}, "BadJwtIss"),
        ({"iss": "DID:plc:aaaaaaaaaaaaaaaaaaaaaaaa"}, "BadJwtIss"),
        ({"iss": f" {ISSUER}"}, "BadJwtIss"),
        ({"iss": f"{ISSUER}\0"}, "BadJwtIss"),
        ({"iss": [ISSUER]}, "BadJwtIss"),
        # once
        ({"jti": None}, "BadJwt"),
        ({"jti": ""}, "BadJwt"),
        ({"jti": 1}, "BadJwt"),
        ({"jti": ["a"]}, "BadJwt"),
        ({"jti": "a" * 513}, "BadJwt"),
        # a nonce is no jti
        ({"jti": None, "nonce": "a"}, "BadJwt"),
    ],
)  # fmt: skip
def test_claims_that_are_not_for_us_now_are_refused(claims: dict[str, Any], error: str) -> None:
    assert refused(account().token(METHOD, NOW, **claims)) == error


@pytest.mark.parametrize("name", ["iss", "aud", "lxm", "iat", "exp", "jti"])
def test_a_claim_that_is_null_is_no_claim(name: str) -> None:
    assert refused(signed(HEADER, CLAIMS | {name: None}, key_of(7))).startswith("BadJwt")


@pytest.mark.parametrize("curve", CURVES)
def test_the_algorithm_is_that_of_the_keys_curve(curve: CurveName) -> None:
    other: CurveName = "P-256" if curve == "K-256" else "K-256"
    mislabelled = signed({"alg": ALGORITHMS[other]}, CLAIMS, key_of(7, curve))
    of_another_curve = signed({"alg": ALGORITHMS[other]}, CLAIMS, key_of(7, other))
    for token in (mislabelled, of_another_curve):
        assert refused(token, curve) == "BadJwtSignature"


def test_a_public_key_is_no_secret_to_sign_with() -> None:
    content = f"{encoded(HEADER | {'alg': 'HS256'})}.{encoded(CLAIMS)}"
    for secret in (key_of(7).public_key.compressed, key_of(7).public_key.did_key.encode()):
        signature = hmac.new(secret, content.encode(), hashlib.sha256).digest()
        for half in (signature, signature * 2):
            assert refused(f"{content}.{encoded(half)}") == "BadJwt"


def test_a_key_that_the_token_brings_along_counts_for_nothing() -> None:
    own = key_of(8)
    header = HEADER | {"jwk": {"kty": "EC", "crv": "secp256k1"}, "kid": "#atproto", "x5c": [], "did": own.public_key.did_key}  # fmt: skip
    assert refused(signed(header, CLAIMS, own)) == "BadJwtSignature"


def _with_signature(curve: CurveName, change: Any) -> str:
    content = f"{encoded({'alg': ALGORITHMS[curve]})}.{encoded(CLAIMS)}"
    return f"{content}.{encoded(change(key_of(7, curve).sign(content.encode())))}"


def _halves(signature: bytes) -> tuple[int, int]:
    return int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")


@pytest.mark.parametrize("curve", CURVES)
def test_high_s_is_accepted_in_tokens_and_nowhere_else(curve: CurveName) -> None:
    def high(signature: bytes) -> bytes:
        return signature[:32] + (ORDERS[curve] - _halves(signature)[1]).to_bytes(32, "big")

    token = accept(_with_signature(curve, high), curve)
    key = key_of(7, curve).public_key
    with pytest.raises(BadSignature):
        key.verify(token.signature, token.signed)
    key.verify(with_low_s(curve, token.signature), token.signed)


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize(
    "change",
    [
        lambda signature: encode_dss_signature(*_halves(signature)),
        lambda signature: b"",
        lambda signature: signature[:-1],
        lambda signature: signature + b"\0",
        lambda signature: b"\0" + signature,
        lambda signature: signature[:32],
        lambda signature: bytes(64),
        lambda signature: signature[:32] + bytes(32),
        lambda signature: bytes(32) + signature[32:],
        lambda signature: b"\xff" * 64,
        lambda signature: signature[32:] + signature[:32],
        lambda signature: signature[:32] + bytes((signature[32] ^ 1,)) + signature[33:],
    ],
)
def test_what_is_no_signature_of_r_and_s_is_refused(curve: CurveName, change: Any) -> None:
    assert refused(_with_signature(curve, change), curve) == "BadJwtSignature"


def test_signed_by_somebody_else_or_for_other_words_is_refused() -> None:
    token = account().token(METHOD, NOW)
    header, _, signature = token.split(".")
    assert refused(signed(HEADER, CLAIMS, key_of(8))) == "BadJwtSignature"
    changed = encoded(CLAIMS | {"iss": "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb"})
    assert refused(f"{header}.{changed}.{signature}") == "BadJwtSignature"


def _parts(header: bytes | dict[str, Any] = HEADER, claims: bytes | dict[str, Any] = CLAIMS) -> list[str]:  # type: ignore[assignment]
    return signed(header, claims, key_of(7)).split(".")


@pytest.mark.parametrize(
    "token",
    [
        "", ".", "..", "...", "a.b.c", "null", "Bearer",
        ".".join(_parts()[:2]), ".".join([*_parts(), "a"]), ".".join([*_parts(), ""]), "." + ".".join(_parts()),
        ".".join([*_parts()[:2], ""]),
        ".".join(["", *_parts()[1:]]),
        ".".join(_parts()) + "=", ".".join(_parts()) + "==", ".".join(_parts()) + "\n", " " + ".".join(_parts()),
        "\t".join(_parts()), ".".join(_parts()).replace(".", ". "), ".".join(_parts()) + "é",
        # standard base64, padded base64, bits that are left over
        ".".join([base64.b64encode(b'{"alg":"ES256K","x":"\xc3\xbf\xc3\xbf>>>???"}').decode().rstrip("="), *_parts()[1:]]),
        ".".join([base64.urlsafe_b64encode(json.dumps(HEADER | {"x": 1}).encode() + b" ").decode(), *_parts()[1:]]),
        ".".join([*_parts()[:2], _parts()[2][:-1] + "B"]),
        # no JSON objects
        *(".".join(_parts(header=content)) for content in (b"", b"null", b"1", b"[]", b'"ES256K"', b"{", b"{}{}", b'{"alg":"ES256K"} x', b"{'alg':'ES256K'}", b"\xef\xbb\xbf" + json.dumps(HEADER).encode(), json.dumps(HEADER).encode("utf-16"), b'{"alg":"\xff"}')),
        *(".".join(_parts(claims=content)) for content in (b"", b"null", b"[]", b"{", json.dumps(CLAIMS)[:-1].encode(), json.dumps([CLAIMS]).encode())),
        # names that stand twice
        ".".join(_parts(header=b'{"alg":"none","alg":"ES256K"}')),
        ".".join(_parts(header=b'{"alg":"ES256K","alg":"ES256K"}')),
        ".".join(_parts(claims=json.dumps(CLAIMS)[:-1].encode() + b',"iss":"did:plc:bbbbbbbbbbbbbbbbbbbbbbbb"}')),
        ".".join(_parts(claims=json.dumps(CLAIMS)[:-1].encode() + b',"\\u0069ss":"did:plc:bbbbbbbbbbbbbbbbbbbbbbbb"}')),
        ".".join(_parts(claims=json.dumps(CLAIMS)[:-1].encode() + b',"x":{"a":1,"a":2}}')),
        # numbers that JSON does not have, and one too long to read
        *(".".join(_parts(claims=json.dumps(CLAIMS)[:-1].encode() + b',"x":' + number + b"}")) for number in (b"NaN", b"Infinity", b"-Infinity", b"01")),
        # deep, and long
        ".".join(_parts(claims=json.dumps(CLAIMS)[:-1].encode() + b',"x":' + b"[" * 1200 + b"]" * 1200 + b"}")),
        ".".join(_parts(claims=b"[" * 2500)),
        ".".join(_parts(claims=b'{"a":' * 500)),
        ".".join(_parts(claims=CLAIMS | {"x": "a" * MAX_LENGTH})),
        "a" * (MAX_LENGTH + 1), "." * 4000,
    ],
    # Signatures are random, and the names of tests are not.
    ids=lambda _: "token",
)  # fmt: skip
def test_what_is_not_exactly_three_parts_of_json_and_signature_is_refused(token: str) -> None:
    with pytest.raises(BadToken):
        accept(token)


def test_a_token_of_the_greatest_length_is_read_and_one_that_is_longer_is_not() -> None:
    def long(filling: int) -> str:
        return signed(HEADER, CLAIMS | {"x": "a" * filling}, key_of(7))

    filling = next(size for size in range(MAX_LENGTH) if len(long(size)) > MAX_LENGTH - 2)
    accept(long(filling))
    with pytest.raises(BadToken, match="longer"):
        accept(long(filling + 4))


@pytest.mark.parametrize("second", [None, 0, 1, -1])
def test_another_method_or_moment_is_another_question(second: int | None) -> None:
    token = account().token(METHOD, NOW)
    ends = {None: NOW, 0: NOW + 119.4, 1: NOW + 120, -1: NOW - 60.4}[second]
    if second == 1:
        with pytest.raises(BadToken) as caught:
            read_service_token(token, audiences=AUDIENCES, method=METHOD, now=ends)
        assert caught.value.name == "JwtExpired"
    else:
        read_service_token(token, audiences=AUDIENCES, method=METHOD, now=ends)
        with pytest.raises(BadToken):
            read_service_token(token, audiences=AUDIENCES, method=Nsid("com.example.other"), now=ends)
        with pytest.raises(BadToken):
            read_service_token(token, audiences=(), method=METHOD, now=ends)


ONE = ".".join(_parts())


@given(st.integers(0, len(ONE) - 1), st.characters(codec="utf-8"))
def test_no_other_spelling_of_a_token_is_accepted(position: int, character: str) -> None:
    changed = ONE[:position] + character + ONE[position + 1 :]
    if changed != ONE:
        with pytest.raises(BadToken):
            accept(changed)


@given(st.text())
def test_whatever_is_sent_is_refused_and_nothing_breaks(text: str) -> None:
    with pytest.raises(BadToken):
        accept(text)


@given(st.sampled_from(CURVES), st.integers(1, 2**64), st.binary(max_size=100))
def test_the_lower_half_is_the_only_form_of_a_signature_that_comes_out(curve: CurveName, number: int, message: bytes) -> None:  # fmt: skip
    key: PrivateKey = key_of(number, curve)
    low = key.sign(message)
    high = low[:32] + (ORDERS[curve] - _halves(low)[1]).to_bytes(32, "big")
    assert with_low_s(curve, low) == with_low_s(curve, high) == low
