"""Smoothing while frames still come, as from a camera: the One-Euro filter.

Casiez et al. 2012: a low-pass whose cutoff rises with speed, so that what is at rest does not
tremble and what moves fast hardly lags.
"""

from __future__ import annotations

import numpy as np

_SPEED_CUTOFF_HZ = 1.0
_CUTOFF_PER_SPEED = 0.7


class OneEuro:
    """Filters arrays (..., C) that come one by one; each row of C numbers has a speed of its own.

    Args:
        cutoff_hz: for what is at rest.
        unit: the rows are quaternions: their signs do not count, and they stay of length 1.
    """

    def __init__(self, cutoff_hz: float, unit: bool = False):
        self._cutoff_hz, self._unit = cutoff_hz, unit
        self._last: np.ndarray | None = None
        self._speed: np.ndarray = np.zeros(())
        self._seconds = 0.0

    def __call__(self, values: np.ndarray, seconds: float) -> np.ndarray:
        """The values of now, calmed.

        Args:
            values: of the same shape each time.
            seconds: when; later than the last time.
        """
        values = np.asarray(values, np.float64)
        last, elapsed = self._last, seconds - self._seconds
        self._seconds = seconds
        if last is None or elapsed <= 0:
            self._last, self._speed = values, np.zeros_like(values)
            return values
        if self._unit:
            values = values * np.where((values * last).sum(-1, keepdims=True) < 0, -1.0, 1.0)
        rate = 1 / elapsed
        calm = _share(_SPEED_CUTOFF_HZ, rate)
        self._speed = self._speed + calm * ((values - last) * rate - self._speed)
        speed = np.linalg.norm(self._speed, axis=-1, keepdims=True)
        cutoff_hz = self._cutoff_hz + _CUTOFF_PER_SPEED * speed
        self._last = last + _share(cutoff_hz, rate) * (values - last)
        if self._unit:
            self._last = self._last / np.linalg.norm(self._last, axis=-1, keepdims=True)
        return self._last


def _share(cutoff_hz: np.ndarray | float, rate: float) -> np.ndarray | float:
    """How much of the newest value an exponential low-pass takes."""
    return 1 / (1 + rate / (2 * np.pi * cutoff_hz))
