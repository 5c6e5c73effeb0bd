"""Do everything that reads a stranger's media in a process of its own, within limits, and tell whose fault a failure was.

A job is one process and one file: it gets a JSON job on its standard input and gives a JSON answer, inherits nothing of
our environment, and is killed with everything it started when its time is over or nobody waits for it any more. The process
caps itself (appview/media/workbench/limits.py); what it may not do is there, what is done with media is beside it.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from appview.media.facts import AudioFacts, AudioProfile, ImagePreset, Loudness, Picture, Rendering

_PACKAGES = Path(__file__).resolve().parents[2]
_ENVIRONMENT = {
    "PATH": os.defpath,
    "LANG": "C.UTF-8",
    "PYTHONPATH": str(_PACKAGES),
    "PYTHONSAFEPATH": "1",
    # One thread: a pool for matrices would only reserve memory under the cap.
    "OPENBLAS_NUM_THREADS": "1",
}
_Done = TypeVar("_Done")
_ANSWER_BYTES = 1_000_000
_COMPLAINT_BYTES = 100_000
_COMPLAINT_CHARACTERS = 200


class MediaRejected(Exception):
    """The file is at fault and will be the next time: `reason` is a stable word, a colon and a sentence.

    The words: not-audio, not-picture, no-audio-stream, broken, too-long, too-many-pixels, too-expensive, crashed.
    """

    def __init__(self, reason: str) -> None:
        """Take the whole reason."""
        super().__init__(reason)
        self.reason = reason


class WorkshopFailed(Exception):
    """The machine or we are at fault: the process did not start, the disk is full, somebody killed it. Try again."""


@dataclass(frozen=True, slots=True)
class WorkLimits:
    """What one job may take: time by the wall and by the processor, memory, output, length of audio, pixels."""

    seconds: float = 600
    memory_bytes: int = 1_500_000_000
    output_bytes: int = 500_000_000
    audio_seconds: int = 6 * 3600
    pixels: int = 40_000_000


class Workshop:
    """A bounded number of jobs at a time."""

    def __init__(self, *, processes: int = 1, limits: WorkLimits = WorkLimits()) -> None:
        """Take how many jobs may run at once; the others wait."""
        self._limits = limits
        self._turns = asyncio.Semaphore(processes)
        self._endings: set[asyncio.Task[None]] = set()

    async def probe(self, path: Path) -> AudioFacts:
        """Return what an audio file says of itself. Raises MediaRejected or WorkshopFailed."""
        return await self._job({"kind": "probe", "path": _whole(path)}, None, _audio_facts)

    async def render(self, path: Path, target: Path, profile: AudioProfile) -> Rendering:
        """Write the streamed form of an audio file to `target`, which does not exist after a failure.

        Raises MediaRejected or WorkshopFailed.
        """
        job = {"kind": "render", "path": _whole(path), "target": _whole(target), "profile": asdict(profile)}
        return await self._job(job, target, _rendering)

    async def picture(self, path: Path, target: Path, preset: ImagePreset, mime_type: str) -> Picture:
        """Write a small form of a picture, as image/webp or image/jpeg, to `target`, which does not exist after a failure.

        Transparency is kept in WebP and becomes white in JPEG. Raises MediaRejected or WorkshopFailed; ValueError when
        `mime_type` is neither.
        """
        if mime_type not in ("image/webp", "image/jpeg"):
            raise ValueError(f"pictures are not written as {mime_type}")
        job = {"kind": "picture", "path": _whole(path), "target": _whole(target), "preset": asdict(preset)}
        return await self._job({**job, "mime_type": mime_type}, target, lambda done: Picture(**done))

    async def _job(
        self, job: Mapping[str, Any], target: Path | None, read: Callable[[Mapping[str, Any]], _Done]
    ) -> _Done:
        request = {**job, "limits": asdict(self._limits), "parent_pid": os.getpid()}
        async with self._turns:
            process = await _started()
            is_done = False
            try:
                async with asyncio.timeout(self._limits.seconds):
                    answer, complaint = await _conversation(process, json.dumps(request).encode())
                with _trusted():
                    done = read(_concluded(answer, complaint, process.returncode or 0))
                is_done = True
            except TimeoutError as error:
                raise MediaRejected(f"too-expensive: it takes longer than {self._limits.seconds:g} seconds") from error
            finally:
                # Nothing is awaited after success, so that no cancellation can come between it and the caller.
                if not is_done:
                    await self._end(process, target)
        return done

    async def _end(self, process: asyncio.subprocess.Process, leftover: Path | None) -> None:
        """Kill the process and what it started, wait for its end, and remove what it left; also when cancelled meanwhile."""
        _kill(process)
        ending = asyncio.ensure_future(_ended(process, leftover))
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)
        await asyncio.shield(ending)


def _audio_facts(done: Mapping[str, Any]) -> AudioFacts:
    return AudioFacts(**{**done, "tags": MappingProxyType(dict(done["tags"]))})


def _rendering(done: Mapping[str, Any]) -> Rendering:
    return Rendering(**{**done, "loudness": Loudness(**done["loudness"]), "peaks": tuple(done["peaks"])})


def _whole(path: Path) -> str:
    """Return the path from the root on, since the process works in a folder of its own."""
    return str(path.absolute())


async def _started() -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "appview.media.workbench"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=_ENVIRONMENT,
            cwd=_PACKAGES,
            start_new_session=True,
        )
    except OSError as error:
        raise WorkshopFailed(f"a process could not be started: {error.strerror}") from error


async def _conversation(process: asyncio.subprocess.Process, request: bytes) -> tuple[bytes, bytes]:
    """Send the job, and return the answer and what was complained of, when the process has ended."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    with contextlib.suppress(ConnectionError):  # it may end before it reads
        process.stdin.write(request)
        await process.stdin.drain()
    process.stdin.close()
    answer, complaint = await asyncio.gather(
        _read(process.stdout, _ANSWER_BYTES), _read(process.stderr, _COMPLAINT_BYTES)
    )
    await process.wait()
    return answer, complaint


async def _read(stream: asyncio.StreamReader, limit: int) -> bytes:
    """Return the first `limit` bytes, and let the others pass, so that the writer does not stand still."""
    kept = bytearray()
    while piece := await stream.read(65_536):
        kept += piece[: limit - len(kept)]
    return bytes(kept)


def _concluded(answer: bytes, complaint: bytes, returncode: int) -> Mapping[str, Any]:
    """Return what was done. Raises MediaRejected or WorkshopFailed by who is at fault."""
    lines = answer.splitlines()
    if len(lines) == 2 and returncode == 0:
        verdict: Mapping[str, Any] = json.loads(lines[1])
        if "rejected" in verdict:
            raise MediaRejected(str(verdict["rejected"]))
        if "failed" in verdict:
            raise WorkshopFailed(str(verdict["failed"]))
        done: Mapping[str, Any] = verdict["done"]
        return done
    last = complaint.decode("utf-8", "replace").strip().rpartition("\n")[2]
    said = "".join(character for character in last if character.isprintable())[:_COMPLAINT_CHARACTERS]
    if not lines:
        raise WorkshopFailed(f"the process ended with {returncode} before it began: {said}")
    if returncode == -signal.SIGXCPU:
        raise MediaRejected("too-expensive: it takes more processor time than a job may have")
    if returncode == -signal.SIGKILL:
        raise WorkshopFailed("somebody killed the process, perhaps for want of memory")
    raise MediaRejected(f"crashed: the process that read it ended with {returncode}")


@contextlib.contextmanager
def _trusted() -> Iterator[None]:
    """Turn an answer of another shape than agreed on into WorkshopFailed."""
    try:
        yield
    except (ValueError, TypeError, LookupError) as error:
        raise WorkshopFailed("the process gave an answer that is none") from error


def _kill(process: asyncio.subprocess.Process) -> None:
    # It leads a session of its own, so its number is that of its group. Once it was waited for, the number may be another's.
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


async def _ended(process: asyncio.subprocess.Process, leftover: Path | None) -> None:
    await process.wait()
    if leftover is not None:
        await asyncio.to_thread(leftover.unlink, missing_ok=True)
