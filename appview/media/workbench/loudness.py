"""Measure loudness while samples pass by: integrated loudness by EBU R 128, and the true peak.

FFmpeg's filter does the arithmetic (ITU-R BS.1770, https://ffmpeg.org/ffmpeg-filters.html#ebur128-1); it keeps a histogram, so
memory does not grow with the length. One channel is measured as what it will be heard as, two loudspeakers. What is
shorter than a gating block of 400 ms has no integrated loudness. Peaks come in thousandths of full scale.
"""

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.filter import Graph

_QUIETEST_LUFS = -70.0
_STEPS_PER_SECOND = 10


class LoudnessMeter:
    """The loudness of a stream of planar float frames of one rate and layout."""

    def __init__(self, sample_rate_hz: int, layout: str) -> None:
        """Build the filter."""
        self._rate = sample_rate_hz
        self._layout = layout
        self._samples = 0
        self._readings: dict[str, str] = {}
        self._graph = Graph()
        base = Fraction(1, sample_rate_hz)
        entry = self._graph.add_abuffer(sample_rate=sample_rate_hz, format="fltp", layout=layout, time_base=base)
        filter_ = self._graph.add("ebur128", "metadata=1:peak=true:dualmono=true:framelog=quiet")
        self._graph.link_nodes(entry, filter_, self._graph.add("abuffersink"))
        self._graph.configure()

    def push(self, frame: AudioFrame) -> None:
        """Take the next samples; the frame's time must follow on the last one's."""
        self._samples += frame.samples
        self._graph.push(frame)
        self._pull()

    def finish(self) -> Mapping[str, Any]:
        """Return the fields of Loudness for all of it."""
        missing = -self._samples % (self._rate // _STEPS_PER_SECOND)
        if missing:
            # The filter reads its instruments every 100 ms only, so the last ones are filled up.
            silence = np.zeros((1 if self._layout == "mono" else 2, missing), np.float32)
            frame = AudioFrame.from_ndarray(silence, format="fltp", layout=self._layout)
            frame.sample_rate, frame.pts, frame.time_base = self._rate, self._samples, Fraction(1, self._rate)
            self.push(frame)
        self._graph.push(None)
        self._pull()
        integrated = float(self._readings.get("lavfi.r128.I", _QUIETEST_LUFS))
        peak = float(self._readings.get("lavfi.r128.true_peak", 0.0))
        is_heard = math.isfinite(integrated) and integrated > _QUIETEST_LUFS
        has_peak = math.isfinite(peak) and peak > 0
        return {
            "integrated_lufs": round(integrated, 2) if is_heard else None,
            "true_peak_dbtp": round(20 * math.log10(peak), 2) if has_peak else None,
        }

    def _pull(self) -> None:
        while True:
            try:
                measured = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            if readings := measured.metadata:
                self._readings = readings
