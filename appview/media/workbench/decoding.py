"""Turn the packets of an opened file into frames of finite samples, and judge how much of it was readable.

A few packets that cannot be decoded are skipped, as players do. A file is broken when nothing came out, when more than a
quarter of its packets failed, or when less than half of the length that its header claims was there. The length is
counted from what came out, at the rate it came out with.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from appview.media.workbench.opening import MAXIMUM_CHANNELS, MAXIMUM_RATE_HZ, MINIMUM_RATE_HZ, OpenedAudio
from appview.media.workbench.verdicts import Rejected

_FORGIVEN_PACKETS = 3
_FORGIVEN_SHARE = 0.25
_SHARE_OF_THE_CLAIM = 0.5
# Beyond this no sample is music; encoders fail on what is near infinity.
_LOUDEST = 16.0
_FLOATS = frozenset(("flt", "fltp", "dbl", "dblp"))


class Decoding:
    """One pass over the audio of a file."""

    def __init__(self, opened: OpenedAudio, audio_seconds: int) -> None:
        """Begin at the beginning; `audio_seconds` is the most that is decoded."""
        self.seconds = 0.0
        self._opened = opened
        self._audio_seconds = audio_seconds
        self._packets = 0
        self._failed = 0

    def frames(self) -> Iterator[AudioFrame]:
        """Yield every frame that can be decoded, with finite samples. Raises Rejected: too-long or broken."""
        packets = self._opened.container.demux(self._opened.stream)
        while True:
            try:
                packet = next(packets, None)
            except MemoryError:
                raise
            except av.FFmpegError:
                self._failed += 1
                break  # a demuxer that lost its way does not find it again
            if packet is None:
                break
            self._packets += 1
            try:
                decoded = packet.decode()
            except MemoryError:
                raise
            except av.FFmpegError:
                self._failed += 1
                continue
            for frame in decoded:
                if isinstance(frame, AudioFrame) and self._is_plausible(frame):
                    yield self._counted(frame)
        self._judge()

    def _is_plausible(self, frame: AudioFrame) -> bool:
        is_plausible = (
            MINIMUM_RATE_HZ <= frame.sample_rate <= MAXIMUM_RATE_HZ
            and 1 <= frame.layout.nb_channels <= MAXIMUM_CHANNELS
        )
        self._failed += not is_plausible
        return is_plausible and frame.samples > 0

    def _counted(self, frame: AudioFrame) -> AudioFrame:
        self.seconds += frame.samples / frame.sample_rate
        if self.seconds > self._audio_seconds:
            raise Rejected("too-long", f"it is longer than {self._audio_seconds} seconds")
        frame = _finite(frame)
        frame.pts = None
        return frame

    def _judge(self) -> None:
        claimed = self._opened.claimed_seconds
        if self.seconds == 0:
            raise Rejected("broken", "nothing in it could be decoded")
        if self._failed > _FORGIVEN_PACKETS and self._failed > _FORGIVEN_SHARE * self._packets:
            raise Rejected("broken", "much of it could not be decoded")
        if claimed is not None and self.seconds < _SHARE_OF_THE_CLAIM * claimed:
            raise Rejected("broken", "less than half of the length that it claims could be decoded")


def _finite(frame: AudioFrame) -> AudioFrame:
    if frame.format.name not in _FLOATS:
        return frame
    samples: NDArray[Any] = frame.to_ndarray()
    # A comparison with NaN is false, so one pass finds all that is not finite.
    if bool((np.abs(samples) <= _LOUDEST).all()):
        return frame
    bounded = np.nan_to_num(samples, nan=0.0, posinf=_LOUDEST, neginf=-_LOUDEST).clip(-_LOUDEST, _LOUDEST)
    repaired = AudioFrame.from_ndarray(
        np.ascontiguousarray(bounded, samples.dtype), format=frame.format.name, layout=frame.layout.name
    )
    repaired.sample_rate = frame.sample_rate
    repaired.time_base = Fraction(1, frame.sample_rate)
    return repaired
