"""The rasteriser's loops as whole-array NumPy: same arithmetic in the same order, same bits.

`hmr.rendering.mesh_loops` is measured against it and must give what it gives.
"""

import numpy as np

SMALLEST_AREA_PX = 1e-9


def rasterize(vertices_px, faces, height, width, cull=False):
    """`face_id` (H, W) int32, `barycentric` (H, W, 3) and `depth` (H, W), both float32."""
    corners = vertices_px[faces]  # (F, 3, 3)
    kept = drawable_faces(corners, cull)
    corners = corners[kept]
    face, row, start, stop = spans(corners, height, width)
    pixel, pixel_depth, pixel_face = span_pixels(corners, face, row, start, stop, width)
    depth = np.full(height * width, np.inf, np.float32)
    face_id = np.full(height * width, -1, np.int32)
    np.minimum.at(depth, pixel, pixel_depth)
    nearest = pixel_depth == depth[pixel]
    face_id[pixel[nearest]] = kept[pixel_face[nearest]]
    weights = barycentric(vertices_px, faces, face_id, width)
    shape = height, width
    return face_id.reshape(shape), weights.reshape(*shape, 3), depth.reshape(shape)


def signed_area(corners):
    """Twice the area of (F, 3, 3) corners; positive = clockwise on screen."""
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]


def drawable_faces(corners, cull):
    with np.errstate(invalid="ignore"):
        area = signed_area(corners)
        large = (area < -SMALLEST_AREA_PX) if cull else (np.abs(area) > SMALLEST_AREA_PX)
    return np.flatnonzero(large & np.isfinite(corners).all(axis=(1, 2)))


def spans(corners, height, width):
    """Face, row, first column and column after the last of every row of every face."""
    order = np.argsort(corners[:, :, 1], axis=1, kind="stable")
    top, middle, bottom = np.moveaxis(np.take_along_axis(corners, order[:, :, None], axis=1), 1, 0)
    first_row = ceil_within(top[:, 1], height)
    face, row = expand(first_row, ceil_within(bottom[:, 1], height) - first_row)
    long_edge = crossing(top, bottom, face, row)
    upper = crossing(top, middle, face, row)
    short_edge = np.where(row < middle[face, 1], upper, crossing(middle, bottom, face, row))
    start = ceil_within(np.minimum(long_edge, short_edge), width)
    return face, row, start, ceil_within(np.maximum(long_edge, short_edge), width)


def crossing(upper, lower, face, row):
    """x where the edges from `upper` to `lower` corners of the given faces cross the rows."""
    rise = lower[:, 1] - upper[:, 1]
    slope = (lower[:, 0] - upper[:, 0]) / np.where(rise == 0, 1.0, rise)
    return upper[face, 0] + (row - upper[face, 1]) * slope[face]


def ceil_within(values, limit):
    return np.clip(np.ceil(values), 0, limit).astype(int)


def expand(first, count):
    """Repeats index k count[k] times; beside it the numbers first[k], first[k] + 1, ..."""
    count = np.maximum(count, 0)
    owner = np.repeat(np.arange(len(first)), count)
    return owner, np.arange(len(owner)) + (first - (np.cumsum(count) - count))[owner]


def span_pixels(corners, face, row, start, stop, width):
    """Flat pixel index, depth and face of every pixel of every span."""
    a, first, second = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = signed_area(corners)
    slope_x = (first[:, 2] * second[:, 1] - second[:, 2] * first[:, 1]) / area
    slope_y = (second[:, 2] * first[:, 0] - first[:, 2] * second[:, 0]) / area
    along_y, along_x = slope_y[face] * (row - a[face, 1]), slope_x[face] * (start - a[face, 0])
    begin = (a[face, 2] + along_y + along_x).astype(np.float32)
    span, column = expand(start, stop - start)
    steps = (column - start[span]).astype(np.float32)
    depth = begin[span] + slope_x.astype(np.float32)[face][span] * steps
    return row[span] * width + column, depth, face[span]


def barycentric(vertices_px, faces, face_id, width):
    """(H * W, 3) weights of the seen face's corners at each covered pixel."""
    weights = np.zeros((len(face_id), 3), np.float32)
    pixel = np.flatnonzero(face_id >= 0)
    a, b, c = vertices_px[faces[face_id[pixel]]].swapaxes(0, 1)  # each (P, 3)
    area = signed_area(np.stack([a, b, c], axis=1))
    from_a = np.column_stack([pixel % width, pixel // width]) - a[:, :2]
    at_b = (from_a[:, 0] * (c - a)[:, 1] - from_a[:, 1] * (c - a)[:, 0]) / area
    at_c = ((b - a)[:, 0] * from_a[:, 1] - (b - a)[:, 1] * from_a[:, 0]) / area
    weights[pixel, 1] = np.clip(at_b, 0, 1)
    weights[pixel, 2] = np.minimum(np.clip(at_c, 0, 1), 1 - np.clip(at_b, 0, 1))
    weights[pixel, 0] = 1 - weights[pixel, 1] - weights[pixel, 2]
    return weights
