"""Labels: signed statements about accounts and records, and the messages of com.atproto.label.subscribeLabels.

One label that is wrong costs itself and not its message. What is signed is the label's map without `sig`, fields that
nobody knows included, so it is the map as it came that is verified: with the labeler's key for labels, never with the
account's. The JSON of com.atproto.label.queryLabels stands for the same map (`data_model.from_json`).
Sources: https://atproto.com/specs/label, https://atproto.com/specs/event-stream
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

from atprotocol.cbor import decode_two, encode
from atprotocol.cid import CID, parse_cid
from atprotocol.crypto import PublicKey
from atprotocol.data_model import Value
from atprotocol.errors import BadSignature, EncodingError, FrameError, InvalidLabel, InvalidSyntax
from atprotocol.frames import ERROR, INFO, SEQ_LIMIT, ErrorFrame, InfoFrame
from atprotocol.syntax.at_uri import parse_at_uri
from atprotocol.syntax.datetime import Datetime, parse_datetime
from atprotocol.syntax.did import DID, parse_did

VERSION: Final = 1
MAX_VALUE_BYTES: Final = 128
MAX_MESSAGE_BYTES: Final = 5_000_000
LABELS: Final = "#labels"


@dataclass(frozen=True, slots=True)
class Label:
    """What a labeler says, or takes back (`negated`), of an account (a DID) or a record (an AT-URI).

    `cid` names the one version that is meant, None means every version. `created_at` is as it was written, `instant`
    what it means; the label holds until `expires_at`, None is for ever. Nothing here is verified.
    """

    src: DID
    uri: str
    cid: CID | None
    val: str
    negated: bool
    created_at: str
    instant: datetime
    expires_at: datetime | None
    ver: int
    sig: bytes


@dataclass(frozen=True, slots=True)
class LabelsMessage:
    """A #labels message; its labels are still to be decoded, one by one."""

    seq: int
    labels: tuple[Value, ...]


LabelStreamMessage: TypeAlias = LabelsMessage | InfoFrame | ErrorFrame


def decode_message(raw: bytes) -> LabelStreamMessage | None:
    """Return the message of one frame; None for a kind, or an operation, that is to be ignored.

    Raises FrameError when the frame is not two canonical DAG-CBOR maps, or lacks what its kind needs.
    """
    try:
        header, payload = decode_two(raw, size_limit=MAX_MESSAGE_BYTES)
    except EncodingError as error:
        raise FrameError(f"not DAG-CBOR: {error}") from None
    if not isinstance(header, dict) or not isinstance(payload, dict):
        raise FrameError("header or payload is no map")
    code, kind = header.get("op"), header.get("t")
    if type(code) is not int:
        raise FrameError("a header without an operation code")
    if code == -1:
        return ErrorFrame(_said(payload, ERROR), _optional_said(payload, "message"))
    if code != 1:
        return None
    if not isinstance(kind, str):
        raise FrameError("a message without a kind")
    if kind == INFO:
        return InfoFrame(_said(payload, "name"), _optional_said(payload, "message"))
    return _labels_message(payload) if kind == LABELS else None


def _labels_message(payload: dict[str, Value]) -> LabelsMessage:
    seq, labels = payload.get("seq"), payload.get("labels")
    if type(seq) is not int or not 0 < seq < SEQ_LIMIT:
        raise FrameError("a #labels message without a usable seq")
    if not isinstance(labels, list):
        raise FrameError("a #labels message without a list of labels")
    return LabelsMessage(seq, tuple(labels))


def _said(payload: dict[str, Value], name: str) -> str:
    value = payload.get(name)
    if not isinstance(value, str):
        raise FrameError(f"`{name}` is no text")
    return value


def _optional_said(payload: dict[str, Value], name: str) -> str | None:
    value = payload.get(name)
    return value if isinstance(value, str) else None


def decode_label(value: Value) -> Label:
    """Return the label that a map of a message, or of a page, is.

    Raises InvalidLabel, which names the field that breaks a rule.
    """
    if not isinstance(value, dict):
        raise InvalidLabel("a label is a map")
    version, signature = value.get("ver"), value.get("sig")
    if type(version) is not int or version != VERSION:
        raise InvalidLabel(f"`ver` is not {VERSION}")
    if not isinstance(signature, bytes):
        raise InvalidLabel("`sig` is no byte string")
    negated = value.get("neg", False)
    if not isinstance(negated, bool):
        raise InvalidLabel("`neg` is no boolean")
    created_at = _instant(value, "cts")
    return Label(
        src=_source(value),
        uri=_subject(value),
        cid=_version(value) if "cid" in value else None,
        val=_statement(value),
        negated=negated,
        created_at=created_at.text,
        instant=created_at.instant,
        expires_at=_instant(value, "exp").instant if "exp" in value else None,
        ver=version,
        sig=signature,
    )


def verify_label(value: Value, key: PublicKey) -> None:
    """Check that a label's map, as it came, is signed with this key: the source's `#atproto_label`, and no other.

    Raises BadSignature. Source: https://atproto.com/specs/label#signatures
    """
    signature = value.get("sig") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(signature, bytes):
        raise BadSignature("a label without a signature")
    try:
        signed = encode({name: field for name, field in value.items() if name != "sig"})
    except EncodingError as error:
        raise BadSignature(f"a label that cannot be encoded: {error}") from error
    key.verify(signature, signed)


def _text(fields: dict[str, Value], name: str) -> str:
    text = fields.get(name)
    if not isinstance(text, str):
        raise InvalidLabel(f"`{name}` is no text")
    return text


def _source(fields: dict[str, Value]) -> DID:
    try:
        return parse_did(_text(fields, "src"))
    except InvalidSyntax as error:
        raise InvalidLabel(f"`src`: {error}") from error


def _subject(fields: dict[str, Value]) -> str:
    uri = _text(fields, "uri")
    try:
        if uri.startswith("did:"):
            return parse_did(uri)
        if uri.startswith("at://"):
            return str(parse_at_uri(uri))
    except InvalidSyntax as error:
        raise InvalidLabel(f"`uri`: {error}") from error
    raise InvalidLabel("`uri` is neither a DID nor an AT-URI")


def _version(fields: dict[str, Value]) -> CID:
    try:
        return parse_cid(_text(fields, "cid"))
    except EncodingError as error:
        raise InvalidLabel(f"`cid`: {error}") from error


def _statement(fields: dict[str, Value]) -> str:
    val = _text(fields, "val")
    try:
        size_bytes = len(val.encode())
    except UnicodeEncodeError:
        raise InvalidLabel("`val` holds a lone surrogate") from None
    if not 0 < size_bytes <= MAX_VALUE_BYTES:
        raise InvalidLabel(f"`val` has {size_bytes} bytes, 1 to {MAX_VALUE_BYTES} are allowed")
    if "\0" in val:
        raise InvalidLabel("`val` holds U+0000")
    return val


def _instant(fields: dict[str, Value], name: str) -> Datetime:
    try:
        return parse_datetime(_text(fields, name))
    except InvalidSyntax as error:
        raise InvalidLabel(f"`{name}`: {error}") from error
