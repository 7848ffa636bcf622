"""From encoded pictures and boxes to network inputs inside a TensorFlow graph.

The integer arithmetic is that of `hmr.geometry.crop`, so that a server and `src.predict` give the
network the same bytes. Only TensorFlow operations are used, so that the graph runs without Python.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from hmr.files.images import JPEG_FILLER, MAX_PIXELS, SMALL_PIXELS
from hmr.geometry.crop import CROP_SIZE, WEIGHT_ONE, crop_rule, normalize_pixels

_JPEG_START, _PNG_START = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_CHANNELS = 3
# With scales outside this range, outputs in pixels could overflow float32.
_SCALES = (1e-6, 1e5)


def decode_and_crop(
    image_bytes: tf.Tensor, boxes: tf.Tensor, input_size: int
) -> dict[str, tf.Tensor]:
    """Network inputs of one person in each picture.

    Args:
        image_bytes: (B,) string, JPEG or PNG files. Transparency is dropped, EXIF not followed.
        boxes: (B, 4) float32 left, top, width, height of the person, picture pixels.
        input_size: side S of the network's input, px.

    Returns:
        crops (B, S, S, 3) float32 in [-1, 1]; center_px (B, 2) and scale (B,) float32 of the cut:
        crop_px = (image_px - center_px) * scale + 112 in a crop of 224 px.

    The graph fails with InvalidArgumentError on bytes that are neither JPEG nor PNG or are cut
    short, on pictures of more than 120 million pixels, and on boxes without area, with numbers that
    are not finite, or that do not touch their picture.
    """
    tf.debugging.assert_equal(
        tf.shape(image_bytes)[0], tf.shape(boxes)[0], "one box for each picture is needed"
    )

    def one(pair: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        image = decode(pair[0])
        return cut(image, touching(image, pair[1]), input_size)

    signature = cut_signature(input_size)
    return tf.map_fn(one, (image_bytes, boxes), fn_output_signature=signature)


def cut_signature(input_size: int) -> dict[str, tf.TensorSpec]:
    """Shapes and types of what `cut` returns."""
    return {
        "crops": tf.TensorSpec((input_size, input_size, 3), tf.float32),
        "center_px": tf.TensorSpec((2,), tf.float32),
        "scale": tf.TensorSpec((), tf.float32),
    }


def cut(image: tf.Tensor, box: tf.Tensor, input_size: int) -> dict[str, tf.Tensor]:
    """The outputs of `decode_and_crop` for one picture (H, W, 3) uint8 and one box (4,) px."""
    crop, center_px, scale = crop_box(image, box)
    return {
        "crops": network_input(crop, input_size),
        "center_px": tf.cast(center_px, tf.float32),
        "scale": tf.cast(scale, tf.float32),
    }


def decode(image_bytes: tf.Tensor) -> tf.Tensor:
    """A JPEG or PNG file (scalar string) to (H, W, 3) uint8 RGB."""
    is_jpeg = tf.equal(tf.strings.substr(image_bytes, 0, len(_JPEG_START)), _JPEG_START)
    is_png = tf.equal(tf.strings.substr(image_bytes, 0, len(_PNG_START)), _PNG_START)
    tf.debugging.Assert(is_jpeg | is_png, ["image_bytes must be a JPEG or PNG file"])
    height_width = tf.cond(
        is_jpeg,
        lambda: tf.io.extract_jpeg_shape(image_bytes)[:2],
        lambda: _png_height_width(image_bytes),
    )
    pixels = tf.reduce_prod(tf.cast(height_width, tf.int64))
    small_enough = (pixels > 0) & (pixels <= MAX_PIXELS)
    message = f"a picture may have 1 to {MAX_PIXELS} pixels, height and width are"
    with tf.control_dependencies([tf.debugging.Assert(small_enough, [message, height_width])]):
        checked = tf.identity(image_bytes)
    complete = tf.cond(is_jpeg, lambda: _has_all_data(checked), lambda: tf.constant(True))
    message = "the JPEG file is damaged: a part of its pixels is missing"
    with tf.control_dependencies([tf.debugging.Assert(complete, [message])]):
        checked = tf.identity(checked)
    # `decode_jpeg` decodes PNG as well. INTEGER_ACCURATE gives the bytes of other JPEG readers.
    return tf.io.decode_jpeg(checked, channels=3, dct_method="INTEGER_ACCURATE")


def _has_all_data(jpeg: tf.Tensor) -> tf.Tensor:
    """Whether a JPEG file () is whole, by the method of `hmr.files.images.jpeg_lacks_data`."""
    codes = tf.io.decode_raw(jpeg, tf.uint8)
    marks, kinds = codes[:-1] == 0xFF, codes[1:]
    ends = tf.cast(tf.where(marks & (kinds == 0xD9))[:, 0], tf.int32)
    end = tf.reduce_max(tf.concat([[0], ends], 0))
    parts = [tf.strings.substr(jpeg, 0, end), JPEG_FILLER, tf.strings.substr(jpeg, end, -1)]
    # Without an end marker decoding fails anyway.
    files = (jpeg, tf.where(end > 0, tf.strings.join(parts), jpeg))

    def same(ratio: int) -> tf.Tensor:
        first, second = (tf.io.decode_jpeg(file, channels=3, ratio=ratio) for file in files)
        return tf.reduce_all(first == second)

    is_progressive = tf.reduce_any(marks & (kinds == 0xC2))
    pixels = tf.reduce_prod(tf.cast(tf.io.extract_jpeg_shape(jpeg)[:2], tf.int64))
    return tf.cond(is_progressive | (pixels <= SMALL_PIXELS), lambda: same(1), lambda: same(8))


def touching(image: tf.Tensor, box: tf.Tensor) -> tf.Tensor:
    """Returns the box (4,) unchanged after asserting that part of it lies in the picture."""
    size_px = tf.cast(tf.reverse(tf.shape(image)[:2], [0]), box.dtype)
    inside_px = tf.minimum(box[:2] + box[2:], size_px) - tf.maximum(box[:2], 0.0)
    message = "a box must touch its picture; box, width and height are"
    # `crop_box` refuses numbers that are not finite.
    touches = tf.reduce_all(inside_px > 0) | tf.reduce_any(~tf.math.is_finite(box))
    with tf.control_dependencies([tf.debugging.Assert(touches, [message, box, size_px])]):
        return tf.identity(box)


def crop_box(image: tf.Tensor, box: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Crops a person box (x, y, w, h), (4,) px, byte for byte as `hmr.geometry.crop.crop_image`.

    Returns:
        crop (224, 224, 3) uint8; centre (2,) and scale () of the cut, float64.
    """
    box = tf.cast(box, tf.float64)
    center_px, scale = crop_rule(box[:2], box[:2] + box[2:])
    usable = tf.reduce_all(tf.math.is_finite(box)) & tf.reduce_all(box[2:] > 0)
    usable &= (scale >= _SCALES[0]) & (scale <= _SCALES[1])
    message = "a box is left, top, width, height, finite, with positive width and height; got"
    with tf.control_dependencies([tf.debugging.Assert(usable, [message, box])]):
        center_px, scale = tf.identity(center_px), tf.identity(scale)
    size_px = tf.cast(tf.reverse(tf.shape(image)[:2], [0]), tf.float64)
    resized_px = tf.maximum(tf.floor(size_px * scale), 1.0)
    factors = resized_px / size_px
    middle_px = tf.round(center_px * factors)
    first_px = middle_px - CROP_SIZE // 2
    columns = _taps(size_px[0], resized_px[0], first_px[0])
    rows = _taps(size_px[1], resized_px[1], first_px[1])
    return _interpolate(image, rows, columns), (middle_px + 0.5) / factors - 0.5, scale


def network_input(crop: tf.Tensor, input_size: int) -> tf.Tensor:
    """(224, 224, 3) uint8 to (S, S, 3) float32 in [-1, 1], resampled by `resampling_weights`."""
    pixels = tf.cast(crop, tf.float32)
    if input_size != CROP_SIZE:
        weights = tf.constant(resampling_weights(input_size))
        pixels = tf.floor(tf.einsum("ij,jkc,lk->ilc", weights, pixels, weights) + 0.5)
    return normalize_pixels(pixels)


def resampling_weights(input_size: int) -> np.ndarray:
    """(S, 224) float32, rows sum to 1: area average for smaller sizes, linear for larger ones."""
    ratio = CROP_SIZE / input_size
    edges = np.arange(CROP_SIZE)[None]
    start = np.arange(input_size)[:, None] * ratio
    if ratio > 1:
        overlap = np.minimum(start + ratio, edges + 1) - np.maximum(start, edges)
        return (np.maximum(overlap, 0.0) / ratio).astype(np.float32)
    middle = np.clip(start + ratio / 2 - 0.5, 0, CROP_SIZE - 1)
    return np.maximum(1.0 - np.abs(middle - edges), 0.0).astype(np.float32)


def _png_height_width(image_bytes: tf.Tensor) -> tf.Tensor:
    """(2,) int32 from the header of a PNG: bytes 16 to 24 hold width and height."""
    whole = tf.strings.length(image_bytes) >= 24
    with tf.control_dependencies([tf.debugging.Assert(whole, ["the PNG file is cut short"])]):
        header = tf.strings.substr(image_bytes, 16, 8)
    return tf.io.decode_raw(header, tf.int32, little_endian=False)[::-1]


def _taps(length: tf.Tensor, resized: tf.Tensor, start: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """As `hmr.geometry.crop._taps`, (224,) each, for one axis of the crop."""
    target = tf.clip_by_value(start + tf.range(CROP_SIZE, dtype=tf.float64), 0.0, resized - 1.0)
    source = (target + 0.5) * (length / resized) - 0.5
    lower = tf.floor(source)
    weight = tf.cast(tf.round((source - lower) * WEIGHT_ONE), tf.int32)
    below, above = (
        tf.cast(tf.clip_by_value(lower + step, 0.0, length - 1.0), tf.int32) for step in (0.0, 1.0)
    )
    return below, above, weight


def _interpolate(
    image: tf.Tensor, rows: tuple[tf.Tensor, ...], columns: tuple[tf.Tensor, ...]
) -> tf.Tensor:
    """Bilinear interpolation with the integer weights and shifts of `cv2.resize`."""
    left, right, across = columns
    # Colours are kept flat in each line: TensorFlow broadcasts slowly along a last dimension of 3.
    across = tf.repeat(across, _CHANNELS)[None]  # (1, 3 S)

    def line(row: tf.Tensor) -> tf.Tensor:
        pixels = tf.gather(image, row)
        near, far = (
            tf.reshape(tf.cast(tf.gather(pixels, each, axis=1), tf.int32), (CROP_SIZE, -1))
            for each in (left, right)
        )  # (S, 3 S)
        return tf.bitwise.right_shift(near * (WEIGHT_ONE - across) + far * across, 4)

    down = rows[2][:, None]
    upper = tf.bitwise.right_shift((WEIGHT_ONE - down) * line(rows[0]), 16)
    lower = tf.bitwise.right_shift(down * line(rows[1]), 16)
    crop = tf.cast(tf.bitwise.right_shift(upper + lower + 2, 2), tf.uint8)
    return tf.reshape(crop, (CROP_SIZE, CROP_SIZE, _CHANNELS))  # (S, 3 S) -> (S, S, 3)
