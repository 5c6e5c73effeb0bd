"""Ask for files as fast as they come: some kept-alive connections in one process, read into one buffer by hand.

Of an answer it reads the status and the length and looks at no byte of the body, so that the server is what is measured.
"""

import os
import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

from bench.load import UnexpectedAnswer, in_a_process

WARM_UP_SECONDS = 0.2
GUARD_SECONDS = 30.0
# What the second level of caches holds.
_BUFFER_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Order:
    """What to ask for, over and over: `ranges` (from, to inclusive) in turn, or the whole."""

    port: int
    path: str
    connections: int = 1
    seconds: float = 1.0
    status: int = 200
    ranges: tuple[tuple[int, int], ...] = ()
    host: str = "localhost"


@dataclass(frozen=True, slots=True)
class Taken:
    """What came after the warm-up; `all_answers` are those of the warm-up too."""

    seconds: float
    size_bytes: int
    answers: int
    all_answers: int
    own_cpu_seconds: float

    @property
    def megabytes_per_second(self) -> float:
        """Return the throughput."""
        return self.size_bytes / self.seconds / 1e6

    @property
    def rate(self) -> float:
        """Return whole answers a second."""
        return self.answers / self.seconds


class _Connection:
    """One connection, and how much of its present answer is missing."""

    def __init__(self, port: int, expected: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=GUARD_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._expected = expected
        self._head = b""
        self._missing = 0

    def take(self, buffer: bytearray) -> tuple[int, bool]:
        """Read once; return how many bytes of a body came, and whether it is whole."""
        count = self.socket.recv_into(buffer)
        if count == 0:
            raise UnexpectedAnswer("the connection was closed")
        if not self._missing:
            self._head += bytes(buffer[:count])
            end = self._head.find(b"\r\n\r\n") + 4
            if end < 4:
                return 0, False
            head = self._head[:end].lower()
            if head.split(b" ", 2)[1] != self._expected:
                raise UnexpectedAnswer(head[:300])
            length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            count = len(self._head) - end
            self._head = b""
            self._missing = length
        self._missing -= count
        return count, self._missing == 0


def _take(order: Order) -> Taken:
    host = f"GET {order.path} HTTP/1.1\r\nHost: {order.host}\r\n"
    requests = [f"{host}Range: bytes={start}-{end}\r\n\r\n".encode() for start, end in order.ranges]
    requests = requests or [f"{host}\r\n".encode()]
    buffer = bytearray(_BUFFER_BYTES)
    waiting = select.epoll()
    opened = [_Connection(order.port, str(order.status).encode()) for _ in range(order.connections)]
    by_number = {each.socket.fileno(): each for each in opened}
    asked = 0
    for each in opened:
        waiting.register(each.socket, select.EPOLLIN)
        each.socket.sendall(requests[asked % len(requests)])
        asked += 1
    size_bytes = answers = warm_up_answers = 0
    began, own_began = time.perf_counter(), 0.0
    is_warm = False
    while True:
        now = time.perf_counter()
        if not is_warm and now - began > WARM_UP_SECONDS:
            is_warm, warm_up_answers = True, answers
            began, own_began, size_bytes, answers = now, time.process_time(), 0, 0
        if is_warm and now - began > order.seconds:
            break
        for number, _ in waiting.poll(1.0):
            connection = by_number[number]
            count, is_whole = connection.take(buffer)
            size_bytes += count
            if is_whole:
                answers += 1
                connection.socket.sendall(requests[asked % len(requests)])
                asked += 1
    taken = Taken(now - began, size_bytes, answers, warm_up_answers + answers, time.process_time() - own_began)
    waiting.close()
    for each in opened:
        each.socket.close()
    return taken


def _work(core: int, orders: Connection) -> None:
    os.sched_setaffinity(0, {core})
    while True:
        orders.send(_take(orders.recv()))


class Taker:
    """The process that asks, to be given one order after another."""

    def __init__(self, orders: Connection) -> None:
        """Talk to it over a pipe."""
        self._orders = orders

    def take(self, order: Order) -> Taken:
        """Carry an order out. Raises EOFError when something else came than was expected, which the process has said."""
        self._orders.send(order)
        taken: Taken = self._orders.recv()
        return taken


@contextmanager
def taker() -> Iterator[Taker]:
    """Run one on the core that this process has now."""
    with in_a_process(_work, max(os.sched_getaffinity(0))) as orders:
        yield Taker(orders)
