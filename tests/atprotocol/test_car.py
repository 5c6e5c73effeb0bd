import io
from collections.abc import Callable

import pytest
import world
from hypothesis import given, settings
from hypothesis import strategies as st

from atprotocol.car import Car, iterate_blocks, read_blocks, read_car, read_root
from atprotocol.errors import EncodingError

ROOT = world.encode({"root": True})
ROOT_CID = world.cid_of(ROOT)
OTHER = world.encode(["other"])
OTHER_CID = world.cid_of(OTHER)


def stream(content: bytes) -> Car:
    file = io.BytesIO(content)
    root = read_root(file)
    blocks = {}
    for cid, offset, block in iterate_blocks(file):
        assert content[offset : offset + len(block)] == block
        blocks[cid] = block
    return Car(root, blocks)


readers = pytest.mark.parametrize("read", [read_car, stream])


def section(cid: bytes, block: bytes) -> bytes:
    return world.varint(len(cid) + len(block)) + cid + block


def header(value: object) -> bytes:
    content = world.encode(value)
    return world.varint(len(content)) + content


@readers
def test_a_car_gives_its_root_and_blocks(read: Callable[[bytes], Car]) -> None:
    car = read(world.car(ROOT_CID, {OTHER_CID: OTHER, ROOT_CID: ROOT}))

    assert car.root == ROOT_CID
    assert car.blocks == {ROOT_CID: ROOT, OTHER_CID: OTHER}


@readers
def test_more_roots_repeated_blocks_and_raw_blocks_are_tolerated(read: Callable[[bytes], Car]) -> None:
    raw_cid = world.cid_of(b"audio", 0x55)
    content = header({"version": 1, "roots": [world.link(ROOT_CID), world.link(OTHER_CID)]})
    content += section(ROOT_CID, ROOT) * 2 + section(raw_cid, b"audio")

    car = read(content)

    assert car.root == ROOT_CID
    assert car.blocks[raw_cid] == b"audio"


@readers
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("nothing", b""),
        ("a header cut off", world.car(ROOT_CID, {})[:10]),
        ("a header that is no map", header([1])),
        ("version 2", header({"version": 2, "roots": [world.link(ROOT_CID)]})),
        ("version true", header({"version": True, "roots": [world.link(ROOT_CID)]})),
        ("no roots", header({"version": 1, "roots": []})),
        ("a root of text", header({"version": 1, "roots": ["x"]})),
        ("a raw root", header({"version": 1, "roots": [world.link(world.cid_of(b"", 0x55))]})),
        ("a header of 10 kB", header({"version": 1, "roots": [world.link(ROOT_CID)], "x": "x" * 10_000})),
        ("a block cut off", world.car(ROOT_CID, {ROOT_CID: ROOT})[:-1]),
        ("a length cut off", world.car(ROOT_CID, {ROOT_CID: ROOT}) + b"\x80"),
        ("a wild varint", world.car(ROOT_CID, {ROOT_CID: ROOT}) + b"\xff" * 10 + b"\x01"),
        (
            "a varint not in its shortest form",
            header({"version": 1, "roots": [world.link(ROOT_CID)]})
            + bytes((0x80 | (36 + len(ROOT)), 0))
            + ROOT_CID
            + ROOT,
        ),
        ("a section too short for a CID", world.car(ROOT_CID, {ROOT_CID: ROOT}) + b"\x03abc"),
        ("a block that is not what its CID names", world.car(ROOT_CID, [(ROOT_CID, ROOT), (OTHER_CID, ROOT)])),
        ("one CID with two contents", world.car(ROOT_CID, [(ROOT_CID, ROOT), (ROOT_CID, OTHER)])),
        ("a CID of another codec", world.car(ROOT_CID, [(ROOT_CID, ROOT), (world.cid_of(OTHER, 0x70), OTHER)])),
        (
            "a section of 3 MB",
            world.car(ROOT_CID, [(ROOT_CID, ROOT), (world.cid_of(bytes(3_000_000)), bytes(3_000_000))]),
        ),
    ],
)
def test_a_malformed_car_is_refused(read: Callable[[bytes], Car], name: str, content: bytes) -> None:
    with pytest.raises(EncodingError):
        read(content)


def test_a_car_without_its_root_block_is_refused() -> None:
    with pytest.raises(EncodingError, match="lacks the block of its root"):
        read_car(world.car(ROOT_CID, {OTHER_CID: OTHER}))


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_no_changed_byte_goes_unnoticed(data: st.DataObject) -> None:
    content = bytearray(world.car(ROOT_CID, {ROOT_CID: ROOT, OTHER_CID: OTHER}))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))

    try:
        car = read_car(bytes(content))
    except EncodingError:
        return
    assert all(world.cid_of(block, cid[1]) == cid for cid, block in car.blocks.items())
    assert car.root in car.blocks


@pytest.mark.parametrize("roots", [[], [world.link(ROOT_CID)], [None]])
def test_blocks_in_a_wrapping_need_no_root(roots: list[object]) -> None:
    assert read_blocks(header({"version": 1, "roots": roots}) + section(OTHER_CID, OTHER)) == {OTHER_CID: OTHER}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        header({"version": 1}) + section(OTHER_CID, OTHER),
        header({"version": 2, "roots": []}) + section(OTHER_CID, OTHER),
        header({"version": 1, "roots": []}) + section(OTHER_CID, ROOT),
        header({"version": 1, "roots": []}) + section(OTHER_CID, OTHER)[:-1],
    ],
)
def test_a_wrapping_is_held_to_everything_else(content: bytes) -> None:
    with pytest.raises(EncodingError):
        read_blocks(content)


@readers
def test_a_car_that_ends_within_a_block_that_nobody_needs_is_refused(read: Callable[[bytes], Car]) -> None:
    content = world.car(ROOT_CID, {ROOT_CID: ROOT, OTHER_CID: OTHER})
    start = len(content) - len(section(OTHER_CID, OTHER))
    assert read(content[:start]) == Car(ROOT_CID, {ROOT_CID: ROOT})

    for end in range(start + 1, len(content)):
        with pytest.raises(EncodingError):
            read(content[:end])
