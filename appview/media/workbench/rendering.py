"""Write the streamed form of a track, and measure it, in one pass of decoding with bounded memory.

The target is AAC-LC in an MP4 whose index comes first (ISO/IEC 14496-14), at 44.1 or 48 kHz, of one or two channels, with no
metadata of the original and nothing that changes from run to run. Before anything is decoded the packets are counted,
so that a small file that unfolds into days is refused at once.
"""

import os
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, BinaryIO

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import OutputContainer

from appview.media.workbench.decoding import Decoding
from appview.media.workbench.files import original_and_target
from appview.media.workbench.limits import Caps
from appview.media.workbench.loudness import LoudnessMeter
from appview.media.workbench.opening import counted_seconds, opened_audio
from appview.media.workbench.verdicts import Failed, Rejected
from appview.media.workbench.waveform import Waveform

_MUXERS = {"audio/mp4": "mp4"}
# More channels than two are mixed so that they cannot exceed full scale together.
_RESAMPLING = {"rematrix_maxval": "1.0"}


def work(job: Mapping[str, Any], caps: Caps) -> Mapping[str, Any]:
    """Write the target and return the fields of Rendering. Raises Rejected or Failed."""
    profile = job["profile"]
    with original_and_target(job["path"], job["target"]) as (source, sink, written):
        with opened_audio(source, caps.audio_seconds) as opened:
            if not opened.codec.startswith("pcm_"):  # nothing unfolds there
                counted_seconds(opened, caps.audio_seconds)
        source.seek(0)
        with opened_audio(source, caps.audio_seconds) as opened:
            context = opened.stream.codec_context
            rate = 44_100 if 44_100 % context.sample_rate == 0 or context.sample_rate % 44_100 == 0 else 48_000
            renderer = _Renderer(sink, written, profile, rate, "mono" if context.channels == 1 else "stereo")
            decoding = Decoding(opened, caps.audio_seconds)
            renderer.render(decoding)
        sink.flush()
        size_bytes = os.fstat(sink.fileno()).st_size
        return {
            "duration_ms": max(1, round(decoding.seconds * 1000)),
            "bitrate_kbps": max(1, round(size_bytes * 8 / decoding.seconds / 1000)),
            "sample_rate_hz": rate,
            "channels": renderer.channels,
            "size_bytes": size_bytes,
            "mime_type": profile["mime_type"],
            "loudness": renderer.meter.finish(),
            "peaks": renderer.waveform.peaks(),
        }


class _Renderer:
    """Everything that the samples pass: resampling, the meter, the outline, the encoder and the muxer."""

    def __init__(
        self, sink: BinaryIO, written: BinaryIO, profile: Mapping[str, Any], sample_rate_hz: int, layout: str
    ) -> None:
        self.channels = 1 if layout == "mono" else 2
        self.meter = LoudnessMeter(sample_rate_hz, layout)
        self.waveform = Waveform()
        self._rate = sample_rate_hz
        self._layout = layout
        self._position = 0
        self._base = Fraction(1, sample_rate_hz)
        # Putting the index first makes the muxer read what it wrote; nothing else can be opened by then.
        self._container: OutputContainer = av.open(
            sink,
            "w",
            format=_MUXERS[profile["mime_type"]],
            container_options={"movflags": "+faststart", "fflags": "+bitexact"},
            io_open=lambda *_: written,
        )
        stream = self._container.add_stream(
            profile["codec"], rate=sample_rate_hz, options={"flags": "+bitexact", "threads": "1"}
        )
        if not isinstance(stream, AudioStream):
            raise Failed(f"{profile['codec']} is no encoder of audio")
        stream.bit_rate = profile["bitrate_kbps"] * 1000 * self.channels // 2
        stream.format = "fltp"
        stream.layout = layout
        stream.time_base = self._base
        self._stream = stream

    def render(self, decoding: Decoding) -> None:
        """Take all that is decoded, and finish the target."""
        with self._container:
            resampler: AudioResampler | None = None
            shape: tuple[int, str, str] | None = None
            try:
                for frame in decoding.frames():
                    if shape != (present := (frame.sample_rate, frame.layout.name, frame.format.name)):
                        # Chained and damaged streams change in the middle.
                        self._take(resampler, None)
                        resampler = AudioResampler(
                            format="fltp", layout=self._layout, rate=self._rate, options=_RESAMPLING
                        )
                        shape = present
                    self._take(resampler, frame)
                self._take(resampler, None)
                self._container.mux(self._stream.encode(None))
            except MemoryError:
                raise
            except av.FFmpegError as error:
                raise Rejected("broken", "its audio cannot be put into another form") from error

    def _take(self, resampler: AudioResampler | None, frame: AudioFrame | None) -> None:
        for resampled in resampler.resample(frame) if resampler is not None else ():
            if resampled.samples == 0:
                continue
            resampled.pts, resampled.time_base = self._position, self._base
            self._position += resampled.samples
            samples = resampled.to_ndarray()
            self.waveform.push(samples.astype(np.float32, copy=False))
            self.meter.push(resampled)
            self._container.mux(self._stream.encode(resampled))
