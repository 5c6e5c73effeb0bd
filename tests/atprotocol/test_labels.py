"""Labels, and the messages that bring them: strict in form, and signed with one key alone."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import cbor2
import pytest
import world
from labeler import Labeler, LabelMap, as_json, labeler, labels_frame, signed

from atprotocol import cbor
from atprotocol.crypto import PublicKey, parse_multikey
from atprotocol.data_model import from_json
from atprotocol.errors import BadSignature, FrameError, InvalidLabel
from atprotocol.frames import ErrorFrame, InfoFrame
from atprotocol.labels import LabelsMessage, decode_label, decode_message, verify_label

URI = "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/com.example.record/3jzfcijpj2z2a"
CID_TEXT = world.cid_text(world.cid_of(b"version"))


@pytest.fixture(params=["K-256", "P-256"])
def source(request: pytest.FixtureRequest) -> Labeler:
    return labeler(world.World(3), curve=request.param)


def key_of(source: Labeler) -> PublicKey:
    return parse_multikey(source.label_key.multikey)


def received(label: Any) -> Any:
    """What comes out of a message that holds this label."""
    message = decode_message(labels_frame(1, label))
    assert isinstance(message, LabelsMessage)
    return message.labels[0]


def test_a_label_says_what_its_fields_say(source: Labeler) -> None:
    value = received(
        source.label(URI, "rude", cid=CID_TEXT, neg=True, cts="2026-01-02T03:04:05.6Z", exp="2027-01-01T00:00:00+01:00")
    )
    label = decode_label(value)

    assert (label.src, label.uri, str(label.cid), label.val, label.negated) == (source.did, URI, CID_TEXT, "rude", True)
    assert label.created_at == "2026-01-02T03:04:05.6Z"
    assert label.instant == datetime(2026, 1, 2, 3, 4, 5, 600_000, tzinfo=UTC)
    assert label.expires_at == datetime(2026, 12, 31, 23, tzinfo=UTC)
    assert (label.ver, label.sig) == (1, value["sig"])
    verify_label(value, key_of(source))


def test_what_is_left_out_means_every_version_for_ever_and_not_taken_back(source: Labeler) -> None:
    label = decode_label(received(source.label(source.did, "spam")))

    assert (label.uri, label.cid, label.negated, label.expires_at) == (source.did, None, False, None)


WRONG: list[tuple[str, Any]] = [
    ("ver", None),
    ("ver", 2),
    ("ver", True),
    ("ver", "1"),
    ("src", None),
    ("src", "labeler.example.com"),
    ("src", 1),
    ("uri", None),
    ("uri", "https://example.com/"),
    ("uri", "did:plc:"),
    ("uri", "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/com.example.record/a/b"),
    ("uri", "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/com.example.record/a?b"),
    ("uri", ["did:plc:ewvi7nxzyoun6zhxrhs64oiz"]),
    ("cid", ""),
    ("cid", "Qmbwrong"),
    ("cid", cbor2.CBORTag(42, b"\0" + world.cid_of(b"version"))),
    ("val", None),
    ("val", ""),
    ("val", "x" * 129),
    ("val", "ä" * 65),
    ("val", "nu\0l"),
    ("val", 3),
    ("neg", 1),
    ("neg", "true"),
    ("cts", None),
    ("cts", "yesterday"),
    ("cts", "2026-01-02T03:04:05"),
    ("cts", 1767225600),
    ("exp", ""),
    ("exp", "2026-13-01T00:00:00Z"),
    ("exp", False),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_label_with_a_wrong_field_is_refused_by_its_name(name: str, value: Any) -> None:
    source = labeler(world.World(3))
    with pytest.raises(InvalidLabel, match=f"`{name}`"):
        decode_label(received(source.label(URI, "rude") | {name: value} if value is not None else _without(name)))


def _without(name: str) -> LabelMap:
    made = labeler(world.World(3)).label(URI, "rude")
    del made[name]
    return made


@pytest.mark.parametrize("name", ["cid", "neg", "exp"])
def test_what_is_optional_is_left_out_and_not_null(name: str) -> None:
    with pytest.raises(InvalidLabel, match=f"`{name}`"):
        decode_label(received(labeler(world.World(3)).label(URI, "rude") | {name: None}))


@pytest.mark.parametrize("sig", [None, "signature", 1, [b"x"]])
def test_a_label_without_a_signature_of_bytes_is_refused(sig: Any) -> None:
    made = labeler(world.World(3)).label(URI, "rude") | {"sig": sig}
    with pytest.raises(InvalidLabel, match="`sig`"):
        decode_label(received(made))
    with pytest.raises(BadSignature):
        verify_label(received(made), key_of(labeler(world.World(3))))


@pytest.mark.parametrize("value", [None, 1, "label", [], b"label"])
def test_what_is_no_map_is_no_label(value: Any) -> None:
    with pytest.raises(InvalidLabel):
        decode_label(received(value))
    with pytest.raises(BadSignature):
        verify_label(value, key_of(labeler(world.World(3))))


def test_a_value_of_128_bytes_is_short_enough() -> None:
    assert decode_label(received(labeler(world.World(3)).label(URI, "ä" * 64))).val == "ä" * 64


def test_fields_that_nobody_knows_are_signed_too(source: Labeler) -> None:
    extra = {
        "zone": {"a": [1, b"x", cbor2.CBORTag(42, b"\0" + world.cid_of(b"x"))]},
        "$type": "com.atproto.label.defs#label",
    }
    value = received(source.label(URI, "rude", **extra))
    verify_label(value, key_of(source))
    assert decode_label(value).val == "rude"

    for bent in ({**value, "zone": 1}, {**value, "another": 1}, {k: v for k, v in value.items() if k != "zone"}):
        with pytest.raises(BadSignature):
            verify_label(bent, key_of(source))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("val", "nice"),
        ("uri", "did:plc:ewvi7nxzyoun6zhxrhs64oiz"),
        ("cts", "2026-01-01T00:00:00Z"),
        ("neg", True),
        ("neg", False),
        ("cid", CID_TEXT),
        ("exp", "2030-01-01T00:00:00Z"),
        ("src", "did:plc:ewvi7nxzyoun6zhxrhs64oiz"),
    ],
)
def test_whatever_is_changed_after_the_signature_is_noticed(source: Labeler, name: str, value: Any) -> None:
    with pytest.raises(BadSignature):
        verify_label(received(source.label(URI, "rude") | {name: value}), key_of(source))


def test_a_signature_by_the_accounts_key_is_none(source: Labeler) -> None:
    value = received(source.label(URI, "rude", key=source.key))
    verify_label(value, parse_multikey(source.key.multikey))
    with pytest.raises(BadSignature):
        verify_label(value, key_of(source))


def test_the_malleable_twin_of_a_signature_is_refused(source: Labeler) -> None:
    value = received(signed(source.label(URI, "rude"), source.label_key, high_s=True))
    with pytest.raises(BadSignature):
        verify_label(value, key_of(source))


def test_a_signature_of_another_length_is_refused(source: Labeler) -> None:
    label = source.label(URI, "rude")
    for sig in (b"", label["sig"][:-1], label["sig"] + b"\0"):
        with pytest.raises(BadSignature):
            verify_label(received(label | {"sig": sig}), key_of(source))


def test_the_json_of_a_page_stands_for_the_same_label(source: Labeler) -> None:
    label = source.label(URI, "rude", cid=CID_TEXT, neg=True, extra={"n": 1})
    value = from_json(json.loads(json.dumps(as_json(label))))

    assert value == received(label)
    verify_label(value, key_of(source))
    with pytest.raises(BadSignature):
        verify_label({**value, "val": "nice"}, key_of(source))  # type: ignore[dict-item]


def test_a_message_is_taken_apart_and_its_labels_are_left_for_later() -> None:
    message = decode_message(labels_frame(7, {"anything": 1}, 2))
    assert message == LabelsMessage(7, ({"anything": 1}, 2))
    assert decode_message(world.info_frame("OutdatedCursor")) == InfoFrame("OutdatedCursor", None)
    assert decode_message(world.error_frame("FutureCursor")) == ErrorFrame("FutureCursor", "FutureCursor")


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        ({"op": 1, "t": "#unheardOf"}, {"seq": 1}),
        ({"op": 1, "t": "#commit"}, {"seq": 1}),
        ({"op": 7}, {}),
    ],
)
def test_what_nobody_knows_is_passed_over(header: Any, payload: Any) -> None:
    assert decode_message(world.encode(header) + world.encode(payload)) is None


BAD_FRAMES: list[Callable[[], bytes]] = [
    lambda: b"",
    lambda: b'{"seq": 1, "labels": []}',
    lambda: world.encode({"op": 1, "t": "#labels"}),
    lambda: labels_frame(1) + b"\0",
    lambda: labels_frame(1)[:-1],
    lambda: world.encode([1]) + world.encode({"seq": 1, "labels": []}),
    lambda: world.encode({"op": 1, "t": "#labels"}) + world.encode([]),
    lambda: world.encode({"t": "#labels"}) + world.encode({"seq": 1, "labels": []}),
    lambda: world.encode({"op": True, "t": "#labels"}) + world.encode({"seq": 1, "labels": []}),
    lambda: world.encode({"op": 1}) + world.encode({"seq": 1, "labels": []}),
    lambda: world.encode({"op": -1}) + world.encode({"message": "no name"}),
    lambda: world.encode({"op": 1, "t": "#info"}) + world.encode({"name": 1}),
    lambda: labels_frame(0),
    lambda: labels_frame(-1),
    lambda: labels_frame(1 << 53),
    lambda: labels_frame(True),
    lambda: labels_frame(1, 1.5),
    lambda: world.encode({"op": 1, "t": "#labels"}) + world.encode({"seq": 1}),
    lambda: world.encode({"op": 1, "t": "#labels"}) + world.encode({"seq": 1, "labels": {}}),
    # Keys in another order than the canonical one: such a label could be signed in two ways.
    lambda: world.encode({"op": 1, "t": "#labels"}) + cbor2.dumps({"labels": [], "seq": 1}),
    lambda: labels_frame(1, b"x" * 5_000_001),
]


@pytest.mark.parametrize("number", range(len(BAD_FRAMES)))
def test_a_frame_that_is_none_is_refused_as_a_whole(number: int) -> None:
    with pytest.raises(FrameError):
        decode_message(BAD_FRAMES[number]())


def test_what_is_verified_is_what_was_received_byte_for_byte(source: Labeler) -> None:
    label = source.label(URI, "rude", neg=False)
    assert cbor.encode(received(label)) == world.encode(label)
    verify_label(received(label), key_of(source))
