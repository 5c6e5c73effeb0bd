"""What is fuzzed, and the laws that must hold whatever comes.

Each target takes bytes, and returns a word for what became of them: reaching a new word makes an input worth keeping for
an engine that sees no coverage. Whatever a target raises is a finding: only errors of the ProtocolError family are
expected, and they are expected here. Oracles are independent of the project where that is possible (tests/world).
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import libipld
import world
from fuzz.choices import Choices
from fuzz.commits import bend_commit, check_commit, honest_frames
from fuzz.identities import document_seeds, fuzz_document, fuzz_handle
from fuzz.label_messages import LABEL_SEEDS, fuzz_labels
from fuzz.media_bytes import FILE_SEEDS, HEADER_SEEDS, fuzz_file, fuzz_headers
from fuzz.records import RECORDS, Records
from fuzz.trees import bend_tree
from fuzz.words import said

from atprotocol import cbor, frames
from atprotocol.car import Car, iterate_blocks, read_blocks, read_car, read_root
from atprotocol.commit import decode_commit
from atprotocol.errors import EncodingError, FieldMismatch, FrameError, InvalidSyntax
from atprotocol.syntax.at_uri import parse_at_uri
from atprotocol.syntax.datetime import parse_datetime
from atprotocol.syntax.did import parse_did
from atprotocol.syntax.handle import normalize_handle, parse_handle
from atprotocol.syntax.nsid import parse_nsid
from atprotocol.syntax.record_key import parse_record_key
from atprotocol.syntax.tid import parse_tid, tid_clock_id, tid_from_timestamp_us, tid_timestamp_us

ACCEPTED = "accepted"


@dataclass(frozen=True, slots=True)
class Target:
    """One thing that is fuzzed, with inputs to begin from; `share` of a campaign's executions falls to it, in percent.

    Longer inputs than `longest` are cut: they cost time and find no more.
    """

    name: str
    share: int
    run: Callable[[bytes], str]
    seeds: tuple[bytes, ...]
    longest: int = 512


# --- frames -----------------------------------------------------------------------------------------------------------


def fuzz_frame(data: bytes) -> str:
    try:
        kind, payload = frames.split(data)
    except FrameError as error:
        return said(error)
    if kind is None:
        return "ignored"
    try:
        message = frames.parse_message(kind, payload)
    except FieldMismatch as error:
        return f"{kind} {said(error)}"
    if isinstance(message, frames.InfoFrame | frames.ErrorFrame):
        return kind
    assert 0 < message.seq < frames.SEQ_LIMIT
    assert type(message.did) is str
    if isinstance(message, frames.CommitFrame):
        cids = [
            message.commit,
            message.prev_data,
            *(cid for each in message.operations for cid in (each.cid, each.prev)),
        ]
        assert all(cid is None or (type(cid) is bytes and len(cid) == 36) for cid in cids)
        assert type(message.blocks) is bytes
        assert len(message.operations) == len(payload["ops"])
    # What is parsed does not depend on fields that nobody knows.
    assert frames.parse_message(kind, payload | {"unheardOf": [1]}) == message
    return kind


def _frame_seeds() -> tuple[bytes, ...]:
    network = world.World(1)
    account = network.account()
    commit = account.commit([("create", "fm.plyr.track/3mbd3542kzc22", {"n": 1})])
    return (
        network.commit_frame(account, commit),
        network.sync_frame(account),
        network.identity_frame(account),
        network.account_frame(account, False, "deactivated"),
        world.info_frame("OutdatedCursor"),
        world.error_frame("FutureCursor"),
        *honest_frames(),
    )


# --- CAR --------------------------------------------------------------------------------------------------------------


def fuzz_car(data: bytes) -> str:
    """Read a CAR in three ways, which must agree. An odd first byte has one built from the rest, its hashes right."""
    content = _built_car(Choices(data[1:])) if data[:1] and data[0] & 1 else data[1:]
    car = _attempt(lambda: read_car(content))
    blocks = _attempt(lambda: read_blocks(content))
    streamed = _attempt(lambda: _streamed(content))
    if isinstance(car, Car):
        assert blocks == car.blocks
        assert streamed == (car.root, car.blocks)
        assert all(world.cid_of(block, cid[1]) == cid for cid, block in car.blocks.items())
        again = read_car(world.car(car.root, car.blocks))
        assert again == car
        return ACCEPTED
    if isinstance(streamed, tuple):
        assert streamed[0] not in streamed[1]
    if isinstance(blocks, dict):
        assert all(world.cid_of(block, cid[1]) == cid for cid, block in blocks.items())
    return f"{car} {isinstance(blocks, dict)}"


def _attempt(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except EncodingError as error:
        return said(error)


def _streamed(content: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    file = io.BytesIO(content)
    root = read_root(file)
    blocks = {}
    for cid, offset, block in iterate_blocks(file):
        assert content[offset : offset + len(block)] == block
        blocks[cid] = block
    return root, blocks


def _built_car(choices: Choices) -> bytes:
    blocks = [choices.some(60) for _ in range(choices.below(6))]
    named = [(world.cid_of(block, choices.one_of((0x71, 0x71, 0x55, 0x70))), block) for block in blocks]
    if named and choices.below(4) == 0:
        named.append(choices.one_of(named))
    root = choices.one_of(named)[0] if named and choices.below(8) else choices.one_of((None, world.cid_of(b"")))
    content = world.car(root, named)
    return choices.edited(content) if choices.below(3) == 0 else content


# --- CBOR and commits -------------------------------------------------------------------------------------------------


def fuzz_cbor(data: bytes) -> str:
    try:
        value = cbor.decode(data)
    except EncodingError as error:
        return said(error)
    assert cbor.encode(value) == data
    # Whatever is strict is lenient, too.
    assert libipld.encode_dag_cbor(libipld.decode_dag_cbor(data)) is not None
    return f"{ACCEPTED} {type(value).__name__}"


def fuzz_commit(data: bytes) -> str:
    try:
        commit = decode_commit(data)
    except (EncodingError, FieldMismatch) as error:
        return said(error)
    decoded = libipld.decode_dag_cbor(data)
    fields = {
        "did": commit.did,
        "version": 3,
        "data": world.link(commit.data),
        "rev": commit.rev,
        "prev": None if decoded["prev"] is None else world.link(decoded["prev"]),
    }
    assert world.encode(fields) == commit.unsigned
    assert world.encode(fields | {"sig": commit.signature}) == data
    assert world.cid_of(data) == commit.cid
    return ACCEPTED


# --- texts ------------------------------------------------------------------------------------------------------------


def fuzz_syntax(data: bytes) -> str:
    """Parse a text by the rule that the first byte names; what is accepted is read the same way again."""
    name, parse = _PARSERS[data[0] % len(_PARSERS)] if data else _PARSERS[0]
    text = data[1:].decode("utf-8", "surrogateescape")
    try:
        parsed = parse(text)
    except InvalidSyntax as error:
        return f"{name} {said(error)[:30]}"
    assert str(parsed) == text
    if name == "datetime":
        assert datetime.min.replace(tzinfo=UTC) <= parsed.instant <= datetime.max.replace(tzinfo=UTC)
        if parsed.instant.year > 1:
            assert parse_datetime(parsed.instant.isoformat()).instant == parsed.instant
    elif name == "tid":
        # The specification's pattern admits one bit more than a time has.
        if tid_timestamp_us(parsed) < 1 << 53:
            assert tid_from_timestamp_us(tid_timestamp_us(parsed), tid_clock_id(parsed)) == text
    elif name == "handle":
        assert normalize_handle(normalize_handle(parsed)) == normalize_handle(parsed) == parse_handle(text.lower())
    return f"{name} {ACCEPTED}"


_PARSERS: tuple[tuple[str, Callable[[str], Any]], ...] = (
    ("did", parse_did),
    ("handle", parse_handle),
    ("datetime", parse_datetime),
    ("tid", parse_tid),
    ("at-uri", parse_at_uri),
    ("nsid", parse_nsid),
    ("record-key", parse_record_key),
)
_TEXTS = (
    "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa",
    "ann.example.com",
    "1985-04-12T23:20:50.123Z",
    "3jzfcijpj2z2a",
    "at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/fm.plyr.track/3jzfcijpj2z2a",
    "com.example.record",
    "self",
    "0000-01-01T00:00:00-23:59",
    "9999-12-31T23:59:60+00:01",
)


def _decisions(count: int) -> tuple[bytes, ...]:
    """Return inputs to begin from where the bytes are decisions."""
    return tuple(bytes((number * 37 + place * 11) % 256 for place in range(24)) for number in range(count))


def make_targets() -> dict[str, Target]:
    """Return all targets by name."""
    values = [record for _, record in RECORDS]
    account = world.World(3).account()
    account.commit([("create", "a.b/c", {"n": 1})])
    cars = [b"\0" + world.car(account.head, {account.head: account.head_block} | account.tree.blocks)]
    documents = document_seeds()
    made = [
        Target("frames", 17, fuzz_frame, _frame_seeds(), 4096),
        Target("car", 10, fuzz_car, (*cars, *(b"\1" + seed for seed in _decisions(8))), 2048),
        Target("labels", 6, fuzz_labels, LABEL_SEEDS, 2048),
        Target("cbor", 13, fuzz_cbor, tuple(world.encode(value) for value in [*values, [1, -1, b"x", 2**40, True]])),
        Target("mst", 4, bend_tree, _decisions(16)),
        Target("commit", 10, fuzz_commit, (account.head_block,)),
        Target("verify_commit", 5, lambda data: check_commit(*bend_commit(Choices(data))), _decisions(32)),
        Target("did_document", 10, fuzz_document, documents, 2048),
        Target("handles", 10, fuzz_handle, _decisions(16)),
        Target("syntax", 10, fuzz_syntax, tuple(bytes((n,)) + text.encode() for n, text in enumerate(_TEXTS))),
        Target("records", 5, Records(), _decisions(24)),
        Target("media_headers", 5, fuzz_headers, HEADER_SEEDS),
        Target("media_files", 5, fuzz_file, FILE_SEEDS, 4096),
    ]
    return {target.name: target for target in made}
