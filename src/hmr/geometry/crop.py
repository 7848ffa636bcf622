"""The crop rule: where a person's square lies in a picture, and how it is cut out.

Conversion, training, evaluation, prediction and serving follow the original's rule: the picture is
scaled so that the diagonal of the box around a person's keypoints becomes 150 px, and a square of
224 px is cut out around the box's centre.

Pixel convention (OpenCV's): the centre of the pixel in row i, column j lies at x = j, y = i.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hmr.errors import UserError

CROP_SIZE = 224
PERSON_DIAGONAL_PX = 150.0
# cv2.resize interpolates bytes with integer weights of 11 bits: this stands for a weight of 1.
WEIGHT_ONE = 1 << 11


@dataclass(frozen=True)
class CropBox:
    """A square of a picture that the network looks at.

    Attributes:
        center_px: (2,) x, y of the square's centre in the picture, pixels.
        scale: crop pixels per picture pixel, positive.

    `crop_px = (image_px - center_px) * scale + size / 2`, for a crop of `size` pixels.
    """

    center_px: np.ndarray
    scale: float

    def __post_init__(self) -> None:
        center = np.asarray(self.center_px, np.float64).reshape(-1)
        usable = center.shape == (2,) and np.isfinite(center).all() and np.isfinite(self.scale)
        if not usable or self.scale <= 0:
            raise UserError(
                "a crop box needs a finite centre and a positive scale, "
                f"got centre {center.tolist()} and scale {self.scale}"
            )
        object.__setattr__(self, "center_px", center)
        object.__setattr__(self, "scale", float(self.scale))

    def to_crop(self, image_px: np.ndarray, size: int = CROP_SIZE) -> np.ndarray:
        """Picture pixels (..., 2) -> crop pixels (..., 2)."""
        return (np.asarray(image_px) - self.center_px) * self.scale + size / 2

    def to_image(self, crop_px: np.ndarray) -> np.ndarray:
        """Crop pixels (..., 2) -> picture pixels (..., 2)."""
        return (np.asarray(crop_px) - CROP_SIZE / 2) / self.scale + self.center_px


def to_normalized(crop_px: Any) -> Any:
    """Crop pixels (NumPy or TensorFlow) -> the network's coordinates: -1 to 1, y down."""
    return 2.0 * crop_px / CROP_SIZE - 1.0


def from_normalized(normalized: np.ndarray) -> np.ndarray:
    """The network's coordinates (-1 to 1, y down) -> crop pixels."""
    return (np.asarray(normalized) + 1.0) * (CROP_SIZE / 2)


def normalize_pixels(pixels: Any) -> Any:
    """Grey levels 0 to 255 (float32, NumPy or TensorFlow) -> the network's -1 to 1."""
    return 2.0 * (pixels / 255.0 - 0.5)


def denormalize_pixels(values: np.ndarray) -> np.ndarray:
    """The inverse of `normalize_pixels`: -1 to 1 -> grey levels, rounded to uint8."""
    return np.rint((values + 1.0) * 127.5).astype(np.uint8)


def crop_rule(low: Any, high: Any) -> tuple[Any, Any]:
    """The rule itself: centre and scale of the square around a person.

    Args:
        low, high: (2,) corners of the box around the person, pixels; NumPy or TensorFlow.
    Returns:
        center_px (2,) and scale () of `CropBox`. Without extent, scale is infinite.
    """
    width, height = (high[0] - low[0], high[1] - low[1])
    return (low + high) / 2, PERSON_DIAGONAL_PX / (width**2 + height**2) ** 0.5


def _box_from_corners(low: np.ndarray, high: np.ndarray, what: str) -> CropBox:
    with np.errstate(all="ignore"):
        center_px, scale = crop_rule(low, high)
    if not np.isfinite(scale) or scale <= 0:
        raise UserError(f"{what} spans no area: corners {low.tolist()} and {high.tolist()}")
    return CropBox(center_px, scale)


def box_from_keypoints(keypoints2d_px: np.ndarray, visible: np.ndarray) -> CropBox:
    """The original's rule: the box around the visible keypoints, its diagonal made 150 px.

    Args:
        keypoints2d_px: (K, 2) picture pixels.
        visible: (K,) bool, or numbers that are positive where a keypoint is visible.

    Raises:
        UserError: no keypoint is visible, or all visible ones lie in one point.
    """
    seen = np.asarray(keypoints2d_px, np.float64)[np.asarray(visible) > 0]
    if len(seen) == 0:
        raise UserError("no visible keypoint to put a box around")
    return _box_from_corners(seen.min(axis=0), seen.max(axis=0), "the box around the keypoints")


def box_from_xywh(x: float, y: float, width: float, height: float) -> CropBox:
    """A person box (left, top, width, height in pixels), its diagonal made 150 px.

    A detector's box is usually a tenth larger than the box around the keypoints, so the person
    appears a tenth smaller, well within the scales of training (0.8 to 1.23).

    Raises:
        UserError: a number is not finite, or width or height is not positive.
    """
    numbers = np.array([x, y, width, height], np.float64)
    if not np.isfinite(numbers).all():
        raise UserError(f"box {numbers.tolist()} holds a number that is not finite")
    if width <= 0 or height <= 0:
        raise UserError(f"box {numbers.tolist()} needs a positive width and height (x,y,w,h)")
    return _box_from_corners(numbers[:2], numbers[:2] + numbers[2:], "the box")


def box_from_image(height: int, width: int) -> CropBox:
    """The whole picture, its longer side made 224 px, as the original does without keypoints."""
    center = np.round(np.array([width, height]) / 2)
    return CropBox(center, CROP_SIZE / max(height, width))


def box_from_record(center_px: np.ndarray) -> CropBox:
    """The box that is cut out of a record's picture in evaluation, and in training without jitter.

    Records store pictures at the right scale. As in the original, the centre is truncated to whole
    pixels.

    Args:
        center_px: (2,) x, y of the record's centre.
    """
    return CropBox(np.trunc(center_px), 1.0)


def scaled_size(size_px: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """The size of a scaled picture: rounded down to whole pixels, at least one.

    Args:
        size_px: (2,) x, y of the picture.
        scale: the wanted scale.
    Returns:
        the size (2,) float64, and the actual scale (2,) of x and y after rounding.
    """
    resized = np.maximum(np.floor(size_px * scale), 1)
    return resized, resized / size_px


def crop_image(
    image: np.ndarray, box: CropBox, size: int = CROP_SIZE
) -> tuple[np.ndarray, CropBox]:
    """Cuts a box out of a picture exactly as the original does, without resizing the whole picture.

    The original resizes the whole picture to floor(scale * size) pixels (bilinear), rounds the
    scaled centre to a pixel (half to even), and cuts around it, repeating the picture's border.
    Here only the pixels of the crop are interpolated, with the same integer arithmetic as
    `cv2.resize`: the bytes are equal. The centre may also lie far outside the picture.

    Args:
        image: (H, W, 3) uint8.
        box: the square wanted.
        size: side of the crop in pixels.

    Returns:
        The crop (size, size, 3) uint8, and the box that was actually cut. Its centre is the picture
        point under the crop's centre, at most about a crop pixel from the requested one. Its scale
        is the requested one; the actual scale of each axis, after rounding the resized picture to N
        whole pixels, differs by less than 1 / N of it.
    """
    height, width = image.shape[:2]
    resized, factors = scaled_size(np.array([width, height]), box.scale)
    middle = np.round(box.center_px * factors)
    columns = _taps(width, resized[0], middle[0] - size // 2, size)
    rows = _taps(height, resized[1], middle[1] - size // 2, size)
    cut_box = CropBox((middle + 0.5) / factors - 0.5, box.scale)
    return _interpolate_bytes(image, rows, columns), cut_box


def _taps(
    length: int, resized_length: float, start: float, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where `size` pixels of a resized axis, from `start` on, are read in the source.

    Returns:
        indices (S,) of the neighbours below and above, and the weight (S,) of the one above in
        units of 1 / WEIGHT_ONE.
    """
    target = np.clip(start + np.arange(size), 0, resized_length - 1)
    source = (target + 0.5) * (length / resized_length) - 0.5
    lower = np.floor(source)
    weight = np.rint((source - lower) * WEIGHT_ONE).astype(np.int64)
    below, above = (np.clip(lower + k, 0, length - 1).astype(np.intp) for k in (0, 1))
    return below, above, weight


def _interpolate_bytes(
    image: np.ndarray,
    rows: tuple[np.ndarray, np.ndarray, np.ndarray],
    columns: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> np.ndarray:
    left, right, across = columns
    across = across[None, :, None]  # (1, S, 1)
    top, bottom = (  # (S, S, 3) each
        image[np.ix_(row, left)] * (WEIGHT_ONE - across) + image[np.ix_(row, right)] * across
        for row in rows[:2]
    )
    down = rows[2][:, None, None]  # (S, 1, 1)
    upper = ((WEIGHT_ONE - down) * (top >> 4)) >> 16
    lower = (down * (bottom >> 4)) >> 16
    return ((upper + lower + 2) >> 2).astype(np.uint8)


def network_input(crop: np.ndarray, size: int = CROP_SIZE) -> np.ndarray:
    """A crop (S, S, 3) uint8 -> (size, size, 3) float32 in [-1, 1], averaged down if smaller."""
    if crop.shape[0] != size:
        import cv2

        smaller = size < crop.shape[0]
        crop = cv2.resize(
            crop, (size, size), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        )
    return normalize_pixels(crop.astype(np.float32))
