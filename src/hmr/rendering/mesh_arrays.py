"""Loops over the faces of a mesh, and over their rows and pixels, as arithmetic of whole arrays.

It gives the same bits as `hmr.rendering.mesh_loops` does, and takes ten times as long. It is ready
at once, though, where the compiled loops take 0.35 s to load.
"""

from __future__ import annotations

import numpy as np

SMALLEST_AREA_PX = 1e-9


@np.errstate(over="ignore", invalid="ignore")  # of corners that are not finite, or very far
def draw_faces(
    vertices_px: np.ndarray, faces: np.ndarray, cull: bool, depth: np.ndarray, face_id: np.ndarray
) -> None:
    """Fills in the nearest face of every pixel, as `hmr.rendering.mesh_loops.draw_faces` does."""
    height, width = depth.shape
    corners = vertices_px[faces]  # (F, 3, 3)
    kept = _drawable(corners, cull)
    pixel, found, face = _pixels_of(corners[kept], height, width)
    depths, ids = depth.reshape(-1), face_id.reshape(-1)  # views
    np.fmin.at(depths, pixel, found)
    nearest = found == depths[pixel]
    ids[pixel[nearest]] = kept[face[nearest]]


def weigh_corners(
    vertices_px: np.ndarray, faces: np.ndarray, face_id: np.ndarray, weights: np.ndarray
) -> None:
    """Fills in the barycentric weights (H, W, 3) float32 where a face is seen."""
    y, x = np.nonzero(face_id >= 0)
    a, b, c = vertices_px[faces[face_id[y, x]]].swapaxes(0, 1)  # each (P, 3)
    area = _area(a, b, c)
    at_b = ((x - a[:, 0]) * (c - a)[:, 1] - (y - a[:, 1]) * (c - a)[:, 0]) / area
    at_c = ((b - a)[:, 0] * (y - a[:, 1]) - (b - a)[:, 1] * (x - a[:, 0])) / area
    at_b = np.minimum(np.maximum(at_b, 0) + 0.0, 1)  # never -0.0
    weights[y, x, 1] = at_b
    weights[y, x, 2] = np.minimum(np.maximum(at_c, 0) + 0.0, 1 - at_b)
    weights[y, x, 0] = 1 - weights[y, x, 1] - weights[y, x, 2]


def _area(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Twice the signed area of triangles with corners (F, 3); positive = clockwise on screen."""
    return (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]


def _drawable(corners: np.ndarray, cull: bool) -> np.ndarray:
    area = _area(*corners.swapaxes(0, 1))
    large = (area < -SMALLEST_AREA_PX) if cull else (np.abs(area) > SMALLEST_AREA_PX)
    return np.flatnonzero(large & np.isfinite(area) & np.isfinite(corners).all(axis=(1, 2)))


def _pixels_of(
    corners: np.ndarray, height: int, width: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(F, 3, 3) corners -> every pixel of every face: its flat index, depth float32, and face."""
    face, row, start, stop = _spans(corners, height, width)
    a, b, c = corners.swapaxes(0, 1)
    area = _area(a, b, c)
    slope_x = ((b - a)[:, 2] * (c - a)[:, 1] - (c - a)[:, 2] * (b - a)[:, 1]) / area
    slope_y = ((c - a)[:, 2] * (b - a)[:, 0] - (b - a)[:, 2] * (c - a)[:, 0]) / area
    along_y, along_x = slope_y[face] * (row - a[face, 1]), slope_x[face] * (start - a[face, 0])
    begin = (a[face, 2] + along_y + along_x).astype(np.float32)
    span, column = _counted(start, stop - start)
    steps = (column - start[span]).astype(np.float32)
    depth = begin[span] + slope_x.astype(np.float32)[face][span] * steps
    return row[span] * width + column, depth, face[span]


def _spans(
    corners: np.ndarray, height: int, width: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Face, row, first column and column after the last of every row of every face."""
    order = np.argsort(corners[:, :, 1], axis=1, kind="stable")
    top, middle, bottom = np.moveaxis(np.take_along_axis(corners, order[:, :, None], axis=1), 1, 0)
    first_row = _ceil_within(top[:, 1], height)
    face, row = _counted(first_row, _ceil_within(bottom[:, 1], height) - first_row)
    long_edge = _crossing(top, bottom, face, row)
    upper = _crossing(top, middle, face, row)
    short_edge = np.where(row < middle[face, 1], upper, _crossing(middle, bottom, face, row))
    start = _ceil_within(np.minimum(long_edge, short_edge), width)
    return face, row, start, _ceil_within(np.maximum(long_edge, short_edge), width)


def _crossing(
    upper: np.ndarray, lower: np.ndarray, face: np.ndarray, row: np.ndarray
) -> np.ndarray:
    """x where the edges from `upper` to `lower` corners of the given faces cross the rows."""
    rise = lower[:, 1] - upper[:, 1]
    slope = (lower[:, 0] - upper[:, 0]) / np.where(rise == 0, 1.0, rise)
    return upper[face, 0] + (row - upper[face, 1]) * slope[face]


def _ceil_within(values: np.ndarray, limit: int) -> np.ndarray:
    return np.clip(np.ceil(values), 0, limit).astype(int)


def _counted(first: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Repeats index k count[k] times; beside it the numbers first[k], first[k] + 1, ..."""
    count = np.maximum(count, 0)
    owner = np.repeat(np.arange(len(first)), count)
    return owner, np.arange(len(owner)) + (first - (np.cumsum(count) - count))[owner]
