"""Messages of labelers: what is accepted says what the bytes say, and what was signed is what came."""

import io
from typing import Any

import cbor2
import world
from fuzz.words import said
from labeler import labeler, labels_frame

from atprotocol import cbor
from atprotocol.crypto import parse_multikey
from atprotocol.data_model import Value, from_json, to_json
from atprotocol.errors import BadSignature, EncodingError, FrameError, InvalidLabel
from atprotocol.labels import MAX_VALUE_BYTES, LabelsMessage, decode_label, decode_message, verify_label

_SOURCE = labeler(world.World(4))
_KEY = parse_multikey(_SOURCE.label_key.multikey)
_URI = "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/com.example.record/3jzfcijpj2z2a"


def fuzz_labels(data: bytes) -> str:
    try:
        message = decode_message(data)
    except FrameError as error:
        return said(error)
    if not isinstance(message, LabelsMessage):
        return type(message).__name__
    stream = io.BytesIO(data)
    header, payload = cbor2.load(stream), cbor2.load(stream)
    assert header["t"] == "#labels"
    assert payload["seq"] == message.seq
    assert len(payload["labels"]) == len(message.labels)
    words = [_label(value, told) for value, told in zip(message.labels, payload["labels"], strict=True)]
    return " ".join(words[:3]) or "none"


def _label(value: Value, told: Any) -> str:
    try:
        label = decode_label(value)
    except InvalidLabel as error:
        return said(error)
    for name, found in (("src", label.src), ("uri", label.uri), ("val", label.val), ("cts", label.created_at)):
        assert told[name] == found
    assert told.get("neg", False) is label.negated
    assert ("cid" in told, "exp" in told) == (label.cid is not None, label.expires_at is not None)
    assert len(label.val.encode()) <= MAX_VALUE_BYTES
    try:
        verify_label(value, _KEY)
    except BadSignature:
        verdict = "unsigned"
    else:
        # Nobody else has the key: it is one that was signed here, and nothing of it was changed.
        verdict = "signed"
        assert cbor.encode(value) in _SIGNED
    try:
        again = from_json(to_json(value))
    except EncodingError:
        return verdict  # JSON has names of its own for links and bytes.
    assert again == value
    return verdict


_LABELS = (
    _SOURCE.label(_URI, "rude", cid=world.cid_text(world.cid_of(b"version"))),
    _SOURCE.label(_SOURCE.did, "!takedown", neg=True, exp="2030-01-01T00:00:00Z"),
    _SOURCE.label(_URI, "rude", unheard={"of": [1, b"x"]}),
)
_SIGNED = {world.encode(label) for label in _LABELS}
LABEL_SEEDS = (
    labels_frame(1, *_LABELS),
    *(labels_frame(2 + number, label) for number, label in enumerate(_LABELS)),
    labels_frame(9, _SOURCE.label(_URI, "rude", key=_SOURCE.key)),
    labels_frame(10),
    world.info_frame("OutdatedCursor"),
    world.error_frame("FutureCursor"),
)
