"""What callers have for a picture - a path, grey, decimals, transparency - as (H, W, 3) bytes."""

from __future__ import annotations

import os

import numpy as np

from hmr.errors import UserError
from hmr.files.images import read_image


def as_picture(given: np.ndarray | str | os.PathLike) -> tuple[np.ndarray, str]:
    """A picture in 8-bit RGB, by the rules of `read_image`.

    Args:
        given: a path; or (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA: uint8, uint16, or
            decimals from 0 to 1, or from 0 to 255 where one is above 1.
    Returns:
        (H, W, 3) uint8 RGB, and what was done to the array; "" for a file or where nothing was.
    Raises:
        UserError: the file cannot be read, or the array is none of these.
    """
    if isinstance(given, str | os.PathLike):
        return read_image(given), ""
    channels = given.shape[2:] if isinstance(given, np.ndarray) else None
    if channels not in ((), (1,), (3,), (4,)) or given.ndim < 2 or not given.size:
        received = f"{getattr(given, 'shape', type(given))} {getattr(given, 'dtype', '')}"
        raise UserError(
            "a picture must be a path, or (H, W, 3) uint8 RGB, or grey, decimals or RGBA. "
            f"Received: {received}."
        )
    pixels, done = _as_bytes(given)
    if channels in ((), (1,)):
        pixels = np.repeat(pixels.reshape(*given.shape[:2], 1), 3, axis=2)
        done.append("grey was taken for all three colours")
    if channels == (4,):
        opaque = pixels[..., 3:] / 255
        blended = opaque * pixels[..., :3] + 255 * (1 - opaque)
        pixels = np.round(blended).astype(np.uint8)
        done.append("transparent parts became white")
    return np.ascontiguousarray(pixels), "; ".join(done)


def _as_bytes(values: np.ndarray) -> tuple[np.ndarray, list[str]]:
    if values.dtype == np.uint8:
        return values, []
    if values.dtype == np.uint16:
        return np.round(values / 257).astype(np.uint8), ["16-bit values were scaled to 8 bits"]
    if values.dtype.kind != "f":
        raise UserError(f"a picture holds uint8, uint16 or decimals. Received: {values.dtype}.")
    low, high = float(values.min()), float(values.max())
    if not 0 <= low <= high <= 255:
        raise UserError(
            f"a picture's decimals go from 0 to 1, or to 255. Received: {low:.4g} to {high:.4g}."
        )
    top, factor = (1, 255) if high <= 1 else (255, 1)
    return np.round(values * factor).astype(np.uint8), [f"decimals were taken as 0 to {top}"]
