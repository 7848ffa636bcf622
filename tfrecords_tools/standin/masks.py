"""Silhouettes as COCO keeps them: polygons of single people, run lengths of crowds."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Silhouette:
    """The pixels that show a person.

    Attributes:
        polygons: outlines, each x1, y1, x2, y2, ... in pixels; specks are left out.
        bbox: x, y, width, height.
        area: number of pixels.
    """

    polygons: list[list[float]]
    bbox: tuple[float, float, float, float]
    area: int


def trace_silhouette(mask: np.ndarray) -> Silhouette:
    """Outlines a (H, W) bool mask."""
    image = mask.astype(np.uint8)
    contours, _ = cv2.findContours(image, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_TC89_L1)
    polygons = [
        contour.reshape(-1).astype(float).tolist() for contour in contours if len(contour) > 2
    ]
    x, y, width, height = (float(value) for value in cv2.boundingRect(image))
    return Silhouette(polygons, (x, y, width, height), int(mask.sum()))


def run_lengths(mask: np.ndarray) -> dict[str, list[int]]:
    """COCO's uncompressed RLE of a (H, W) bool mask: column-major runs, the first of zeros."""
    flat = mask.reshape(-1, order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *edges, flat.size]).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if flat[0] else counts}
