"""Keys of media: nothing that somebody writes can become another key, or another path."""

import re
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from appview.media.keys import BlobKey, Key, StagingKey, VariantKey, parse_key
from atprotocol.cid import DAG_CBOR, RAW, cid_of

CID = str(cid_of(b"some audio", RAW))
PATH = re.compile(
    r"blobs/bafkrei[a-z2-7]{52}"
    r"|variants/bafkrei[a-z2-7]{52}/[a-z0-9][a-z0-9.-]{0,39}"
    r"|staging/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
)
CIDS = st.binary(max_size=20).map(lambda content: str(cid_of(content, RAW)))
# Texts near to what is right: the whole, changed in one place.
NEARLY_CIDS = st.builds(
    lambda cid, place, text: cid[:place] + text + cid[place + 1 :], CIDS, st.integers(0, 59), st.text(max_size=2)
)
PROFILES = st.from_regex(r"[a-z0-9][a-z0-9.-]{0,39}", fullmatch=True)
TEXTS = st.text() | st.text(alphabet="abz27A/.-_%\\\0\n ", max_size=45)


def check(key: Key) -> None:
    assert PATH.fullmatch(key.path)
    assert ".." not in key.path
    assert "//" not in key.path
    assert parse_key(key.path) == key


@settings(deadline=None, max_examples=500)
@given(CIDS | NEARLY_CIDS | TEXTS, PROFILES | TEXTS)
@example(CID, "mp3-128\n")
@example(CID + "\n", "mp3-128")
@example(CID.upper(), "mp3-128")
@example(CID, "..")
@example(CID, "a..b")
@example(CID, "../" + CID)
@example(CID + "/x", "mp3-128")
def test_a_text_is_refused_or_makes_the_one_key_of_its_path(cid: str, profile: str) -> None:
    for make in (lambda: BlobKey(cid), lambda: VariantKey(cid, profile)):
        try:
            key = make()
        except ValueError:
            continue
        check(key)


@settings(deadline=None)
@given(CIDS, st.uuids())
def test_what_is_right_is_not_refused(cid: str, name: UUID) -> None:
    for key in (
        BlobKey(cid),
        VariantKey(cid, "mp3-128"),
        VariantKey(cid, "0"),
        VariantKey(cid, "a" * 40),
        StagingKey(name),
    ):
        check(key)


@settings(deadline=None, max_examples=500)
@given(
    TEXTS
    | st.builds("{}/{}".format, st.sampled_from(["blobs", "staging", "variants"]), TEXTS | NEARLY_CIDS)
    | st.builds("variants/{}/{}".format, CIDS | NEARLY_CIDS, TEXTS | PROFILES)
)
@example(f"blobs/{CID}/")
@example(f"/blobs/{CID}")
@example(f"blobs//{CID}")
@example("staging/{0B8E0A3C-7B1D-4A57-9E5E-6D7B2C1A0F42}")
@example("staging/0B8E0A3C-7B1D-4A57-9E5E-6D7B2C1A0F42")
@example("staging/0b8e0a3c7b1d4a579e5e6d7b2c1a0f42")
def test_a_path_is_that_of_its_key_or_of_none(path: str) -> None:
    key = parse_key(path)
    if key is not None:
        assert key.path == path
        check(key)


@pytest.mark.parametrize(
    "cid",
    [
        "",
        str(cid_of(b"some audio", DAG_CBOR)),
        CID.upper(),
        CID[:-1],
        CID + "a",
        CID[:-1] + "b",  # bits beyond the last byte
        "Qm" + CID[2:],
        "b" + "ſ" * 58,
    ],
)
def test_what_names_no_blob_is_no_key(cid: str) -> None:
    with pytest.raises(ValueError, match="CID"):
        BlobKey(cid)
    assert parse_key(f"blobs/{cid}") is None
