"""Hundreds of players in one process: each takes 40 kB/s, some after a first gulp, and some take nothing at all.

A player's socket holds little, and its segments are as long as those on a network, so that the server feels the pace. Every
ten come from an address of their own, as listeners do.
"""

import contextlib
import heapq
import os
import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from bench.load import UnexpectedAnswer, in_a_process

BYTES_PER_SECOND = 40_000
TICK_SECONDS = 0.5
GUARD_SECONDS = 30.0
PER_ADDRESS = 10
_WINDOW_BYTES = 32_768
_SEGMENT_BYTES = 1448


@dataclass(frozen=True, slots=True)
class Heard:
    """How the listeners fared: shares of what a player should have had by now, and of the ticks when something was missing."""

    listeners: int
    size_bytes: int
    slowest_share: float
    mean_share: float
    late_ticks_share: float


class _Listener:
    """One player."""

    def __init__(self, number: int, port: int, path: str, gulp_bytes: int) -> None:
        # Every process has its own addresses of 127.0.0.0/8 for the asking.
        address = f"127.0.{1 + number // PER_ADDRESS // 250}.{1 + number // PER_ADDRESS % 250}"
        self.socket = socket.socket()
        self.socket.settimeout(GUARD_SECONDS)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WINDOW_BYTES)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SEGMENT_BYTES)
        self.socket.bind((address, 0))
        self.socket.connect(("127.0.0.1", port))
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        self.began = 0.0
        self.taken = 0
        self.ticks = self.late_ticks = 0
        self._gulp_bytes = gulp_bytes

    def begin(self) -> None:
        """Take the head; raises UnexpectedAnswer for another than 200."""
        head = b""
        while b"\r\n\r\n" not in head:
            head = self.socket.recv(4096, socket.MSG_PEEK)
        if not head.startswith(b"HTTP/1.1 200"):
            raise UnexpectedAnswer(head[:300])
        self.socket.recv(head.index(b"\r\n\r\n") + 4)
        self.socket.setblocking(False)
        self.began = time.perf_counter()

    @property
    def is_gulping(self) -> bool:
        """Tell whether it still takes all that comes."""
        return self.taken < self._gulp_bytes

    def due(self, now: float) -> int:
        """Return how many bytes it should have had by now."""
        return self._gulp_bytes + int((now - self.began) * BYTES_PER_SECOND)

    def tick(self, now: float, buffer: bytearray) -> None:
        """Take what is due, as far as it is there."""
        wanted = self.due(now) - self.taken
        while wanted > 0:
            try:
                count = self.socket.recv_into(buffer, min(wanted, len(buffer)))
            except BlockingIOError:
                break
            if count == 0:
                raise UnexpectedAnswer(f"the stream ended after {self.taken} bytes")
            self.taken += count
            wanted -= count
        self.ticks += 1
        self.late_ticks += wanted > 0


class _Audience:
    """All that listen, or only stay, and when each takes its next bytes."""

    def __init__(self, orders: Connection) -> None:
        self._orders = orders
        self._waiting = select.epoll()
        self._waiting.register(orders, select.EPOLLIN)
        self._listeners: list[_Listener] = []
        self._stalled: list[_Listener] = []
        self._due: list[tuple[float, int]] = []
        self._gulping: dict[int, int] = {}
        self._buffer = bytearray(256 * 1024)

    def run(self) -> None:
        while True:
            now = time.perf_counter()
            while self._due and self._due[0][0] <= now:
                at, number = heapq.heappop(self._due)
                self._listeners[number].tick(now, self._buffer)
                # What came too late is not made up for in haste: the next tick asks for more.
                heapq.heappush(self._due, (max(at + TICK_SECONDS, now), number))
                now = time.perf_counter()
            timeout = max(0.0, self._due[0][0] - now) if self._due else -1
            for fileno, _ in self._waiting.poll(timeout):
                if fileno == self._orders.fileno():
                    self._obey(*self._orders.recv())
                else:
                    self._gulp(fileno)

    def _gulp(self, fileno: int) -> None:
        number = self._gulping[fileno]
        listener = self._listeners[number]
        count = listener.socket.recv_into(self._buffer)
        if count == 0:
            raise UnexpectedAnswer(f"the stream ended after {listener.taken} bytes")
        listener.taken += count
        if not listener.is_gulping:
            self._waiting.unregister(fileno)
            del self._gulping[fileno]
            self._pace(number)

    def _pace(self, number: int) -> None:
        phase = TICK_SECONDS * (1 + number / max(1, len(self._listeners)))
        heapq.heappush(self._due, (time.perf_counter() + phase, number))

    def _obey(self, order: str, *arguments: Any) -> None:
        getattr(self, f"_{order}")(*arguments)

    def _open(self, port: int, paths: list[str], count: int, gulp_bytes: int) -> None:
        first = len(self._listeners)
        for number in range(first, first + count):
            listener = _Listener(number, port, paths[number % len(paths)], gulp_bytes)
            listener.begin()
            self._listeners.append(listener)
        for number in range(first, first + count):
            listener = self._listeners[number]
            # All were let in: now they begin.
            listener.began = time.perf_counter()
            if listener.is_gulping:
                self._gulping[listener.socket.fileno()] = number
                self._waiting.register(listener.socket, select.EPOLLIN)
            else:
                self._pace(number)
        self._orders.send(None)

    def _stall(self, port: int, path: str, count: int) -> None:
        # Numbers far from those that listen.
        self._stalled += [_Listener(100_000 + number, port, path, 0) for number in range(count)]
        self._orders.send(None)

    def _awake(self) -> None:
        for each in self._stalled:
            each.socket.close()
        self._stalled.clear()
        self._orders.send(None)

    def _tell(self) -> None:
        now = time.perf_counter()
        # What is between two ticks is not missing yet.
        shares = [min(1.0, each.taken / max(1, each.due(now - TICK_SECONDS))) for each in self._listeners]
        ticks = sum(each.ticks for each in self._listeners)
        late = sum(each.late_ticks for each in self._listeners)
        told = Heard(
            len(shares),
            sum(each.taken for each in self._listeners),
            min(shares),
            sum(shares) / len(shares),
            late / max(1, ticks),
        )
        self._orders.send(told)

    def _leave(self) -> None:
        for each in self._listeners:
            each.socket.close()
        self._listeners.clear()
        self._due.clear()
        self._gulping.clear()
        self._orders.send(None)


def _listen(core: int, orders: Connection) -> None:
    os.sched_setaffinity(0, {core})
    with contextlib.suppress(EOFError):
        _Audience(orders).run()


class Listeners:
    """The listening process."""

    def __init__(self, orders: Connection) -> None:
        """Talk to it over a pipe."""
        self._orders = orders

    def open(self, port: int, paths: list[str], count: int, *, gulp_bytes: int = 0) -> None:
        """Let so many more listen, each to one of the paths; they take `gulp_bytes` at once and keep the pace from there."""
        self._ask("open", port, paths, count, gulp_bytes)

    def stall(self, port: int, path: str, count: int) -> None:
        """Let so many more ask, and take nothing."""
        self._ask("stall", port, path, count)

    def awake(self) -> None:
        """Let those who take nothing go."""
        self._ask("awake")

    def leave(self) -> None:
        """Let all who listen go, at once."""
        self._ask("leave")

    def heard(self) -> Heard:
        """Return how they fare."""
        told: Heard = self._ask("tell")
        return told

    def _ask(self, *order: Any) -> Any:
        """Give an order. Raises EOFError when a stream ended or was refused, which the process has said."""
        self._orders.send(order)
        return self._orders.recv()


@contextmanager
def listeners() -> Iterator[Listeners]:
    """Run the process on the core that this one has now."""
    with in_a_process(_listen, max(os.sched_getaffinity(0))) as orders:
        yield Listeners(orders)
