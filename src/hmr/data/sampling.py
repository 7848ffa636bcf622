"""Bilinear samples of many windows at once, compiled.

A graph of TensorFlow's operations takes five to ten times as long for the same: it has none that
samples an image where rows and columns cross.
"""

from __future__ import annotations

import atexit
import functools
import gc
import math
import weakref
from collections import deque

import numpy as np
import tensorflow as tf

from hmr.tensor import Tensor
from hmr.compiled import compiled

# TensorFlow takes an array over as it is, without copying, if it begins at a multiple of this.
_ALIGNMENT = 64
_KEPT_BATCHES = 8
_ITERATORS = {"OwnedIterator", "OwnedMultiDeviceIterator"}


class BatchSampler:
    """`hmr.data.augment.sample_in_graph` for datasets that are read in this process.

    It fills the memory of batches that nobody holds any more: to get as much from the system each
    time would take as long as the sampling.
    """

    def __init__(self) -> None:
        _close_datasets_at_exit()
        self._free: deque[np.ndarray] = deque(maxlen=_KEPT_BATCHES)

    def __call__(self, windows: list[Tensor], rows: Tensor, columns: Tensor) -> Tensor:
        """Samples each window where its rows and columns cross.

        Args:
            windows: B of (H, W, 3) uint8, of any sizes.
            rows, columns: (B, S) float32 positions within the windows, px.
        Returns:
            (B, S, S, 3) float32; what is 0..255 in the windows is -1..1 here.
        """
        # Without state, so that the position of a dataset can be saved.
        images = tf.numpy_function(self.sample, [rows, columns, *windows], tf.float32, False)
        return tf.ensure_shape(images, (*rows.shape, columns.shape[1], 3))

    def sample(self, rows: np.ndarray, columns: np.ndarray, *windows: np.ndarray) -> np.ndarray:
        """`__call__` for arrays."""
        images = self._batch((*rows.shape, columns.shape[1], 3))
        for window, *lines, image in zip(windows, rows, columns, images, strict=True):
            _sample_window(window, *lines, image)
        return images

    def _batch(self, shape: tuple[int, ...]) -> np.ndarray:
        buffer = self._free.popleft() if self._free else None
        if buffer is None or buffer.shape != shape:
            buffer = _aligned(shape)
        batch = buffer.view()
        weakref.finalize(batch, self._free.append, buffer).atexit = False
        return batch


@functools.cache
def _close_datasets_at_exit() -> None:
    atexit.register(_close_datasets)


def _close_datasets() -> None:
    """Closes what is being read, while the threads that read can still sample.

    A thread that wants Python when Python is gone never ends, and TensorFlow waits for it.
    """
    for thing in gc.get_objects():
        if type(thing).__name__ in _ITERATORS:
            vars(thing).clear()


def _aligned(shape: tuple[int, ...]) -> np.ndarray:
    memory = np.empty(4 * math.prod(shape) + _ALIGNMENT, np.uint8)
    first = -memory.ctypes.data % _ALIGNMENT
    return memory[first : first + 4 * math.prod(shape)].view(np.float32).reshape(shape)


@compiled(fastmath={"contract"})
def _sample_window(
    window: np.ndarray, rows: np.ndarray, columns: np.ndarray, image: np.ndarray
) -> None:
    height, width, _ = window.shape
    pixels = window.reshape(height, 3 * width)
    line = np.empty(3 * width + 3, np.float32)  # the last column twice
    left = np.empty(len(columns), np.uint32)
    across = np.empty(len(columns), np.float32)
    for x in range(len(columns)):
        left[x] = 3 * min(max(int(columns[x]), 0), width - 1)  # never beside the window
        across[x] = columns[x] - np.floor(columns[x])
    for y in range(len(rows)):
        above = min(max(int(rows[y]), 0), height - 1)
        upper, lower = pixels[above], pixels[min(above + 1, height - 1)]
        down = rows[y] - np.float32(above)
        for i in range(3 * width):
            value = np.float32(upper[i])
            value += (np.float32(lower[i]) - value) * down
            line[i] = (value - np.float32(127.5)) * np.float32(1.0 / 127.5)
        for i in range(3 * width, 3 * width + 3):
            line[i] = line[i - 3]
        for x in range(len(columns)):
            start, share = left[x], across[x]
            for channel in range(3):
                value = line[start + channel]
                image[y, x, channel] = value + (line[start + 3 + channel] - value) * share
