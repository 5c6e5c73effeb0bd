"""A recorded network as a file: what a relay sent, and what its hosts and directory answered, moment by moment.

A moment says how far the stream had come (`seq`) and what changed by then of documents, repositories, statuses and handles;
what it does not mention is as before. Hosts' addresses in documents stand for whoever replays them. The file
is gzipped CBOR, less than a hundred kilobytes, and is read whole.
"""

import gzip
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cbor2

from atprotocol.errors import FrameError
from atprotocol.frames import split

FORMAT = 1


class BadRecording(Exception):
    """The file is no recording that this program can read."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A state of the network: what is new since the moment before.

    `documents` are DID documents, `repos` CARs, `collections` the NSIDs in each repo, `statuses` answers of getRepoStatus
    without the DID, all by DID; `handles` are DIDs by handle, empty for one that resolves no longer; `blobs` are the
    files of audio and pictures by CID.
    """

    title: str
    seq: int
    documents: dict[str, dict[str, Any]]
    repos: dict[str, bytes]
    collections: dict[str, list[str]]
    statuses: dict[str, dict[str, Any]]
    handles: dict[str, str]
    blobs: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Recording:
    """Frames as bytes in the order of their seq, and the moments in theirs."""

    frames: tuple[bytes, ...]
    moments: tuple[Moment, ...]


def seq_of(frame: bytes) -> int | None:
    """Return the seq of a frame; None when it has none, or cannot be read."""
    try:
        seq = split(frame)[1].get("seq")
    except FrameError:
        return None
    return seq if isinstance(seq, int) else None


def save_recording(path: Path, recording: Recording) -> None:
    """Write a recording; the same recording gives the same bytes."""
    content = {
        "format": FORMAT,
        "frames": list(recording.frames),
        "moments": [asdict(moment) for moment in recording.moments],
    }
    path.write_bytes(gzip.compress(cbor2.dumps(content, canonical=True), mtime=0))


def load_recording(path: Path) -> Recording:
    """Read a recording. Raises BadRecording."""
    try:
        content = cbor2.loads(gzip.decompress(path.read_bytes()))
        if content["format"] != FORMAT:
            raise BadRecording(f"{path} is of format {content['format']}, this program reads {FORMAT}")
        return Recording(tuple(content["frames"]), tuple(Moment(**moment) for moment in content["moments"]))
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise BadRecording(f"{path} cannot be read: {error}") from error
