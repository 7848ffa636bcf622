"""Reads image files of unknown origin safely as RGB bytes, and writes images atomically."""

from __future__ import annotations

import base64
import io
import os
import struct
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from absl import logging
from PIL import Image, ImageOps, UnidentifiedImageError

from hmr.errors import UserError
from hmr.files.whole import read_bounded, write_whole

# Formats that Pillow decodes by itself. Others may call outside programs (EPS) or are rare.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm",
)  # fmt: skip
MAX_PIXELS = 120_000_000
# What Pillow's decoders raise on damaged bytes.
_DECODER_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError,
    struct.error, zlib.error,
)  # fmt: skip
_PAGE_QUALITY = 88
_BEHIND_TRANSPARENT = (255, 255, 255, 255)


@dataclass(frozen=True)
class LazyImage:
    """An image file, or a frame of a video, that is read when `load` is called.

    Attributes:
        name: its name in files of boxes and keypoints: the path, or `<video>_<frame, 12 digits>`.
        target: relative path of its results, without suffix.
        load: returns (H, W, 3) uint8 RGB, or raises UserError.
        origin: the file it comes from; None for a camera.
    """

    name: str
    target: Path
    load: Callable[[], np.ndarray]
    origin: Path | None


def read_image(source: str | os.PathLike | bytes, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Reads an image file upright, in 8-bit RGB.

    The EXIF orientation is applied; 16-bit values (and decimals from 0 to 1) are scaled to 8 bits;
    grey, palette and CMYK are converted; transparent parts become white; of several frames the
    first is taken, with a warning in the log.

    Args:
        source: a file, or the file's bytes.
        max_pixels: larger pictures are refused from their header, before anything is decoded.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        UserError: the file is missing, empty, too large, damaged or not a picture.
    """
    name = "image data" if isinstance(source, bytes) else str(source)
    data = source if isinstance(source, bytes) else read_bounded(source)
    if not data:
        raise UserError(f"{name} is empty (0 bytes)")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return _decode(io.BytesIO(data), name, max_pixels)
    except UnidentifiedImageError as error:
        raise UserError(
            f"{name} is not a picture that can be read ({_describe_start(data)}); "
            f"expected one of {', '.join(FORMATS)}"
        ) from error
    except Image.DecompressionBombError as error:
        raise UserError(f"{name} is too large to read safely: {error}") from error
    except _DECODER_ERRORS as error:
        raise UserError(f"{name} is damaged or cut short: {error}") from error


def _describe_start(data: bytes) -> str:
    known = {
        b"<": "a web page or XML", b"{": "JSON text", b"PK": "a zip archive", b"%PDF": "a PDF",
        b"\x89PNG": "a PNG with a damaged header", b"\xff\xd8": "a JPEG with a damaged header",
    }  # fmt: skip
    for start, what in known.items():
        if data.lstrip()[: len(start)] == start:
            return f"it looks like {what}"
    return f"it begins with {data[:4]!r}"


def _decode(file: IO[bytes], name: str, max_pixels: int) -> np.ndarray:
    with Image.open(file, formats=FORMATS) as picture:
        width, height = picture.size
        if width < 1 or height < 1:
            raise UserError(f"{name} has no pixels: {width} x {height}")
        if width * height > max_pixels:
            raise UserError(
                f"{name} is {width} x {height} pixels, more than the {max_pixels} allowed; "
                "make it smaller first"
            )
        num_frames = getattr(picture, "n_frames", 1)
        if num_frames > 1:
            logging.warning("%s has %d frames: the first is used", name, num_frames)
        picture.load()
        upright = ImageOps.exif_transpose(picture)
        return np.ascontiguousarray(np.asarray(_to_rgb(upright, name)))


def _to_rgb(picture: Image.Image, name: str) -> Image.Image:
    if picture.mode.startswith(("I", "F")):
        return _deep_grey_to_rgb(picture, name)
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        background = Image.new("RGBA", layer.size, _BEHIND_TRANSPARENT)
        return Image.alpha_composite(background, layer).convert("RGB")
    return picture.convert("RGB")


def _deep_grey_to_rgb(picture: Image.Image, name: str) -> Image.Image:
    """Scales grey values of 16 bits, or of 32 that hold 16-bit values or 0 to 1, to 8 bits."""
    values = np.asarray(picture, np.float64)
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > 65535:
        raise UserError(
            f"{name} holds grey values from {values.min():g} to {values.max():g}; "
            "0 to 65535 (16 bits), or decimals from 0 to 1, can be read"
        )
    white = 1 if picture.mode == "F" and values.max() <= 1 else 65535
    grey = Image.fromarray(np.round(values * (255 / white)).astype(np.uint8))
    return grey.convert("RGB")


def write_image(path: str | os.PathLike, image: np.ndarray) -> None:
    """Writes (H, W, 3) uint8 RGB; the suffix chooses the format."""
    path = Path(path)
    kind = "JPEG" if path.suffix.lower() in (".jpg", ".jpeg") else path.suffix[1:].upper()
    options = {"quality": 92} if kind == "JPEG" else {}
    write_whole(path, lambda file: Image.fromarray(image).save(file, kind, **options))


def jpeg_url(image: np.ndarray) -> str:
    """A picture (H, W, 3) uint8 RGB as a data URL, for html pages that need no other file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=_PAGE_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
