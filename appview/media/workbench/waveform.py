"""The outline of a recording for a player: the largest magnitude in each of about a thousand equal parts.

The length is not known beforehand, so magnitudes are kept for parts of 1, 2, 4, … samples: whenever there are too many parts,
neighbours become one. Memory is bounded, and the result does not depend on how the samples were cut into frames.
"""

import numpy as np
from numpy.typing import NDArray

PEAKS = 1000
_MAXIMUM_PARTS = 8192
_FULL_SCALE = 255


class Waveform:
    """Magnitudes of a stream of samples."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._part_samples = 1
        self._parts = np.zeros(0, np.float32)
        self._rest = np.zeros(0, np.float32)

    def push(self, samples: NDArray[np.float32]) -> None:
        """Take the next samples, of shape (channels, samples); 1.0 is full scale."""
        magnitudes = np.concatenate((self._rest, np.abs(samples).max(axis=0)))
        whole = len(magnitudes) // self._part_samples * self._part_samples
        self._rest = magnitudes[whole:]
        self._parts = np.concatenate((self._parts, magnitudes[:whole].reshape(-1, self._part_samples).max(axis=1)))
        while len(self._parts) > _MAXIMUM_PARTS:
            self._merge()

    def peaks(self) -> list[int]:
        """Return the peaks, 0 to 255: 1,000, or as many as there are samples when they are fewer."""
        parts = self._parts
        if len(self._rest):
            parts = np.append(parts, self._rest.max())
        if len(parts) > PEAKS:
            parts = np.maximum.reduceat(parts, np.arange(PEAKS) * len(parts) // PEAKS)
        scaled = np.nan_to_num(parts, nan=0.0, posinf=1.0, neginf=0.0) * _FULL_SCALE
        return [int(value) for value in scaled.round().clip(0, _FULL_SCALE)]

    def _merge(self) -> None:
        if len(self._parts) % 2:
            # The last part becomes the first half of one that is not full yet; its maximum stands for all its samples.
            self._rest = np.concatenate((np.full(self._part_samples, self._parts[-1], np.float32), self._rest))
            self._parts = self._parts[:-1]
        self._parts = self._parts.reshape(-1, 2).max(axis=1)
        self._part_samples *= 2
