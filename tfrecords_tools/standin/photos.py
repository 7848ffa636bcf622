"""Photographs without people as backgrounds: `--backgrounds_dir`."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

import cv2
import numpy as np

from hmr.errors import UserError
from hmr.files.foreign import read_bounded
from hmr.files.images import IMAGE_SUFFIXES, read_image

LONGEST_PX = 640
SMALLEST_CROP = 0.3
BLURRED = 0.4


def find_photos(folder: Path) -> tuple[str, ...]:
    """Paths of the pictures in a folder and below, in order; unreadable ones are named, left out.

    Raises:
        UserError: there is no picture that can be read.
    """
    if not folder.is_dir():
        raise UserError(f"--backgrounds_dir {folder} is not a folder. Give one with pictures.")
    found = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
            try:
                read_image(path)
            except UserError as error:
                print(f"left out as a background: {error}")
                continue
            found.append(str(path))
    if not found:
        raise UserError(
            f"--backgrounds_dir {folder} holds no picture that can be read. Expected files "
            f"{', '.join(IMAGE_SUFFIXES)}, in it or below."
        )
    return tuple(found)


def describe_photos(photos: tuple[str, ...]) -> str:
    """What the manifest says of the pictures: their number and the hash of their contents."""
    digest = hashlib.sha256()
    for path in photos:
        digest.update(read_bounded(path))
    return f"{len(photos)} pictures, sha256 {digest.hexdigest()[:16]}"


@functools.lru_cache(maxsize=600)
def _open(path: str) -> np.ndarray:
    """A picture, at most `LONGEST_PX` on a side."""
    picture = read_image(path)
    factor = LONGEST_PX / max(picture.shape[:2])
    if factor >= 1:
        return picture
    return cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


def crop_photo(
    rng: np.random.Generator, photos: tuple[str, ...], height: int, width: int
) -> np.ndarray:
    """A random part (height, width, 3) of a random picture, flipped, tinted, sometimes blurred."""
    picture = _open(photos[rng.integers(len(photos))])
    rows, columns = picture.shape[:2]
    largest = min(rows / height, columns / width)
    scale = largest * rng.uniform(SMALLEST_CROP, 1.0)
    h, w = max(int(scale * height), 1), max(int(scale * width), 1)
    top, left = rng.integers(0, rows - h + 1), rng.integers(0, columns - w + 1)
    part = picture[top : top + h, left : left + w]
    if rng.random() < 0.5:
        part = part[:, ::-1]
    how = cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR
    part = cv2.resize(part, (width, height), interpolation=how)
    if rng.random() < BLURRED:
        part = cv2.GaussianBlur(part, (0, 0), rng.uniform(0.5, 3.0))
    gain = rng.uniform(0.75, 1.3) * (1.0 + rng.normal(0.0, 0.06, size=3))
    level = np.arange(256)[:, None] * gain + rng.uniform(-15, 15)
    return cv2.LUT(part, np.clip(level, 0, 255).astype(np.uint8)[:, None])
