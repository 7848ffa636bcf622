"""Rasterise triangle meshes with numpy alone: no display, no OpenGL, one result on every machine.

Pixel convention (OpenCV's): the centre of the pixel in row i, column j lies at x = j, y = i.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

BACKGROUND = -1
_SMALLEST_AREA_PX = 1e-9
_CHUNK_PIXELS = 1 << 22


@dataclass(frozen=True)
class Raster:
    """What each pixel sees.

    Attributes:
        face_id: (H, W) int32, index of the nearest face, -1 where there is none.
        barycentric: (H, W, 3) float32, weights of that face's corners (sum 1), 0 on background.
        depth: (H, W) float32 in the unit of the vertices' third column, inf on background.
    """

    face_id: np.ndarray
    barycentric: np.ndarray
    depth: np.ndarray

    @property
    def covered(self) -> np.ndarray:
        """(H, W) bool, True where a face is seen."""
        return self.face_id != BACKGROUND


def rasterize(
    vertices_px: np.ndarray, faces: np.ndarray, height: int, width: int, cull: bool = False
) -> Raster:
    """Find the nearest face at every pixel centre.

    Every face is cut into horizontal spans by the half-open ("top-left") rule, so that two faces
    that share an edge never both own, and never both miss, a pixel. Attributes and depth are
    interpolated linearly in the picture, which is exact for a weak-perspective camera and very
    close for the small faces of a body under perspective.

    Args:
        vertices_px: (V, 3): x to the right and y down in pixels, and depth (larger = farther).
        faces: (F, 3) integer vertex indices. Faces with a non-finite corner are skipped.
        height: rows of the picture.
        width: columns of the picture.
        cull: skip faces turned away from the viewer; right for closed surfaces whose faces run
            counter-clockwise seen from outside, and faster.
    """
    vertices = np.asarray(vertices_px, np.float64)
    faces = np.asarray(faces)
    corners = vertices[faces]
    kept = _drawable_faces(corners, height, width, cull)
    corners = corners[kept]
    depth_buffer = np.full(height * width, np.inf, np.float32)
    face_id = np.full(height * width, BACKGROUND, np.int32)
    for spans in _in_chunks(*_spans(corners, height, width)):
        pixel, depth, face = _span_pixels(corners, spans, width)
        np.minimum.at(depth_buffer, pixel, depth)
        nearest = depth == depth_buffer[pixel]
        face_id[pixel[nearest]] = kept[face[nearest]]
    weights = _barycentric(vertices, faces, face_id, width)
    shape = (height, width)
    return Raster(face_id.reshape(shape), weights.reshape(*shape, 3), depth_buffer.reshape(shape))


def signed_area_px(corners: np.ndarray) -> np.ndarray:
    """Twice the signed area of (F, 3, >=2) corners; positive = clockwise on screen (y down)."""
    first = corners[:, 1] - corners[:, 0]
    second = corners[:, 2] - corners[:, 0]
    return first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]


def _drawable_faces(corners: np.ndarray, height: int, width: int, cull: bool) -> np.ndarray:
    a, b, c = (corners[:, k, :2] for k in range(3))
    low, high = np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)
    area = signed_area_px(corners)
    with np.errstate(invalid="ignore"):
        big_enough = (area < -_SMALLEST_AREA_PX) if cull else (np.abs(area) > _SMALLEST_AREA_PX)
        first, last = np.ceil(low), np.ceil(high) - 1
        centre_in_axis = (first <= last) & (last >= 0) & (first < (width, height))
        holds_a_centre = centre_in_axis[:, 0] & centre_in_axis[:, 1]
    candidates = np.flatnonzero(big_enough & holds_a_centre)
    return candidates[np.isfinite(corners[candidates]).all(axis=(1, 2))]


def _spans(corners: np.ndarray, height: int, width: int) -> tuple[np.ndarray, ...]:
    """Cut faces into rows: face, row, first column and column after the last of every span."""
    order = np.argsort(corners[:, :, 1], axis=1, kind="stable")
    top, middle, bottom = np.moveaxis(np.take_along_axis(corners, order[:, :, None], axis=1), 1, 0)
    first_row = _ceil_within(top[:, 1], height)
    rows = _ceil_within(bottom[:, 1], height) - first_row
    face, row = _expand(first_row, rows)
    y = row.astype(np.float64)
    long_edge = _crossing(top, bottom, face, y)
    upper = y < middle[face, 1]
    short_edge = np.where(
        upper, _crossing(top, middle, face, y), _crossing(middle, bottom, face, y)
    )
    start = _ceil_within(np.minimum(long_edge, short_edge), width)
    stop = _ceil_within(np.maximum(long_edge, short_edge), width)
    return face, row, start, stop


def _crossing(upper: np.ndarray, lower: np.ndarray, face: np.ndarray, y: np.ndarray) -> np.ndarray:
    """x where the edges from `upper` to `lower` corners of the given faces cross the rows y."""
    rise = lower[:, 1] - upper[:, 1]
    slope = (lower[:, 0] - upper[:, 0]) / np.where(rise == 0, 1.0, rise)
    return upper[face, 0] + (y - upper[face, 1]) * slope[face]


def _ceil_within(values: np.ndarray, limit: int) -> np.ndarray:
    return np.clip(np.ceil(values), 0, limit).astype(np.int32)


def _expand(first: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Repeat index k count[k] times; beside it the numbers first[k], first[k] + 1, ..."""
    owner = np.repeat(np.arange(len(first), dtype=np.int32), count)
    start_of_owner = np.cumsum(count, dtype=np.int64) - count
    shift = (first - start_of_owner).astype(np.int32)
    return owner, np.arange(len(owner), dtype=np.int32) + shift[owner]


def _in_chunks(
    face: np.ndarray, row: np.ndarray, start: np.ndarray, stop: np.ndarray
) -> Iterator[tuple[np.ndarray, ...]]:
    """The filled spans, in parts of so many pixels that memory stays bounded."""
    filled = stop > start
    spans = face[filled], row[filled], start[filled], stop[filled]
    total = np.cumsum(spans[3] - spans[2], dtype=np.int64)
    if len(total) == 0:
        return
    cuts = np.searchsorted(total, np.arange(_CHUNK_PIXELS, total[-1], _CHUNK_PIXELS))
    bounds = [0, *np.unique(cuts), len(total)]
    for low, high in itertools.pairwise(bounds):
        if low < high:
            yield tuple(part[low:high] for part in spans)


def _span_pixels(
    corners: np.ndarray, spans: tuple[np.ndarray, ...], width: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flat pixel index, depth and face of every pixel of every span."""
    face, row, start, stop = spans
    slope_x, slope_y = _depth_slopes(corners)
    origin = corners[face, 0]
    row_depth = (
        origin[:, 2] + slope_y[face] * (row - origin[:, 1]) + slope_x[face] * (start - origin[:, 0])
    ).astype(np.float32)
    span, column = _expand(start, stop - start)
    steps = (column - start[span]).astype(np.float32)
    depth = row_depth[span] + slope_x.astype(np.float32)[face][span] * steps
    return (row * np.int32(width))[span] + column, depth, face[span]


def _depth_slopes(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """d depth / dx and d depth / dy of the plane through each face."""
    first = corners[:, 1] - corners[:, 0]
    second = corners[:, 2] - corners[:, 0]
    area = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    slope_x = (first[:, 2] * second[:, 1] - second[:, 2] * first[:, 1]) / area
    slope_y = (second[:, 2] * first[:, 0] - first[:, 2] * second[:, 0]) / area
    return slope_x, slope_y


def _barycentric(
    vertices: np.ndarray, faces: np.ndarray, face_id: np.ndarray, width: int
) -> np.ndarray:
    """(H * W, 3) weights of the seen face's corners at each covered pixel."""
    weights = np.zeros((len(face_id), 3), np.float32)
    pixel = np.flatnonzero(face_id != BACKGROUND)
    x0, y0 = vertices[faces[face_id[pixel], 0], :2].T
    x1, y1 = vertices[faces[face_id[pixel], 1], :2].T
    x2, y2 = vertices[faces[face_id[pixel], 2], :2].T
    x, y = pixel % width, pixel // width
    area = (x1 - x0) * (y2 - y0) - (y1 - y0) * (x2 - x0)
    second = ((x - x0) * (y2 - y0) - (y - y0) * (x2 - x0)) / area
    third = ((x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)) / area
    second, third = np.clip(second, 0, 1), np.clip(third, 0, 1)
    weights[pixel, 1] = second
    weights[pixel, 2] = np.minimum(third, 1 - second)
    weights[pixel, 0] = 1 - weights[pixel, 1] - weights[pixel, 2]
    return weights


def interpolate(raster: Raster, faces: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Carry per-vertex values (V, C) to pixels: (H, W, C) float32, 0 on background."""
    values = np.asarray(values, np.float32)
    picture = np.zeros((*raster.face_id.shape, values.shape[1]), np.float32)
    covered = raster.covered
    corner_values = values[np.asarray(faces)[raster.face_id[covered]]]
    picture[covered] = np.einsum("pk,pkc->pc", raster.barycentric[covered], corner_values)
    return picture


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals (V, 3) float32: the area-weighted mean over the faces around each vertex.

    They point outwards where faces run counter-clockwise seen from outside in a right-handed frame.
    Vertices without a face get (0, 0, 0).
    """
    vertices = np.asarray(vertices, np.float64)
    faces = np.asarray(faces)
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    face_normals = np.cross(b - a, c - a)
    flat = faces.reshape(-1)
    repeated = np.repeat(face_normals, 3, axis=0)
    columns = [np.bincount(flat, repeated[:, k], minlength=len(vertices)) for k in range(3)]
    total = np.stack(columns, axis=1)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return (total / np.where(length == 0, 1.0, length)).astype(np.float32)
