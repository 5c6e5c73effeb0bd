"""Try inputs on a target: each is written down before, and kept when it breaks a law. With an engine of plain Python.

That engine sees no coverage, only what the targets say became of an input; `coverage_guided` is the other one.
"""

import hashlib
import mmap
import random
import struct
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

INPUT_LIMIT = 4096
CORPUS_LIMIT = 2000
_HEADER = struct.Struct("<QI")
_INTERESTING = (0, 1, 0x17, 0x18, 0x20, 0x40, 0x58, 0x60, 0x7F, 0x80, 0xA0, 0xD8, 0xF4, 0xF6, 0xFB, 0xFF)


class Target(Protocol):
    """What the engines need of a target."""

    @property
    def name(self) -> str: ...
    @property
    def seeds(self) -> tuple[bytes, ...]: ...
    @property
    def run(self) -> Callable[[bytes], str]: ...
    @property
    def longest(self) -> int: ...


class Ledger:
    """A file that tells, whatever becomes of the process, how many inputs were tried and which one is being tried."""

    def __init__(self, path: Path) -> None:
        """Open the file, made if it is not there."""
        size = _HEADER.size + 2 * INPUT_LIMIT
        if not path.exists():
            path.write_bytes(bytes(size))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), size)

    def enter(self, count: int, data: bytes) -> None:
        """Write down an input and its number."""
        data = data[: 2 * INPUT_LIMIT]
        self._map[: _HEADER.size + len(data)] = _HEADER.pack(count, len(data)) + data

    def read(self) -> tuple[int, bytes]:
        """Return the number and the input that were entered last."""
        count, length = _HEADER.unpack_from(self._map)
        return count, self._map[_HEADER.size : _HEADER.size + length]


class Finding(Exception):
    """An input broke a law; where it is kept, and what was raised."""

    def __init__(self, path: Path, explanation: str) -> None:
        """Name the file and tell the traceback."""
        super().__init__(f"{path}\n{explanation}")
        self.path = path
        self.explanation = explanation


def keep(folder: Path, target: str, data: bytes) -> Path:
    """Write an input down for good, and return where."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{target}-{hashlib.sha256(data).hexdigest()[:16]}"
    path.write_bytes(data)
    return path


def attempt(target: Target, data: bytes, findings: Path) -> str:
    """Try an input and return what the target says. Raises Finding, the input kept, for whatever it raises."""
    try:
        return target.run(data)
    except Exception as error:
        explanation = "".join(traceback.format_exception(error))
        path = keep(findings, target.name, data)
        path.with_suffix(".txt").write_text(explanation, encoding="utf-8")
        raise Finding(path, explanation) from error


def run_plain(target: Target, executions: int, seconds: float, seed: int, ledger: Ledger, findings: Path) -> None:
    """Try so many mutated inputs, the same ones for the same seed as long as the time suffices. Raises Finding."""
    chance = random.Random(f"{target.name} {seed}")
    corpus = list(target.seeds)
    known: set[str] = set()
    deadline = time.monotonic() + seconds
    count = 0
    while count < executions and (count % 64 or time.monotonic() < deadline):
        data = corpus[count] if count < len(target.seeds) else mutated(chance, corpus)[: target.longest]
        count += 1
        ledger.enter(count, data)
        said = attempt(target, data, findings)
        if said not in known and len(corpus) < CORPUS_LIMIT:
            known.add(said)
            corpus.append(data)


def mutated(chance: random.Random, corpus: list[bytes]) -> bytes:
    """Return one of the inputs with one change to eight, or spliced with another."""
    data = bytearray(chance.choice(corpus))
    for _ in range(1 << chance.randrange(4)):
        at = chance.randrange(len(data)) if data else 0
        match chance.randrange(8):
            case 0 if data:
                data[at] ^= 1 << chance.randrange(8)
            case 1 if data:
                data[at] = chance.randrange(256)
            case 2 if data:
                data[at] = chance.choice(_INTERESTING)
            case 3 if data:
                data[at] = (data[at] + chance.choice((-1, 1))) % 256
            case 4:
                del data[at : at + 1 + chance.randrange(16)]
            case 5:
                data[at:at] = chance.randbytes(1 + chance.randrange(8))
            case 6:
                data[at:at] = data[at : at + 1 + chance.randrange(64)]
            case _:
                other = chance.choice(corpus)
                start = chance.randrange(len(other)) if other else 0
                data[at:] = other[start:]
    return bytes(data[:INPUT_LIMIT])
