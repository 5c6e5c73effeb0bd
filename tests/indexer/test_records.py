"""Bytes of one record to a verdict and a projection, for each collection and for whatever strangers write."""

from dataclasses import astuple, replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
import world
from harness import CATALOG, NAMESPACE
from hypothesis import given
from hypothesis import strategies as st

from atprotocol.lexicon.schema import LexiconError
from indexer.collections.list import slug_of
from indexer.collections.projection import Comment, Follow, Like, Profile, Subject, Track, TrackList
from indexer.records import BLUESKY_FOLLOW, BLUESKY_PROFILE, Reading, RecordReader

READER = RecordReader(CATALOG, NAMESPACE)
KEY = "3mbd3542kzc22"
AUTHOR = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
CREATED = "2026-01-01T00:00:00.000Z"
CID_TEXT = world.cid_text(world.cid_of(b"something"))
SUBJECT = {"uri": f"at://{AUTHOR}/fm.plyr.track/{KEY}", "cid": CID_TEXT}
BLOB_CID = world.cid_text(world.cid_of(b"content", 0x55))
AUDIO, IMAGE = world.blob(b"content", "audio/mpeg"), world.blob(b"content", "image/png")

VALID: dict[str, dict[str, Any]] = {
    "track": {"title": "A title", "artist": "Somebody", "fileType": "mp3", "createdAt": CREATED},
    "like": {"subject": SUBJECT, "createdAt": CREATED},
    "comment": {"subject": SUBJECT, "text": "Nice", "timestampMs": 1000, "createdAt": CREATED},
    "list": {"items": [{"subject": SUBJECT}], "createdAt": CREATED},
    "actor.profile": {"createdAt": CREATED},
}
PLAIN_TRACK = Track(
    created_at=CREATED, title="A title", artist="Somebody", album=None, duration_seconds=None, file_type="mp3",
    audio_cid=None, audio_mime_type=None, audio_size_bytes=None, audio_url=None, image_cid=None, image_url=None,
    support_gate=None, visibility="public", says_visibility=False, tags=(), features=(), self_labels=(),
)  # fmt: skip
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(max_size=8)
    | st.binary(max_size=8)
    | st.just(world.link(world.cid_of(b"x")))
    | st.sampled_from([SUBJECT, AUDIO, "did:plc:x", "at://a.b/c.d.e/f", CREATED, "https://x", "9999-12-31T23:59:60Z"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def key_of(name: str) -> str:
    return "self" if name.endswith("profile") else KEY


def read(name: str, key: str | None = None, /, **fields: Any) -> Reading:
    """Read a valid record of a collection with other fields."""
    nsid = f"{NAMESPACE}.{name}"
    record = {"$type": nsid} | VALID[name] | fields
    return READER.read(f"{nsid}/{key_of(name) if key is None else key}", world.encode(record))


def read_bluesky(**fields: Any) -> Reading:
    return READER.read(f"{BLUESKY_PROFILE}/self", world.encode({"$type": BLUESKY_PROFILE} | fields))


def rules(reading: Reading) -> list[tuple[str, str]]:
    return [(problem.path, problem.rule) for problem in reading.problems]


def track(**fields: Any) -> Track:
    """Return the projection of a track that is not rejected."""
    reading = read("track", **fields)
    assert isinstance(reading.projection, Track), reading.problems
    return reading.projection


# --- what each collection shows ---------------------------------------------------------------------------------------


def test_a_plain_track() -> None:
    reading = read("track")
    assert (reading.verdict, reading.problems, reading.projection) == ("accepted", (), PLAIN_TRACK)
    assert reading.created_at == datetime(2026, 1, 1, tzinfo=UTC)


def test_a_track_with_everything() -> None:
    reading = read(
        "track",
        album="First",
        duration=200,
        audioBlob=AUDIO,
        audioUrl="https://example.com/a.mp3",
        image=IMAGE,
        imageUrl="https://example.com/a.png",
        supportGate={"type": "any"},
        visibility="unlisted",
        tags=["ambient"],
        features=[{"did": "did:plc:b", "handle": "b.example.com", "displayName": "B"}],
        description="Words",
        labels={
            "$type": "com.atproto.label.defs#selfLabels",
            "values": [{"val": "porn"}, {"val": "!takedown"}, {"val": "porn"}, {"val": "!no-unauthenticated"}],
        },
        unknown={"kept": [1, world.link(world.cid_of(b"x"))]},
    )
    assert reading.verdict == "accepted"
    assert reading.projection == replace(
        PLAIN_TRACK, album="First", duration_seconds=200, audio_cid=BLOB_CID, audio_mime_type="audio/mpeg",
        audio_size_bytes=7, audio_url="https://example.com/a.mp3", image_cid=BLOB_CID,
        image_url="https://example.com/a.png", support_gate="any", visibility="unlisted", says_visibility=True, tags=("ambient",),
        features=("did:plc:b",), self_labels=("porn", "!no-unauthenticated"),
    )  # fmt: skip
    assert reading.json is not None
    kept = orjson.loads(reading.json)
    assert kept["unknown"] == {"kept": [1, {"$link": world.cid_text(world.cid_of(b"x"))}]}
    assert kept["audioBlob"]["ref"] == {"$link": BLOB_CID}
    assert kept["features"][0]["displayName"] == "B"


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Hello, World!", "hello-world"),
        ("  Ünïcödé __ Straße  ", "unicode-strasse"),
        ("夜の音楽 2", "夜の音楽-2"),
        ("ガラス", "ガラス"),
        ("!!!", None),
        ("", None),
        ("x" * 1000, "x" * 256),
    ],
)
def test_a_list_has_a_name_for_addresses(name: str, slug: str | None) -> None:
    assert slug_of(name) == slug


def test_of_a_follow_only_the_edge_is_kept() -> None:
    record = {"$type": BLUESKY_FOLLOW, "subject": "did:plc:b", "createdAt": CREATED}
    reading = READER.read(f"{BLUESKY_FOLLOW}/{KEY}", world.encode(record))
    assert (reading.verdict, reading.projection) == ("accepted", Follow("did:plc:b"))
    assert (reading.json, reading.keeps_raw) == (None, False)


def test_a_like_and_a_comment() -> None:
    subject = Subject(AUTHOR, f"fm.plyr.track/{KEY}")
    assert read("like").projection == Like(CREATED, subject)
    assert read("comment").projection == Comment(CREATED, subject, "Nice", 1000)
    assert read("like").json is None, "no view returns it"
    assert read("comment").json is not None


def test_a_list_keeps_every_item_in_order_repetitions_included() -> None:
    other = {"uri": f"at://{AUTHOR}/app.bsky.feed.post/x", "cid": CID_TEXT}
    reading = read(
        "list",
        items=[{"subject": other}, {"subject": SUBJECT}, {"subject": other}],
        name="Mine", listType="mixtape", description="Words", image=IMAGE,
    )  # fmt: skip
    theirs, track_subject = Subject(AUTHOR, "app.bsky.feed.post/x"), Subject(AUTHOR, f"fm.plyr.track/{KEY}")
    assert reading.projection == TrackList(
        CREATED, "Mine", "mine", "mixtape", "Words", BLOB_CID, (theirs, track_subject, theirs)
    )
    assert reading.verdict == "accepted", "an unknown listType is kept"
    empty = read("list", items=[]).projection
    assert isinstance(empty, TrackList)
    assert (empty.items, empty.purpose) == ((), None)


def test_the_two_profiles_of_an_account() -> None:
    own = read("actor.profile", displayName="A", bio="B", avatar="https://example.com/a.png", avatarBlob=IMAGE)
    assert own.projection == Profile("own", CREATED, "A", "B", "https://example.com/a.png", BLOB_CID, ())
    theirs = read_bluesky(displayName="A", description="B", avatar=IMAGE, createdAt=CREATED, pinnedPost=SUBJECT)
    assert theirs.projection == Profile("bluesky", CREATED, "A", "B", None, BLOB_CID, ())
    assert (own.json is None, theirs.json is None) == (False, True)
    assert read_bluesky().projection == Profile("bluesky", None, None, None, None, None, ())


# --- odd, and accepted ------------------------------------------------------------------------------------------------


def test_nul_is_kept_in_the_json_and_replaced_where_postgres_refuses_it() -> None:
    everywhere = {"title": "a\0b", "artist": "\0", "fileType": "m\0", "album": "\0", "tags": ["\0", "\ufffd"]}
    blob = world.blob(b"content", "audio/\0")
    reading = read("track", **everywhere, audioBlob=blob, supportGate={"type": "\0"}, **{"x\0": "\0"})
    assert reading.verdict == "accepted"
    assert isinstance(reading.projection, Track)
    assert "\0" not in repr(astuple(reading.projection)).replace("\\x00", "\0")
    assert (reading.projection.title, reading.projection.tags) == ("a\ufffdb", ("\ufffd",))
    assert reading.json is not None
    assert orjson.loads(reading.json)["title"] == "a\0b"
    assert orjson.loads(reading.json)["x\0"] == "\0"
    for other in (
        read("comment", text="\0"),
        read("list", name="\0", listType="\0", description="\0"),
        read("actor.profile", displayName="\0", bio="\0"),
        read_bluesky(displayName="\0", description="\0"),
    ):
        assert other.projection is not None
        assert "\\x00" not in repr(astuple(other.projection))


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("0000-01-01T00:00:00Z", datetime.min),
        ("0001-01-01T00:00:00+23:59", datetime.min),
        ("0001-01-01T00:00:00Z", datetime.min),
        ("9999-12-31T23:59:59.999999999Z", datetime.max),
        ("9999-12-31T23:59:59-23:59", datetime.max),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1)),
        ("2026-01-01T01:30:00.5+01:30", datetime(2026, 1, 1, 0, 0, 0, 500_000)),
    ],
)
def test_dates_at_the_ends_of_the_calendar_are_kept_as_written_and_sort_as_well_as_they_can(
    text: str, instant: datetime
) -> None:
    reading = read("track", createdAt=text)
    assert reading.verdict == "accepted"
    assert isinstance(reading.projection, Track)
    assert reading.projection.created_at == text
    assert reading.created_at == instant.replace(tzinfo=UTC)


def test_a_title_of_five_thousand_characters_is_shown_whole_and_flagged() -> None:
    reading = read("track", title="\N{MUSICAL SYMBOL G CLEF}" * 5000)
    assert (reading.verdict, rules(reading)) == ("flagged", [("/title", "maxLength")])
    assert isinstance(reading.projection, Track)
    assert len(reading.projection.title) == 5000
    assert reading.json is not None


@pytest.mark.parametrize(
    ("visibility", "shown_as"),
    [("public", "public"), ("unlisted", "unlisted"), ("friends", "unlisted"), ("", "unlisted"), ("Public", "unlisted")],
)
def test_an_unknown_visibility_counts_as_unlisted(visibility: str, shown_as: str) -> None:
    assert track(visibility=visibility).visibility == shown_as


def test_tags_and_credits_count_once_in_the_order_of_the_author() -> None:
    assert track(tags=["b", "a", "b", "A"]).tags == ("b", "a", "A")
    credited = [{"did": "did:plc:b"}, {"did": "did:plc:a"}, {"did": "did:plc:b", "displayName": "again"}]
    assert track(features=credited).features == ("did:plc:b", "did:plc:a")


def test_a_blob_of_the_old_form_is_read_and_flagged() -> None:
    reading = read("track", audioBlob={"cid": BLOB_CID, "mimeType": "audio/mpeg"})
    assert (reading.verdict, rules(reading)) == ("flagged", [("/audioBlob", "blob:legacy")])
    assert isinstance(reading.projection, Track)
    assert (reading.projection.audio_cid, reading.projection.audio_size_bytes) == (BLOB_CID, None)


@pytest.mark.parametrize("created_at", ["yesterday", "", "\0", 7, [], {}, None, b"", True])
def test_of_a_bluesky_profile_a_created_at_that_is_none_is_left_out(created_at: object) -> None:
    reading = read_bluesky(displayName="A", createdAt=created_at)
    assert reading.projection == Profile("bluesky", None, "A", None, None, None, ())


# --- odd, and rejected ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uri",
    [
        f"at://somebody.example.com/fm.plyr.track/{KEY}",
        f"at://{AUTHOR}",
        f"at://{AUTHOR}/fm.plyr.track",
    ],
)
@pytest.mark.parametrize("name", ["like", "comment", "list"])
def test_a_subject_names_a_record_by_the_did_of_its_account(name: str, uri: str) -> None:
    subject = {"uri": uri, "cid": CID_TEXT}
    reading = read(name, items=[{"subject": SUBJECT}, {"subject": subject}], subject=subject)
    assert (reading.verdict, rules(reading)) == ("rejected", [("/subject", "subject")])
    assert (reading.projection, reading.json) == (None, None)
    assert reading.created_at is not None


@pytest.mark.parametrize("key", ["not-a-tid", "self", KEY + "2", "zzzzzzzzzzzzz", f"{KEY}/x", ""])
def test_a_key_that_is_no_tid_is_rejected(key: str) -> None:
    reading = read("track", key)
    assert (reading.verdict, rules(reading)) == ("rejected", [("", "recordKey")])


def test_a_profile_under_another_key_than_self_is_rejected() -> None:
    assert rules(read("actor.profile", KEY)) == [("", "recordKey")]


@pytest.mark.parametrize("name", VALID)
def test_a_required_field_that_is_missing_null_or_of_another_type_is_rejected(name: str) -> None:
    nsid = f"{NAMESPACE}.{name}"
    for required in VALID[name]:
        without = {"$type": nsid} | {field: value for field, value in VALID[name].items() if field != required}
        reading = READER.read(f"{nsid}/{key_of(name)}", world.encode(without))
        assert (reading.verdict, rules(reading)) == ("rejected", [(f"/{required}", "required")])
        for wrong in (None, True, 1.5, -1, b"", {"$type": "blob"}, [[]], {}):
            if required == "timestampMs" and wrong == 1:
                continue
            reading = read(name, **{required: wrong})
            assert reading.verdict == "rejected", (required, wrong)
            assert reading.projection is None
            assert all(path.startswith(f"/{required}") or rule == "cbor" for path, rule in rules(reading))


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("album", 1), ("album", None), ("duration", -1), ("duration", "200"), ("duration", 2**63 - 1),
        ("audioBlob", IMAGE), ("audioBlob", "x"), ("audioBlob", AUDIO | {"size": -1}), ("audioBlob", AUDIO | {"size": 2**40}),
        ("audioBlob", AUDIO | {"ref": BLOB_CID}), ("audioBlob", {"cid": "nonsense", "mimeType": "audio/mpeg"}),
        ("audioUrl", "no url"), ("image", AUDIO), ("imageUrl", 7),
        ("features", [{"did": "somebody.example.com"}]), ("features", ["did:plc:b"]), ("features", [{"did": f"did:plc:{n}"} for n in range(11)]),
        ("tags", "ambient"), ("tags", [1]), ("tags", ["x"] * 11), ("tags", ["e\u0301" * 65]),
        ("visibility", False), ("supportGate", {}), ("supportGate", "any"), ("description", []),
        ("createdAt", "yesterday"), ("createdAt", "2026-01-01"), ("createdAt", "2026-02-30T00:00:00Z"), ("createdAt", "-0001-01-01T00:00:00Z"),
        ("$type", "fm.plyr.like"), ("$type", None),
    ],
)  # fmt: skip
def test_a_broken_constraint_is_told_where_it_is(field: str, wrong: object) -> None:
    reading = read("track", **{field: wrong})
    assert reading.verdict == "rejected"
    assert all(path == f"/{field}" or path.startswith(f"/{field}/") for path, _ in rules(reading))
    assert (reading.projection, reading.json) == (None, None)
    assert (reading.created_at is None) is (field == "createdAt"), "what can be read of it is"


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"\xff", b"\xa0\xa0", world.encode({"$type": "fm.plyr.track"}) + b"\0", world.encode([1]), world.encode("x"),
        world.encode({"x": 1.5}), world.encode({"x": 2**63}), b"\xa1\x61a\x18\x01", b"\xa2\x61b\x01\x61a\x02",
        b"\xa1\x61a" + b"\x81" * 5000 + b"\x00", b"\xa1\x61\xff\x01", b"\xbf\xff", b"\xa1\x01\x01",
    ],
)  # fmt: skip
def test_bytes_that_are_no_record_are_rejected_with_a_reason(raw: bytes) -> None:
    reading = READER.read(f"{NAMESPACE}.track/{KEY}", raw)
    assert (reading.verdict, len(reading.problems)) == ("rejected", 1)
    assert rules(reading)[0] in (("", "cbor"), ("", "type"))
    assert reading.problems[0].message


@given(
    name=st.sampled_from([*VALID, BLUESKY_PROFILE]),
    fields=st.dictionaries(
        st.sampled_from([
            "title", "artist", "fileType", "createdAt", "audioBlob", "image", "tags", "features", "supportGate",
            "visibility", "duration", "subject", "items", "text", "timestampMs", "listType", "displayName", "avatar",
            "avatarBlob", "labels", "updatedAt", "extra",
        ]),
        VALUES,
        max_size=4,
    ),
)  # fmt: skip
def test_whatever_is_written_a_reading_is_whole_and_can_be_stored(name: str, fields: dict[str, Any]) -> None:
    nsid = name if name == BLUESKY_PROFILE else f"{NAMESPACE}.{name}"
    record = {"$type": nsid} | VALID.get(name, {}) | fields
    reading = READER.read(f"{nsid}/{key_of(name)}", world.encode(record))

    assert reading.verdict in ("accepted", "flagged", "rejected")
    assert (reading.verdict == "accepted") is (not reading.problems)
    assert (reading.projection is None) is (reading.verdict == "rejected")
    if reading.json is not None:
        assert orjson.loads(reading.json).keys() == record.keys()
    if reading.projection is not None:
        assert "\\x00" not in repr(astuple(reading.projection))


def test_a_namespace_without_lexicons_is_refused() -> None:
    with pytest.raises(LexiconError):
        RecordReader(CATALOG, "org.example.plyr")


def test_which_collections_are_ours_follows_from_the_namespace() -> None:
    staging = RecordReader(CATALOG.with_namespace("fm.plyr", "fm.plyr.stg"), "fm.plyr.stg")
    assert staging.own_collections == {f"fm.plyr.stg.{name}" for name in VALID}
    assert staging.collections == staging.own_collections | {BLUESKY_PROFILE, BLUESKY_FOLLOW}
    assert staging.collections - staging.reread_collections == {BLUESKY_FOLLOW}
    assert READER.own_collections.isdisjoint(staging.own_collections)
