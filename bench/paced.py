"""A relay that sends so many frames a second, and remembers when it sent each of those that are ours."""

import contextlib
import multiprocessing
import socket
import time
from multiprocessing.sharedctypes import Synchronized
from typing import Any

from bench.stream import FIRST_SEQ, Template, shake_hands, websocket_frame

TICK_SECONDS = 0.005
OURS_EVERY = 100


def _serve(
    strangers: list[Template], own: list[Template], rate: int, sent_at: Any, done: "Synchronized[int]", ready: Any
) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    ready.send(server.getsockname()[1])
    while True:
        connection, _ = server.accept()
        with contextlib.suppress(OSError), connection:
            if shake_hands(connection):
                _send(connection, strangers, own, rate, sent_at)
                done.value = 1
                while connection.recv(65536):
                    pass


def _send(connection: socket.socket, strangers: list[Template], own: list[Template], rate: int, sent_at: Any) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    began, number = time.perf_counter(), 0
    for index in range(len(own)):
        chunk = []
        for _ in range(OURS_EVERY - 1):
            chunk.append(websocket_frame(strangers[number % len(strangers)].frame(FIRST_SEQ + 1 + number)))
            number += 1
            if number % max(1, int(rate * TICK_SECONDS)) == 0:
                connection.sendall(b"".join(chunk))
                chunk.clear()
                time.sleep(max(0.0, began + number / rate - time.perf_counter()))
        chunk.append(websocket_frame(own[index].frame(FIRST_SEQ + 1 + number)))
        number += 1
        connection.sendall(b"".join(chunk))
        sent_at[index] = time.perf_counter()


class PacedSender:
    """The sending process; it begins with the first stream that is opened."""

    def __init__(self, strangers: list[Template], own: list[Template], rate: int) -> None:
        """Send `rate` frames a second, every hundredth one of ours."""
        self.sent_at = multiprocessing.Array("d", len(own), lock=False)
        self._done = multiprocessing.Value("i", 0)
        self._arguments = (strangers, own, rate, self.sent_at, self._done)

    @property
    def is_done(self) -> bool:
        """Tell whether everything was sent."""
        return self._done.value == 1

    def __enter__(self) -> "PacedSender":
        """Start."""
        ours, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("fork").Process(
            target=_serve, args=(*self._arguments, theirs), daemon=True
        )
        self._process.start()
        self.url = f"http://127.0.0.1:{ours.recv()}"
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._process.terminate()
        self._process.join()
