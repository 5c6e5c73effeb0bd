from typing import Any

import pytest
import world

from atprotocol.commit import decode_commit
from atprotocol.crypto import parse_multikey
from atprotocol.errors import BadSignature, EncodingError, FieldMismatch

KEY = world.Key("K-256", 99)
DATA = world.cid_of(b"tree")
FIELDS: dict[str, Any] = {
    "did": "did:plc:abc",
    "version": 3,
    "data": world.link(DATA),
    "rev": "3jzfcijpj2z2a",
    "prev": None,
}


def signed(fields: dict[str, Any]) -> bytes:
    return world.encode(fields | {"sig": KEY.sign(world.encode(fields))})


def test_a_commit_gives_its_fields_and_the_bytes_that_were_signed() -> None:
    commit = decode_commit(signed(FIELDS))

    assert (commit.did, commit.rev, commit.data) == ("did:plc:abc", "3jzfcijpj2z2a", DATA)
    assert commit.unsigned == world.encode(FIELDS)
    commit.verify_signature(parse_multikey(KEY.multikey))


def test_a_signature_that_begins_like_a_cid_is_still_a_signature() -> None:
    signature = world.cid_of(b"") + bytes(28)

    assert decode_commit(world.encode(FIELDS | {"sig": signature})).signature == signature


def test_a_signature_that_is_a_link_is_refused() -> None:
    with pytest.raises(EncodingError):
        decode_commit(world.encode(FIELDS | {"sig": world.link(world.cid_of(b""))}))


def test_another_key_did_not_sign_it() -> None:
    with pytest.raises(BadSignature):
        decode_commit(signed(FIELDS)).verify_signature(parse_multikey(world.Key("K-256", 98).multikey))


def test_a_prev_link_is_allowed() -> None:
    assert decode_commit(signed(FIELDS | {"prev": world.link(DATA)})).did == "did:plc:abc"


@pytest.mark.parametrize(
    "changed",
    [
        {"version": 2},
        {"version": True},
        {"version": "3"},
        {"did": 1},
        {"rev": None},
        {"data": None},
        {"data": world.link(world.cid_of(b"", 0x55))},
        {"prev": "x"},
        {"extra": 1},
    ],
)
def test_wrong_fields_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(FieldMismatch):
        decode_commit(signed(FIELDS | changed))


@pytest.mark.parametrize("missing", list(FIELDS))
def test_missing_fields_are_refused(missing: str) -> None:
    with pytest.raises(FieldMismatch):
        decode_commit(signed({name: value for name, value in FIELDS.items() if name != missing}))


def test_a_commit_without_signature_or_with_one_of_text_is_refused() -> None:
    with pytest.raises(FieldMismatch):
        decode_commit(world.encode(FIELDS))
    with pytest.raises(FieldMismatch):
        decode_commit(world.encode(FIELDS | {"sig": "x"}))


@pytest.mark.parametrize(
    "block", [b"", b"\xff", world.encode([1]), b"\x81" * 100_000, world.encode(FIELDS | {"data": DATA, "sig": b""})]
)
def test_what_is_no_canonical_map_is_refused(block: bytes) -> None:
    with pytest.raises(EncodingError):
        decode_commit(block)
