"""From the implicit figure to triangles: marching tetrahedra on the left half of the body.

The half-space x >= 0 is cut into boxes, each box into six tetrahedra. The zero surface of a
linear field on tetrahedra is always a manifold, so the half mesh has one border, on the plane
x = 0.
"""

from collections.abc import Callable
from itertools import permutations

import numpy as np

# Spacing of the grid planes along each axis: (end, step) in metres, from the start on.
GRID_START_M = (0.0, -1.175, -0.150)
GRID_STEPS_M = (
    ((0.090, 0.0090), (0.690, 0.0170), (0.895, 0.0075)),
    ((-1.060, 0.0110), (0.200, 0.0185), (0.240, 0.0085), (0.330, 0.0140), (0.570, 0.0085)),
    ((0.165, 0.0110),),
)
# The six tetrahedra that share the main diagonal of a box, as paths from corner 000 to 111.
CORNERS = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
TETRAHEDRA = np.array(
    [[0, *np.cumsum([4 >> a for a in order])] for order in permutations((0, 1, 2))]
)


def grid_axes_m() -> list[np.ndarray]:
    """The positions of the grid planes along x, y and z."""
    axes = []
    for start, steps in zip(GRID_START_M, GRID_STEPS_M, strict=True):
        planes = [start]
        for end, step in steps:
            count = int(np.ceil((end - planes[-1]) / step))
            planes.extend(np.linspace(planes[-1], end, count + 1)[1:])
        axes.append(np.array(planes))
    return axes


def _crossed_tetrahedra(inside: np.ndarray) -> np.ndarray:
    """Node indices (T, 4) of the tetrahedra with nodes on both sides of the surface."""
    low = np.stack(np.meshgrid(*[np.arange(n - 1) for n in inside.shape], indexing="ij"), axis=-1)
    corners = low.reshape(-1, 1, 3) + CORNERS
    boxes = np.ravel_multi_index(np.moveaxis(corners, -1, 0), inside.shape)
    flat = inside.ravel()
    count = flat[boxes].sum(axis=1)
    boxes = boxes[(count > 0) & (count < 8)]
    tetrahedra = boxes[:, TETRAHEDRA].reshape(-1, 4)
    count = flat[tetrahedra].sum(axis=1)
    return tetrahedra[(count > 0) & (count < 4)]


def _crossing_polygons(tetrahedra: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Triangles as three grid edges each, (F, 3, 2): one corner cut off, or a quad split in two."""
    order = np.argsort(~inside[tetrahedra], axis=1, kind="stable")
    sorted_nodes = np.take_along_axis(tetrahedra, order, axis=1)
    count = inside[tetrahedra].sum(axis=1)
    one, two, three = (sorted_nodes[count == c] for c in (1, 2, 3))
    edges = (
        (one, ((0, 1), (0, 2), (0, 3))),
        (three, ((0, 3), (1, 3), (2, 3))),
        (two, ((0, 2), (0, 3), (1, 3))),
        (two, ((0, 2), (1, 3), (1, 2))),
    )
    return np.concatenate([nodes[:, np.array(pairs)] for nodes, pairs in edges])


def _outward(faces: np.ndarray, vertices_m: np.ndarray, direction: np.ndarray) -> np.ndarray:
    corners = vertices_m[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    flip = np.einsum("fc,fc->f", normal, direction) < 0
    return np.where(flip[:, None], faces[:, ::-1], faces)


def half_surface(field: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Triangulate the zero surface of `field` for x >= 0.

    Args:
        field: maps points (N, 3) in metres to values (N,), negative inside.

    Returns:
        vertices_m (V, 3), those of the border exactly on x = 0, and faces (F, 3), outward.
    """
    axes = grid_axes_m()
    nodes_m = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    value = field(nodes_m.reshape(-1, 3))
    inside = value < 0
    tetrahedra = _crossed_tetrahedra(inside.reshape(nodes_m.shape[:3]))
    edges = _crossing_polygons(tetrahedra, inside)
    keys, faces = np.unique(edges[..., 0] * value.size + edges[..., 1], return_inverse=True)
    faces = faces.reshape(-1, 3)
    start, end = keys // value.size, keys % value.size
    # Vertices stay away from the nodes, so that no triangle loses its area.
    t = np.clip(value[start] / (value[start] - value[end]), 0.08, 0.92)[:, None]
    flat_nodes_m = nodes_m.reshape(-1, 3)
    vertices_m = (1.0 - t) * flat_nodes_m[start] + t * flat_nodes_m[end]
    direction = (flat_nodes_m[edges[..., 1]] - flat_nodes_m[edges[..., 0]]).sum(axis=1)
    return vertices_m, _outward(faces, vertices_m, direction)
