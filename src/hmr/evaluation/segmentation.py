"""Foreground and six body parts against the annotations of UPi-S1h (Lassner et al. 2017).

Each predicted mesh is drawn by the project's own z-buffer into its whole picture, at the size of
the annotation, and compared pixel by pixel. 255 in a part annotation means "ignore": it counts as
background in the accuracy, and not at all in F1, as in the evaluation of UP-3D and of SPIN.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from hmr.errors import UserError
from hmr.evaluation.meshes import Meshes, in_batches
from hmr.evaluation.parts import PARTS
from hmr.evaluation.samples import PixelCounts, Truth
from hmr.files.foreign import reading
from hmr.files.images import MAX_PICTURE_BYTES, MAX_PIXELS
from hmr.geometry.camera import camera_in_picture
from hmr.geometry.crop import box_from_record
from hmr.rendering.rasterise import rasterize

FOLDER = Path("data") / "lsp"
IGNORED = 255
SAME_SIZE, SCALED, OTHER_SHAPE = "same size", "scaled", "other shape"
_NAME = re.compile(r"im(\d{4,5})\.(jpg|png)")
# An annotation of another size than its picture is a scaled copy if its sides agree this well.
_LARGEST_SIDE_DIFFERENCE_PX = 1.0


@dataclass(frozen=True)
class Annotation:
    """What people drew: foreground (H, W) bool, and parts (H, W) uint8 as in `PARTS`, or 255."""

    foreground: np.ndarray
    parts: np.ndarray


def read_annotation(root: str | Path, filename: str) -> Annotation:
    """The annotation of an LSP picture.

    Args:
        root: UPi-S1h's folder, which holds data/lsp/im1001_segmentation.png and
            data/lsp/im1001_part_segmentation.png.
        filename: of the picture, such as im1001.jpg.

    Raises:
        UserError: LSP has no such name, or a file is missing, unreadable or of a wrong size.
    """
    match = _NAME.fullmatch(filename)
    if match is None:
        raise UserError(f"LSP's pictures are named im1001.jpg. Received: {filename!r}")
    stem = Path(root) / FOLDER / f"im{match[1]}"
    foreground, parts = (
        _read_grey(stem.with_name(f"{stem.name}_{kind}.png"))
        for kind in ("segmentation", "part_segmentation")
    )
    if foreground.shape != parts.shape:
        raise UserError(
            f"{stem}_segmentation.png and its part annotation must have one size. "
            f"Received: {foreground.shape} and {parts.shape}"
        )
    unknown = np.unique(parts[(parts >= len(PARTS)) & (parts != IGNORED)])
    if len(unknown):
        raise UserError(
            f"{stem}_part_segmentation.png must hold 0 to {len(PARTS) - 1} or {IGNORED}. "
            f"Received: {unknown[0]}"
        )
    return Annotation(foreground > 0, parts)


def _read_grey(path: Path) -> np.ndarray:
    """(H, W) uint8, without the palette's colours."""
    if not path.is_file():
        raise UserError(
            f"no annotation at {path}. Download upi-s1h.zip of UP-3D and give its folder: "
            "--segmentation /path/to/upi-s1h"
        )
    with (
        reading(path, "readable PNG", MAX_PICTURE_BYTES),
        Image.open(path, formats=["PNG"]) as picture,
    ):
        if picture.width * picture.height > MAX_PIXELS:
            raise UserError(f"{path} is larger than {MAX_PIXELS} pixels.")
        values = np.array(picture if picture.mode in ("L", "P") else picture.convert("L"))
        return values.astype(np.uint8)


def label_map(
    vertices_px: np.ndarray, faces: np.ndarray, labels: np.ndarray, height: int, width: int
) -> np.ndarray:
    """Label (H, W) of the nearest surface at every pixel, 0 where there is none.

    Args:
        vertices_px: (V, 3) x, y, depth.
        faces: (F, 3).
        labels: (V,) uint8; within a face the label of the nearest corner counts.
    """
    raster = rasterize(vertices_px, faces, height, width)
    shown = np.zeros((height, width), np.uint8)
    covered = raster.covered  # (H, W) bool
    corner = raster.barycentric[covered].argmax(axis=1)  # (pixels,), 0 to 2
    shown[covered] = labels[faces[raster.face_id[covered], corner]]
    return shown


def count_pixels(
    meshes: Meshes,
    camera: np.ndarray,
    truth: Truth,
    root: str | Path,
    faces: np.ndarray,
    labels: np.ndarray,
) -> PixelCounts:
    """Draws every predicted body into its whole picture and compares it with the annotation.

    Args:
        meshes: predictions.
        camera: (N, 3) s, tx, ty of the crops.
        truth: of the same samples: names, crops' centres and sizes of the pictures.
        root: UPi-S1h's folder, see `read_annotation`.
        faces: (F, 3).
        labels: (6890,) uint8, the part of every vertex.

    Raises:
        UserError: an annotation is missing or unreadable, or none can be compared.
    """
    counts, fits = [], Counter[str]()
    for chosen, vertices_m in in_batches(meshes, "drawing parts"):
        for row, vertices in zip(range(len(meshes))[chosen], vertices_m, strict=True):
            annotation = read_annotation(root, str(truth.filename[row]))
            size, picture = np.array(annotation.parts.shape), truth.size_px[row]
            fit = _fit(size, picture)
            fits[fit] += 1
            shown = np.zeros(size, np.uint8)
            if fit != OTHER_SHAPE:
                box = box_from_record(truth.center_px[row])
                placed = camera_in_picture(camera[row], box).project(vertices)  # (V, 3)
                # From the picture's pixels to the annotation's; sizes are (rows, columns).
                placed[:, :2] = (placed[:, :2] + 0.5) * (size / picture)[::-1] - 0.5
                shown = label_map(placed, faces, labels, *size)
            counts.append(_compare(annotation, shown, counted=fit != OTHER_SHAPE))
    if fits[OTHER_SHAPE] == len(meshes):
        raise UserError(f"no annotation in {root} has the shape of its picture.")
    foreground, parts, right, pixels = map(np.array, zip(*counts, strict=True))
    return PixelCounts(foreground, parts, right, pixels, _notes(fits))


def _compare(annotation: Annotation, shown: np.ndarray, counted: bool) -> tuple:
    """A sample's row of `PixelCounts`; zeros if it does not count."""
    kept = annotation.parts != IGNORED
    foreground = _confusion(annotation.foreground, shown > 0, 2)
    parts = _confusion(annotation.parts[kept], shown[kept], len(PARTS))
    right = np.trace(parts) + np.sum(~kept & (shown == 0))
    return tuple(counted * count for count in (foreground, parts, right, shown.size))


def _fit(size: np.ndarray, picture: np.ndarray) -> str:
    if (size == picture).all():
        return SAME_SIZE
    rows, columns = size
    expected_columns = picture[1] * rows / picture[0]
    scaled = abs(expected_columns - columns) <= _LARGEST_SIDE_DIFFERENCE_PX
    return SCALED if scaled else OTHER_SHAPE


def _confusion(truth: np.ndarray, predicted: np.ndarray, kinds: int) -> np.ndarray:
    """Pixels (kinds, kinds) by true and predicted label; both sides of one shape."""
    flat = truth.astype(np.int64).ravel() * kinds + predicted.astype(np.int64).ravel()
    return np.bincount(flat, minlength=kinds * kinds).reshape(kinds, kinds)


def _notes(fits: Counter[str]) -> tuple[str, ...]:
    texts = {
        SCALED: "annotations have another size than their picture and were compared at theirs",
        OTHER_SHAPE: "annotations have another shape than their picture and were LEFT OUT",
    }
    total = sum(fits.values())
    return tuple(f"{fits[kind]} of {total} {text}" for kind, text in texts.items() if fits[kind])
