"""The training crop: scale, shift, crop and flip in one resampling, by TF1's bilinear rule.

The geometry is that of the original, to the pixel: the picture is scaled to a whole number of
pixels, the jittered centre is truncated to whole pixels, and the crop of 224 px around it repeats
the picture's edge. The original resizes the whole picture and then crops it. Here only the crop's
pixels are sampled, at the same positions and by the same bilinear rule, TF1's: destination pixel i
reads source position i / factor.
"""

from __future__ import annotations

import math
import weakref
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from hmr.compiled import compiled
from hmr.geometry.crop import CROP_SIZE
from hmr.tensor import Tensor

_DECODE_RATIOS = (8, 4, 2, 1)
_WINDOW_MARGIN = 2
# TensorFlow uses an array's memory without copying it if the address is a multiple of this.
_ALIGNMENT = 64
_KEPT_BATCHES = 8


class Jitter(NamedTuple):
    """Random draws of the augmentation.

    Attributes:
        shift_px: (..., 2) int32, x and y, added to the centre before scaling.
        scale: (...,) float32, factor by which the picture is scaled.
        flip: (...,) bool, whether left and right are mirrored.
    """

    shift_px: tf.Tensor
    scale: tf.Tensor
    flip: tf.Tensor


def no_jitter() -> Jitter:
    """The draw that changes nothing, for the crops of evaluation."""
    return Jitter(tf.zeros(2, tf.int32), tf.constant(1.0), tf.constant(False))


def crop_pictures(
    encoded: Tensor,
    center_px: Tensor,
    jitter: Jitter,
    input_size: int,
    sample: Callable[[list[Tensor], Tensor, Tensor], Tensor],
) -> dict[str, Tensor]:
    """Cuts one crop out of each picture.

    Of each picture only the window that the crop reads is decoded, at the smallest JPEG scale that
    still gives one pixel for each pixel of the network's input.

    Args:
        encoded: (B,) string, JPEG files; B must be known when the graph is built.
        center_px: (B, 2) x, y in the stored pictures.
        jitter: B draws.
        input_size: side S of the network's input, px; the crop of 224 px is scaled to it.
        sample: `sample_in_graph` or a `BatchSampler`.
    Returns:
        images (B, S, S, 3) float32 in [-1, 1], mirrored where `flip` is true; flip (B,); factor
        and origin_px of `crop_geometry`, by which keypoints follow.
    """
    pictures = tf.unstack(encoded)
    shapes = tf.stack([tf.io.extract_jpeg_shape(picture) for picture in pictures])
    height_width = tf.cast(shapes[:, :2], tf.float32)
    factor, origin_px = crop_geometry(height_width, center_px, jitter)
    ratio = next(r for r in _DECODE_RATIOS if CROP_SIZE // r >= input_size or r == 1)
    lines = crop_lines(height_width, factor, origin_px, input_size, ratio=ratio)
    windows = _windows(lines, height_width, ratio)
    decoded = [
        tf.image.decode_and_crop_jpeg(picture, window, channels=3, ratio=ratio)
        for picture, window in zip(pictures, tf.unstack(windows), strict=True)
    ]
    rows, columns = tf.unstack(lines - tf.cast(windows[:, :2, None], tf.float32), axis=1)  # (B, S)
    columns = tf.where(jitter.flip[:, None], columns[:, ::-1], columns)
    images = sample(decoded, rows, columns)
    return {"images": images, "flip": jitter.flip, "factor": factor, "origin_px": origin_px}


def crop_geometry(
    height_width: tf.Tensor, center_px: tf.Tensor, jitter: Jitter, size: int = CROP_SIZE
) -> tuple[Tensor, Tensor]:
    """Scale and position of the crops.

    Args:
        height_width: (B, 2) float32 size of the stored pictures, px.
        center_px: (B, 2) float32 x, y in the stored pictures.
        jitter: B draws.
        size: side of the crops, px.
    Returns:
        factor (B, 2) float32, the actual scale of x and y after rounding to whole pixels, and
        origin_px (B, 2) float32, x, y of the crops' corner in the scaled pictures:
        crop_px = stored_px * factor - origin_px.
    """
    scaled = tf.floor(height_width * jitter.scale[:, None])
    factor = (scaled / height_width)[:, ::-1]  # (B, 2), rows and columns -> x and y
    center = tf.cast(center_px, tf.int32) + jitter.shift_px
    center = tf.cast(tf.cast(center, tf.float32) * factor, tf.int32)
    return factor, tf.cast(center - size // 2, tf.float32)


def crop_lines(
    height_width: Tensor,
    factor: Tensor,
    origin_px: Tensor,
    input_size: int,
    size: int = CROP_SIZE,
    ratio: int = 1,
) -> Tensor:
    """Positions of the rows and columns of the decoded pictures that the crops sample.

    Positions outside a picture are moved to its edge.

    Args:
        height_width: (B, 2) float32 size of the stored pictures, px.
        factor, origin_px: (B, 2) x, y, as `crop_geometry` returns them.
        input_size: side S of the network's input, px; its pixels cover the crop evenly.
        size: side of the crops, px.
        ratio: the pictures are decoded at 1 / ratio of their size.
    Returns:
        (B, 2, S) float32 ascending rows and columns of the decoded pictures, px.
    """
    zoom = size / input_size
    crop_px = (tf.range(input_size, dtype=tf.float32) + 0.5) * zoom - 0.5
    lengths = height_width[..., None]  # (B, 2, 1), rows and columns, as the two below
    factor, origin = factor[:, ::-1, None], origin_px[:, ::-1, None]
    last_scaled = tf.round(lengths * factor) - 1.0
    scaled_px = tf.clip_by_value(crop_px + origin, 0.0, last_scaled)
    decoded_px = (scaled_px / factor - (ratio - 1.0) / 2.0) / ratio
    return tf.clip_by_value(decoded_px, 0.0, tf.math.ceil(lengths / ratio) - 1.0)


def sample_in_graph(windows: list[Tensor], rows: Tensor, columns: Tensor) -> Tensor:
    """Samples each window bilinearly at every crossing of its rows and columns.

    It uses TensorFlow operations only, so it also runs in the workers of a tf.data service.

    Args:
        windows: B of (H, W, 3), grey levels 0 to 255, of any sizes and dtype.
        rows, columns: (B, S) float32 positions within the windows, px.
    Returns:
        (B, S, S, 3) float32 in [-1, 1].
    """
    lines = zip(windows, tf.unstack(rows), tf.unstack(columns), strict=True)
    images = tf.stack([_sample(*each) for each in lines])
    return tf.ensure_shape(images, (*rows.shape, columns.shape[1], 3))


def _windows(lines: Tensor, height_width: Tensor, ratio: int) -> Tensor:
    """(B, 4) int32: first row, first column, height and width of the windows to decode."""
    last = tf.cast(tf.math.ceil(height_width / ratio), tf.int32) - 1
    # The JPEG decoder interpolates colours between neighbours, so the window needs a margin.
    start = tf.maximum(tf.cast(lines[:, :, 0], tf.int32) - _WINDOW_MARGIN, 0)
    stop = tf.minimum(tf.cast(lines[:, :, -1], tf.int32) + 1 + _WINDOW_MARGIN, last)
    return tf.concat([start, stop - start + 1], 1)


def _sample(window: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    image = _between_lines(window, rows) * (2.0 / 255.0) - 1.0  # (S, W, 3)
    # TensorFlow gathers whole rows far faster than single pixels out of each row.
    image = _between_lines(tf.transpose(image, (1, 0, 2)), columns)  # (S columns, S rows, 3)
    return tf.transpose(image, (1, 0, 2))  # (S rows, S columns, 3)


def _between_lines(image: Tensor, rows: Tensor) -> Tensor:
    """Interpolates between the rows of an image: (H, W, 3) at positions (S,) -> (S, W, 3)."""
    low = tf.floor(rows)
    below = tf.cast(low, tf.int32)
    above = tf.minimum(below + 1, tf.shape(image)[0] - 1)
    first = tf.cast(tf.gather(image, below), tf.float32)
    second = tf.cast(tf.gather(image, above), tf.float32)
    return first + (second - first) * (rows - low)[:, None, None]


class BatchSampler:
    """`sample_in_graph` as a compiled loop, for datasets that are read in this process.

    It reuses the memory of batches that have been freed. For a batch of 64 crops of 224 px the
    whole input pipeline takes 29 ms of a core; 40 ms if every batch is allocated with `np.empty`,
    and 50 ms with `sample_in_graph`.

    Its threads need the interpreter, and a process that exits while they run hangs. Read the
    dataset with `hmr.data.pipeline.open_batches`, which stops them.
    """

    def __init__(self) -> None:
        self._free: deque[np.ndarray] = deque(maxlen=_KEPT_BATCHES)

    def __call__(self, windows: list[Tensor], rows: Tensor, columns: Tensor) -> Tensor:
        """As `sample_in_graph`; the windows must be uint8."""
        # Declared stateless, since the position of a dataset with state cannot be saved.
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


def _aligned(shape: tuple[int, ...]) -> np.ndarray:
    memory = np.empty(4 * math.prod(shape) + _ALIGNMENT, np.uint8)
    first = -memory.ctypes.data % _ALIGNMENT
    return memory[first : first + 4 * math.prod(shape)].view(np.float32).reshape(shape)


@compiled(fastmath={"contract"})
def _sample_window(
    window: np.ndarray, rows: np.ndarray, columns: np.ndarray, image: np.ndarray
) -> None:
    height, width, _ = window.shape
    pixels = window.reshape(height, 3 * width)  # (H, W, 3) -> (H, 3 W)
    line = np.empty(3 * width + 3, np.float32)  # one interpolated row; the last column twice
    left = np.empty(len(columns), np.uint32)
    across = np.empty(len(columns), np.float32)
    for x in range(len(columns)):
        left[x] = 3 * min(max(int(columns[x]), 0), width - 1)  # clipped to the window
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
