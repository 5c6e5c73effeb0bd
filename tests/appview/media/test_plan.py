"""How audio is answered: by gate, by the state of the bytes, by where they are and what the storage allows."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appview.media.plan import (
    Audio,
    FromHost,
    FromStorage,
    Kept,
    Refusal,
    Refuse,
    ToPublic,
    ToSigned,
    Ways,
    plan,
)
from appview.media.settings import Mirroring

KEPT = Kept("cid", None, "cid", "etag", 100, "audio/flac")
VARIANT = Kept("cid", "aac-160", "other", "etag", 10, "audio/mp4")
PDS = "https://pds.example.com"
NEW = Audio("did:plc:a", "cid", "A - B", False, PDS, None, None, {})
READY = replace(NEW, state="ready", original=KEPT, variants={"aac-160": VARIANT})
GATED = replace(READY, is_gated=True)
DISK, S3, CDN = Ways(), Ways(can_sign=True), Ways(has_public_url=True, can_sign=True)


@pytest.mark.parametrize(
    ("audio", "ways", "expected"),
    [
        (None, DISK, Refuse(Refusal.NOT_FOUND)),
        (None, CDN, Refuse(Refusal.NOT_FOUND)),
        (READY, DISK, FromStorage(KEPT, is_private=False)),
        (READY, S3, ToSigned(KEPT)),
        (READY, CDN, ToPublic(KEPT)),
        (READY, replace(CDN, redirects=False), FromStorage(KEPT, is_private=False)),
        (READY, replace(S3, mirroring=Mirroring.NEVER), ToSigned(KEPT)),
        (GATED, DISK, Refuse(Refusal.SUPPORT_REQUIRED)),
        (GATED, CDN, Refuse(Refusal.SUPPORT_REQUIRED)),
        (replace(GATED, original=None, state=None), S3, Refuse(Refusal.SUPPORT_REQUIRED)),
        (NEW, DISK, FromHost(PDS, is_private=False, is_wanted=True)),
        (NEW, replace(DISK, mirroring=Mirroring.ALWAYS), FromHost(PDS, is_private=False, is_wanted=True)),
        (NEW, replace(DISK, mirroring=Mirroring.NEVER), FromHost(PDS, is_private=False, is_wanted=False)),
        (replace(NEW, state="pending"), CDN, FromHost(PDS, is_private=False, is_wanted=True)),
        (replace(NEW, pds=None), DISK, Refuse(Refusal.UNAVAILABLE, is_wanted=True)),
        (replace(NEW, state="gone"), DISK, Refuse(Refusal.UNAVAILABLE, is_wanted=True)),
        (replace(NEW, state="mismatch"), DISK, Refuse(Refusal.UNAVAILABLE, is_wanted=True)),
        # Where nothing is fetched to be kept, nobody would ever ask the host again but whoever listens.
        (
            replace(NEW, state="mismatch"),
            Ways(mirroring=Mirroring.NEVER),
            FromHost(PDS, is_private=False, is_wanted=False),
        ),
        (replace(NEW, state="too-large"), DISK, Refuse(Refusal.UNAVAILABLE)),
        (replace(NEW, state="unsupported"), DISK, Refuse(Refusal.UNAVAILABLE)),
    ],
)
def test_a_stranger_is_answered(audio: Audio | None, ways: Ways, expected: object) -> None:
    assert plan(audio, ways, is_own=False) == expected


@pytest.mark.parametrize(
    ("audio", "ways", "expected"),
    [
        (GATED, DISK, FromStorage(KEPT, is_private=True)),
        (GATED, S3, ToSigned(KEPT)),
        # What is gated is at no public address, whatever there is.
        (GATED, CDN, ToSigned(KEPT)),
        (replace(GATED, original=None, state=None), DISK, FromHost(PDS, is_private=True, is_wanted=True)),
        # In a storage that everybody reads it is not kept.
        (replace(GATED, original=None, state=None), CDN, FromHost(PDS, is_private=True, is_wanted=False)),
    ],
)
def test_the_owner_of_a_gated_track_hears_it_in_private(audio: Audio, ways: Ways, expected: object) -> None:
    assert plan(audio, ways, is_own=True) == expected


def test_a_variant_is_given_only_while_it_is_there() -> None:
    assert plan(READY, DISK, is_own=False, profile="aac-160") == FromStorage(VARIANT, is_private=False)
    assert plan(READY, CDN, is_own=False, profile="aac-160") == ToPublic(VARIANT)
    assert plan(READY, DISK, is_own=False, profile="mp3-9") == Refuse(Refusal.NOT_FOUND)
    assert plan(NEW, DISK, is_own=False, profile="aac-160") == Refuse(Refusal.NOT_FOUND)


def test_who_asks_for_the_headers_alone_is_not_sent_to_a_signature_for_another_verb() -> None:
    assert plan(READY, S3, is_own=False, is_head=True) == FromStorage(KEPT, is_private=False)
    assert plan(READY, CDN, is_own=False, is_head=True) == ToPublic(KEPT)


audios = st.builds(
    Audio,
    did=st.just("did:plc:a"),
    cid=st.just("cid"),
    file_name=st.just("x"),
    is_gated=st.booleans(),
    pds=st.sampled_from([None, PDS]),
    state=st.sampled_from([None, "pending", "ready", "gone", "mismatch", "too-large", "unsupported"]),
    original=st.sampled_from([None, KEPT]),
    variants=st.sampled_from([{}, {"aac-160": VARIANT}]),
    is_anothers=st.booleans(),
)
all_ways = st.builds(Ways, st.booleans(), st.booleans(), st.booleans(), st.sampled_from(list(Mirroring)))


@given(audios, all_ways, st.sampled_from([None, "aac-160", "x"]), st.booleans())
def test_nobody_but_the_owner_gets_a_byte_of_a_gated_track(
    audio: Audio, ways: Ways, profile: str | None, is_head: bool
) -> None:
    decided = plan(replace(audio, is_gated=True), ways, is_own=False, profile=profile, is_head=is_head)
    assert decided == Refuse(Refusal.SUPPORT_REQUIRED)
    for own in (True, False):
        found = plan(replace(audio, is_gated=True), ways, is_own=own, profile=profile, is_head=is_head)
        assert not isinstance(found, ToPublic)
        assert getattr(found, "is_private", True)


@given(audios, all_ways, st.sampled_from([None, "aac-160", "x"]), st.booleans(), st.booleans())
def test_who_names_the_bytes_of_anothers_gated_track_gets_nothing_of_what_is_kept(
    audio: Audio, ways: Ways, profile: str | None, is_head: bool, is_own: bool
) -> None:
    audio = replace(audio, is_anothers=True, is_gated=False)
    assert isinstance(plan(audio, ways, is_own=is_own, profile=profile, is_head=is_head), FromHost | Refuse)
