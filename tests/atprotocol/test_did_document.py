"""DID documents of today, of yesterday, and malformed ones."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from atprotocol.crypto import CurveName, encode_base58, private_key_from_bytes
from atprotocol.data_model import Json
from atprotocol.did_document import parse_did_document, parse_endpoint
from atprotocol.errors import InvalidDocument
from atprotocol.syntax.did import DID

ALICE = DID("did:plc:ewvi7nxzyoun6zhxrhs64oiz")
SECRET = bytes(range(1, 33))
KEY = private_key_from_bytes("K-256", SECRET).public_key
OTHER_KEY = private_key_from_bytes("P-256", SECRET).public_key
LEGACY_TYPES: dict[CurveName, str] = {
    "K-256": "EcdsaSecp256k1VerificationKey2019",
    "P-256": "EcdsaSecp256r1VerificationKey2019",
}
CURVES: dict[CurveName, ec.EllipticCurve] = {"K-256": ec.SECP256K1(), "P-256": ec.SECP256R1()}


def _method(**changes: Json) -> dict[str, Json]:
    method: dict[str, Json] = {"id": f"{ALICE}#atproto", "type": "Multikey", "controller": ALICE}
    return method | {"publicKeyMultibase": KEY.multikey} | changes


def _service(**changes: Json) -> dict[str, Json]:
    service: dict[str, Json] = {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer"}
    return service | {"serviceEndpoint": "https://pds.example.com"} | changes


def _document(**changes: Json) -> dict[str, Json]:
    document: dict[str, Json] = {"id": ALICE, "alsoKnownAs": ["at://alice.example.com"]}
    return document | {"verificationMethod": [_method()], "service": [_service()]} | changes


def _legacy_point(curve: CurveName, form: PublicFormat) -> str:
    secret = ec.derive_private_key(int.from_bytes(SECRET, "big"), CURVES[curve])
    return "z" + encode_base58(secret.public_key().public_bytes(Encoding.X962, form))


def test_a_modern_document_gives_key_host_and_claim() -> None:
    parsed = parse_did_document(_document(), ALICE)
    assert parsed.did == ALICE
    assert parsed.handle_claim == "alice.example.com"
    assert parsed.signing_key == KEY.did_key
    assert parsed.pds == "https://pds.example.com"


@pytest.mark.parametrize("curve", ["K-256", "P-256"])
@pytest.mark.parametrize("form", [PublicFormat.CompressedPoint, PublicFormat.UncompressedPoint])
@pytest.mark.parametrize("fragment", ["#atproto", f"{ALICE}#atproto"])
def test_a_legacy_key_becomes_the_same_did_key(curve: CurveName, form: PublicFormat, fragment: str) -> None:
    method = _method(id=fragment, type=LEGACY_TYPES[curve], publicKeyMultibase=_legacy_point(curve, form))
    expected = private_key_from_bytes(curve, SECRET).public_key.did_key
    assert parse_did_document(_document(verificationMethod=[method]), ALICE).signing_key == expected


def test_a_document_of_another_did_is_refused() -> None:
    for document in (_document(id="did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"), _document(id=None), {}, [], None, "text"):
        with pytest.raises(InvalidDocument):
            parse_did_document(document, ALICE)


def test_an_empty_document_names_nothing() -> None:
    parsed = parse_did_document({"id": ALICE}, ALICE)
    assert (parsed.handle_claim, parsed.signing_key, parsed.pds) == (None, None, None)


@pytest.mark.parametrize("junk", [None, 1, "text", {}, [None], ["text"], [[]], [{}], [{"id": {}}]])
def test_junk_in_the_lists_counts_as_absent(junk: Json) -> None:
    parsed = parse_did_document({"id": ALICE, "alsoKnownAs": junk, "verificationMethod": junk, "service": junk}, ALICE)
    assert (parsed.handle_claim, parsed.signing_key, parsed.pds) == (None, None, None)


def test_the_first_valid_atproto_key_is_the_key() -> None:
    methods: list[Json] = [
        _method(id="#atproto_label", publicKeyMultibase=OTHER_KEY.multikey),
        _method(id="did:plc:aaaaaaaaaaaaaaaaaaaaaaaa#atproto", publicKeyMultibase=OTHER_KEY.multikey),
        _method(controller="did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", publicKeyMultibase=OTHER_KEY.multikey),
        _method(publicKeyMultibase="zNotAKey0"),
        _method(type="Ed25519VerificationKey2020"),
        _method(publicKeyMultibase=None),
        _method(),
        _method(publicKeyMultibase=OTHER_KEY.multikey),
    ]
    assert parse_did_document(_document(verificationMethod=methods), ALICE).signing_key == KEY.did_key


def test_the_first_host_of_the_right_type_is_the_host_even_when_it_is_no_url() -> None:
    second = _service(serviceEndpoint="https://second.example.com")
    services: list[Json] = [
        _service(id="#bsky_fg"),
        _service(type="Other"),
        _service(id=f"{ALICE}#atproto_pds"),
        second,
    ]
    assert parse_did_document(_document(service=services), ALICE).pds == "https://pds.example.com"
    assert parse_did_document(_document(service=[_service(serviceEndpoint="nonsense"), second]), ALICE).pds is None


def test_the_first_valid_name_is_the_claim_in_lower_case() -> None:
    names: list[Json] = [
        "https://alice.example.com",
        "at://not valid",
        "at://x/y",
        3,
        "at://Alice.Example.com",
        "at://b.example.com",
    ]
    assert parse_did_document(_document(alsoKnownAs=names), ALICE).handle_claim == "alice.example.com"


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://pds.example.com", "https://pds.example.com"),
        ("https://PDS.Example.com/", "https://pds.example.com"),
        ("https://pds.example.com:443", "https://pds.example.com"),
        ("https://pds.example.com:8443", "https://pds.example.com:8443"),
        ("https://[2606:4700::1111]", "https://[2606:4700::1111]"),
    ],
)
def test_an_endpoint_becomes_its_origin(text: str, origin: str) -> None:
    assert parse_endpoint(text) == origin


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pds.example.com",
        "http://pds.example.com",
        "ftp://pds.example.com",
        "https://",
        "https://pds.example.com/path",
        "https://pds.example.com//",
        "https://pds.example.com?query",
        "https://pds.example.com#fragment",
        "https://user@pds.example.com",
        "https://user:word@pds.example.com",
        "https://pds.example.com:0",
        "https://pds.example.com:65536",
        "https://pds.example.com:port",
        "https://pds.example.com\n",
        "https://pds.exa\tmple.com",
        "https://pds.exämple.com",
        "https://pds.example.com\\@evil.example.com",
    ],
)
def test_what_is_more_or_less_than_an_https_origin_is_no_endpoint(text: str) -> None:
    assert parse_endpoint(text) is None


def test_http_is_an_endpoint_only_where_it_is_allowed() -> None:
    assert parse_endpoint("http://localhost:2583", allow_http=True) == "http://localhost:2583"
    document = _document(service=[_service(serviceEndpoint="http://localhost:2583")])
    assert parse_did_document(document, ALICE).pds is None
    assert parse_did_document(document, ALICE, allow_http=True).pds == "http://localhost:2583"


def test_key_and_host_need_no_handle() -> None:
    parsed = parse_did_document(_document(alsoKnownAs=[]), ALICE)
    assert (parsed.handle_claim, parsed.signing_key, parsed.pds) == (None, KEY.did_key, "https://pds.example.com")


def test_a_service_of_another_type_is_no_host() -> None:
    other = _service(type="SomethingElse", serviceEndpoint="https://other.example.com")
    assert parse_did_document(_document(service=[other, _service()]), ALICE).pds == "https://pds.example.com"


def test_a_labeler_has_a_key_and_a_service_of_its_own() -> None:
    label_method = _method(id=f"{ALICE}#atproto_label", publicKeyMultibase=OTHER_KEY.multikey)
    service = _service(id="#atproto_labeler", type="AtprotoLabeler", serviceEndpoint="https://labels.example.com/")
    document = _document(verificationMethod=[_method(), label_method], service=[_service(), service])
    parsed = parse_did_document(document, ALICE)

    assert (parsed.signing_key, parsed.label_key) == (KEY.did_key, OTHER_KEY.did_key)
    assert (parsed.pds, parsed.labeler) == ("https://pds.example.com", "https://labels.example.com")


def test_no_other_key_or_service_stands_in_for_those_of_a_labeler() -> None:
    service = _service(id="#atproto_labeler", serviceEndpoint="https://labels.example.com")
    parsed = parse_did_document(_document(service=[_service(), service]), ALICE)

    assert (parsed.label_key, parsed.labeler) == (None, None)
