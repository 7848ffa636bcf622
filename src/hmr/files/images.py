"""Reads image files of unknown origin safely as RGB bytes, and writes images atomically."""

from __future__ import annotations

import base64
import io
import math
import os
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import numpy as np
from absl import logging
from PIL import Image, UnidentifiedImageError

from hmr.errors import UserError, printable, to_install
from hmr.files.content import content_of, content_of_file
from hmr.files.foreign import brief, read_bounded
from hmr.files.whole import write_whole

# Formats that Pillow decodes by itself, or by a plug-in that is installed (HEIF). Others may call
# outside programs (EPS) or are rare.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "AVIF", "HEIF")
_HEIC_PLUGIN = "pillow_heif"
IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm",
)  # fmt: skip
# What a server and the converters take, and what prediction takes unless it is told otherwise: a
# picture of 65 million pixels needs about 600 MB, and some seconds for its overlay.
MAX_PIXELS, MAX_PREDICTED_PIXELS = 120_000_000, 65_000_000
# By deflate, a byte becomes at most so many.
_MOST_INFLATED = 1032
_PNG_START, _PNG_CHUNK = b"\x89PNG\r\n\x1a\n", struct.Struct(">I4s")
# Chunks of a PNG that hold text and colour profiles; a CRC of 4 bytes follows each chunk.
_PNG_METADATA = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")
# Segments of a JPEG: APP1 to APP13 and comments. APP0 and APP14 say which colours the pixels are.
_JPEG_START, _JPEG_SEGMENT, _JPEG_SCAN = b"\xff\xd8", struct.Struct(">BBH"), 0xDA
_JPEG_METADATA = (*range(0xE1, 0xEE), 0xFE)
_JPEG_END = b"\xff\xd9"
# What `jpeg_lacks_data` adds: bytes that any Huffman table makes a picture of, after each of the
# restart markers that a decoder may wait for.
_SOME_BYTES = bytes((37 * i * i + 11 * i + 0x5A) % 255 for i in range(64))
JPEG_FILLER = _SOME_BYTES + b"".join(bytes((0xFF, 0xD0 + i)) + _SOME_BYTES for i in range(8))
MAX_PICTURE_BYTES, _ROWS = 1 << 28, 512
# At an eighth of the size decoding takes a third of the time, but shows no progressive detail.
SMALL_PIXELS, _SCALE = 1 << 20, 8
_ORIENTATION, _DNG_VERSION = 0x0112, 0xC612
# EXIF orientation -> what turns the stored picture upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
_PAGE_QUALITY = 88
_LARGE_VALUES = 60_000_000
_BEHIND_TRANSPARENT = (255, 255, 255, 255)


@dataclass(frozen=True)
class LazyImage:
    """An image file, or a frame of a video, that is read when `load` is called.

    Attributes:
        name: its name in files of boxes and keypoints: the path, or `<video>_<frame, 12 digits>`.
        target: relative path of its results, without suffix.
        load: returns (H, W, 3) uint8 RGB, or raises UserError.
        origin: the file it comes from; None for a camera.
        seconds: since the first frame of its video; of a camera by the clock, as it may skip some.
    """

    name: str
    target: Path
    load: Callable[[], np.ndarray]
    origin: Path | None
    seconds: float = 0.0


def is_picture(path: Path) -> bool:
    """Whether a file calls itself a picture, or is one by its content."""
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return True
    content = content_of_file(path)
    return content is not None and not content.is_video


def read_image(
    source: str | os.PathLike | bytes, max_pixels: int = MAX_PREDICTED_PIXELS
) -> np.ndarray:
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
    data = source if isinstance(source, bytes) else read_bounded(source, MAX_PICTURE_BYTES)
    if not data:
        raise UserError(f"{name} is empty (0 bytes)")
    try:
        return _decode(data, name, max_pixels)
    except UnidentifiedImageError as error:
        raise UserError(
            f"{name} is not a picture that can be read ({_describe_start(data)}); "
            f"expected one of {', '.join(FORMATS)}"
        ) from error
    except Image.DecompressionBombError as error:
        raise UserError(f"{name} is too large to read safely: {error}") from error
    except UserError:
        raise
    except Exception as error:  # Pillow's decoders raise whatever damage leads to
        raise UserError(f"{name} is damaged or cut short: {brief(error)}") from error


def claims_too_much(picture: Image.Image, size_bytes: int) -> bool:
    """Whether a PNG of so many bytes cannot hold as many pixels as its header says."""
    bands = len(picture.getbands())
    least = math.prod(picture.size) * (bands if bands > 1 else 1 / 8)
    return picture.format == "PNG" and least > _MOST_INFLATED * size_bytes


def png_ends_early(data: bytes) -> bool:
    """Whether a PNG's chunk claims more bytes than follow; OpenCV reserves them unseen."""
    at, name = len(_PNG_START), b""
    while data.startswith(_PNG_START) and at + _PNG_CHUNK.size <= len(data) and name != b"IEND":
        length, name = _PNG_CHUNK.unpack_from(data, at)
        at += _PNG_CHUNK.size + length + 4
    return data.startswith(_PNG_START) and at - 4 > len(data)


def load_pixels(
    data: bytes, open_image: Callable[[IO[bytes]], Image.Image], decode: bool = True
) -> Image.Image:
    """A picture. Metadata does not decide whether it is read.

    Pillow refuses a PNG whose texts or colour profile are larger than it takes, and some JPEG with
    malformed EXIF: what fails is tried once more without them.

    Args:
        data: of the file.
        open_image: `Image.open` with further arguments and checks.
        decode: whether the pixels are decoded, too.

    Raises:
        what Pillow raises on damaged pixels.
    """
    try:
        return _load(open_image(io.BytesIO(data)), decode)
    except UserError:
        raise
    except Exception:  # Pillow's decoders raise whatever damage leads to
        pixels = _without_metadata(data)
        if pixels == data:
            raise
    return _load(open_image(io.BytesIO(pixels)), decode)


def _load(picture: Image.Image, decode: bool) -> Image.Image:
    if decode:
        picture.load()
    return picture


def jpeg_lacks_data(data: bytes) -> bool:
    """Whether a JPEG's data end before its picture does, where decoders fill the rest with grey.

    They only warn of it, and Pillow hides the warning. So bytes are added before the end marker: a
    decoder that has all it needs skips them, one that lacks data makes another picture of them.

    Args:
        data: of a file that Pillow opens; False for other formats than JPEG.

    Raises:
        what Pillow raises on damaged pixels.
    """
    end = data.rfind(_JPEG_END)
    if end < 0 or not data.startswith(_JPEG_START):
        return False
    filled = data[:end] + JPEG_FILLER + data[end:]
    first, second = (load_pixels(each, _open_to_compare) for each in (data, filled))
    return first.tobytes() != second.tobytes()


def _open_to_compare(file: IO[bytes]) -> Image.Image:
    picture = Image.open(file, formats=("JPEG",))
    width, height = picture.size
    if width * height > SMALL_PIXELS and not picture.info.get("progressive"):
        picture.draft(picture.mode, (-(-width // _SCALE), -(-height // _SCALE)))
    return picture


def _without_metadata(data: bytes) -> bytes:
    """A PNG's or JPEG's bytes without texts, profiles and EXIF; other bytes unchanged."""
    if data.startswith(_PNG_START):
        return _without_png_chunks(data)
    return _without_jpeg_segments(data) if data.startswith(_JPEG_START) else data


def _without_png_chunks(data: bytes) -> bytes:
    kept, at = [_PNG_START], len(_PNG_START)
    while at + _PNG_CHUNK.size <= len(data):
        length, name = _PNG_CHUNK.unpack_from(data, at)
        end = at + _PNG_CHUNK.size + length + 4
        if name not in _PNG_METADATA:
            kept.append(data[at:end])
        at = end
    return b"".join(kept)


def _without_jpeg_segments(data: bytes) -> bytes:
    kept, at = [_JPEG_START], len(_JPEG_START)
    while at + _JPEG_SEGMENT.size <= len(data):
        start, marker, length = _JPEG_SEGMENT.unpack_from(data, at)
        if start != 0xFF or marker == _JPEG_SCAN:
            break
        end = at + 2 + length
        if marker not in _JPEG_METADATA:
            kept.append(data[at:end])
        at = end
    return b"".join([*kept, data[at:]])


def exif_orientation(picture: Image.Image, name: object) -> int:
    """How the stored picture is to be turned, 1 to 8; 1 where the metadata cannot be read."""
    try:
        return int(picture.getexif().get(_ORIENTATION, 1))
    except Exception as error:
        logging.warning("%s: EXIF cannot be read, it is not turned: %s", name, brief(error))
        return 1


def orientation_of(source: os.PathLike | IO[bytes], name: object) -> int:
    """`exif_orientation` of a file, 1 to 8; 1 if it is not a readable picture."""
    try:
        with Image.open(source) as picture:
            return exif_orientation(picture, name)
    except Exception:  # Pillow raises whatever damage leads to
        return 1


def _describe_start(data: bytes) -> str:
    content = content_of(data)
    if content is not None and content.name == "HEIC":
        lacking = f"it is HEIC: {to_install('heic')}, or save it as JPEG"
        return "it is a damaged HEIC" if find_spec(_HEIC_PLUGIN) else lacking
    if content is not None and content.name not in FORMATS:
        return f"it is {content.name}"
    known = {
        b"<": "a web page or XML", b"{": "JSON text", b"PK": "a zip archive", b"%PDF": "a PDF",
        b"\x89PNG": "a PNG with a damaged header", b"\xff\xd8": "a JPEG with a damaged header",
    }  # fmt: skip
    for start, what in known.items():
        if data.lstrip()[: len(start)] == start:
            return f"it looks like {what}"
    return f"it begins with {data[:4]!r}"


def turn_upright(picture: Image.Image, orientation: int) -> Image.Image:
    """A stored picture as its EXIF orientation (1 to 8) says that it is to be seen."""
    turn = _UPRIGHT.get(orientation)
    return picture if turn is None else picture.transpose(turn)


def _decode(data: bytes, name: str, max_pixels: int) -> np.ndarray:
    _register_plugin(data)
    known = [kind for kind in FORMATS if kind in Image.OPEN or _registered(kind)]

    def open_image(file: IO[bytes]) -> Image.Image:
        picture = Image.open(file, formats=known)
        _check_size(picture, name, max_pixels)
        if claims_too_much(picture, len(data)):
            raise UserError(f"{name} is damaged or cut short: it is too small for its pixels")
        return picture

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # also those of EXIF, which name no file
        with load_pixels(data, open_image) as picture:
            if _DNG_VERSION in getattr(picture, "tag_v2", ()):
                raise UserError(f"{name} is a camera's raw picture (DNG): save it as JPEG first")
            if picture.format == "JPEG" and jpeg_lacks_data(data):
                raise UserError(f"{name} is damaged or cut short: a part of its pixels is missing")
            upright = turn_upright(picture, exif_orientation(picture, name))
            return np.ascontiguousarray(np.asarray(_to_rgb(upright, name)))


def _register_plugin(data: bytes) -> None:
    """Pillow learns to read HEIC where its plug-in is installed."""
    content = content_of(data[:16])
    if content is not None and content.name == "HEIC" and find_spec(_HEIC_PLUGIN):
        import_module(_HEIC_PLUGIN).register_heif_opener()


def _registered(kind: str) -> bool:
    Image.init()
    return kind in Image.OPEN


def _check_size(picture: Image.Image, name: str, max_pixels: int) -> None:
    width, height = picture.size
    if width < 1 or height < 1:
        raise UserError(f"{name} has no pixels: {width} x {height}")
    if width * height > max_pixels:
        raise UserError(
            f"{name} is {width} x {height} pixels, more than the {max_pixels} allowed; "
            f"make it smaller, or predict with --max_pixels {width * height}"
        )
    num_frames = getattr(picture, "n_frames", 1)
    if num_frames > 1:
        logging.warning("%s has %d frames: the first is used", printable(name), num_frames)


def _to_rgb(picture: Image.Image, name: str) -> Image.Image:
    if picture.mode.startswith(("I", "F")):
        return _deep_grey_to_rgb(picture, name)
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        opaque = Image.new("RGB", picture.size)
        for top in range(0, picture.height, _ROWS):  # three layers of all would take a GB
            box = (0, top, picture.width, min(top + _ROWS, picture.height))
            layer = picture.crop(box).convert("RGBA")
            background = Image.new("RGBA", layer.size, _BEHIND_TRANSPARENT)
            opaque.paste(Image.alpha_composite(background, layer), box)
        return opaque
    return picture.convert("RGB")


def _deep_grey_to_rgb(picture: Image.Image, name: str) -> Image.Image:
    """Scales grey values of 16 bits, or of 32 that hold 16-bit values or 0 to 1, to 8 bits."""
    values = np.asarray(picture)
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > 65535:
        raise UserError(
            f"{name} holds grey values from {values.min():g} to {values.max():g}; "
            "0 to 65535 (16 bits), or decimals from 0 to 1, can be read"
        )
    white = 1 if picture.mode == "F" and values.max() <= 1 else 65535
    grey = np.empty(values.shape, np.uint8)
    for top in range(0, len(values), _ROWS):
        part = values[top : top + _ROWS].astype(np.float64)
        grey[top : top + _ROWS] = np.round(part * (255 / white))
    return Image.fromarray(grey).convert("RGB")


def write_image(path: str | os.PathLike, image: np.ndarray) -> None:
    """Writes (H, W, 3) uint8 RGB; the suffix chooses the format."""
    path = Path(path)
    kind = "JPEG" if path.suffix.lower() in (".jpg", ".jpeg") else path.suffix[1:].upper()
    options = {"quality": 92} if kind == "JPEG" else {}
    if kind == "PNG" and image.size > _LARGE_VALUES:
        options = {"compress_level": 1}  # a third of the time, half as large again
    write_whole(path, lambda file: Image.fromarray(image).save(file, kind, **options))


def jpeg_bytes(image: np.ndarray) -> bytes:
    """A picture (H, W, 3) uint8 RGB as a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=_PAGE_QUALITY)
    return file.getvalue()


def jpeg_url(image: np.ndarray) -> str:
    """A picture (H, W, 3) uint8 RGB as a data URL, for html pages that need no other file."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg_bytes(image)).decode()
