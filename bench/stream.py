"""A generated event stream in the network's mix, and a process that sends it as fast as a socket takes it.

Frames are templates whose seq is patched in as they are sent, so a short list of them makes a stream of any length. Those
of strangers have random blocks of realistic sizes; those of tracked accounts are real signed commits, each sent once.
"""

import base64
import contextlib
import hashlib
import multiprocessing
import random
import socket
import ssl
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import world

# From here on an integer takes nine bytes in CBOR, so that every seq patches the same place.
FIRST_SEQ = 1 << 33
CHUNK_BYTES = 1 << 20
NETWORK_MIX = (("#commit", 0.95), ("#identity", 0.03), ("#account", 0.02))
MEDIAN_BLOCKS_BYTES = 4000
SIGMA = 0.65


@dataclass(frozen=True, slots=True)
class Template:
    """A frame without its seq."""

    before: bytes
    after: bytes

    def frame(self, seq: int) -> bytes:
        """Return the frame with this seq."""
        return self.before + struct.pack(">Q", seq) + self.after


def template_of(raw: bytes, seq: int) -> Template:
    """Return the template of a frame that has a nine-byte seq."""
    before, _, after = raw.partition(b"\x63seq\x1b" + struct.pack(">Q", seq))
    return Template(before + b"\x63seq\x1b", after)


def stranger_templates(count: int, seed: int = 1) -> list[Template]:
    """Return frames of strangers in the network's mix of kinds and sizes, none of them touching our collections."""
    chance = random.Random(seed)
    network = world.World(seed)
    templates = []
    for number in range(count):
        network.seq = FIRST_SEQ
        did = (
            "did:plc:"
            + base64.b32encode(hashlib.sha256(f"stranger {seed} {number}".encode()).digest()).decode().lower()[:24]
        )
        kind = chance.choices([kind for kind, _ in NETWORK_MIX], [share for _, share in NETWORK_MIX])[0]
        if kind == "#commit":
            size = min(200_000, int(chance.lognormvariate(0, SIGMA) * MEDIAN_BLOCKS_BYTES))
            operations = [
                {
                    "action": "create",
                    "path": f"app.bsky.feed.{chance.choice(['like', 'post', 'repost'])}/{network.tid()}",
                    "cid": world.link(world.cid_of(chance.randbytes(8))),
                }
                for _ in range(1 if chance.random() < 0.95 else chance.randrange(2, 20))
            ]
            payload = {
                "repo": did,
                "commit": world.link(world.cid_of(chance.randbytes(8))),
                "rev": network.tid(),
                "since": network.tid(),
                "blocks": chance.randbytes(size),
                "ops": operations,
                "blobs": [],
                "rebase": False,
                "tooBig": False,
                "prevData": world.link(world.cid_of(chance.randbytes(8))),
            }
        elif kind == "#identity":
            payload = {"did": did, "handle": f"user{number}.example.com"}
        else:
            payload = {"did": did, "active": True}
        templates.append(template_of(network.frame(kind, payload), FIRST_SEQ + 1))
    return templates


def websocket_frame(payload: bytes) -> bytes:
    """Return an unmasked binary WebSocket frame."""
    size = len(payload)
    if size < 126:
        return bytes((0x82, size)) + payload
    if size < 1 << 16:
        return struct.pack(">BBH", 0x82, 126, size) + payload
    return struct.pack(">BBQ", 0x82, 127, size) + payload


def shake_hands(connection: socket.socket) -> bool:
    """Answer a request: open a WebSocket if it asks for one, refuse anything else."""
    request = b""
    while b"\r\n\r\n" not in request:
        received = connection.recv(65536)
        if not received:
            return False
        request += received
    key = next(
        (
            line.split(b":", 1)[1].strip()
            for line in request.split(b"\r\n")
            if line.lower().startswith(b"sec-websocket-key:")
        ),
        None,
    )
    if key is None:
        connection.sendall(b"HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        return False
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + accept
        + b"\r\n\r\n"
    )
    return True


def _serve(
    templates: list[Template],
    order: list[int],
    tls: ssl.SSLContext | None,
    ready: "multiprocessing.connection.Connection",
) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    ready.send(server.getsockname()[1])
    while True:
        plain, _ = server.accept()
        with contextlib.suppress(OSError):
            connection = plain if tls is None else tls.wrap_socket(plain, server_side=True)
            with connection:
                if shake_hands(connection):
                    _answer(connection, templates, order)


def _answer(connection: socket.socket, templates: list[Template], order: list[int]) -> None:
    chunk: list[bytes] = []
    size = 0
    for seq, index in enumerate(order, FIRST_SEQ + 1):
        framed = websocket_frame(templates[index].frame(seq))
        chunk.append(framed)
        size += len(framed)
        if size >= CHUNK_BYTES:
            connection.sendall(b"".join(chunk))
            chunk, size = [], 0
    connection.sendall(b"".join(chunk))
    while connection.recv(65536):
        pass


class Sender:
    """The sending process; every connection gets the whole stream from its start."""

    def __init__(self, templates: list[Template], order: list[int], tls: ssl.SSLContext | None = None) -> None:
        """Send the templates in this order, under TLS if there is a context for it."""
        self._templates, self._order, self._tls = templates, order, tls

    def __enter__(self) -> str:
        """Start, and return the stream's origin."""
        ours, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("fork").Process(
            target=_serve, args=(self._templates, self._order, self._tls, theirs), daemon=True
        )
        self._process.start()
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{ours.recv()}"

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._process.terminate()
        self._process.join()
