"""From the implicit figure to a triangle mesh with a wanted number of vertices.

1. Marching tetrahedra on the half x >= 0: each box of the grid is cut into six tetrahedra. The
   zero surface of a linear field on tetrahedra is always a manifold, so the half mesh has one
   border, on the plane x = 0.
2. Edge collapses, in order of the length relative to a wanted length that varies over the body. An
   edge is collapsed only if the surface stays a manifold (link condition) and every triangle still
   faces outward.
3. Alternating rounds of Delaunay flips and of sliding along the surface, which make the triangles
   more regular.
4. The mirror image is joined along the border.

The shipped weights were trained on exactly these vertices; a library's marching cubes would give
other vertices.
"""

import heapq
from collections.abc import Callable
from itertools import permutations

import numpy as np
from scipy import sparse

from hmr.body.standin.form import body_field, field_gradient, on_left

# The grid planes along x, y and z begin here; then (end, step) of each stretch, metres.
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
MAX_VALENCE = 9
MIN_COSINE = 0.15
# Ellipsoids of finer triangles: centre (m), radii (m), wanted edge length relative to the trunk's.
DETAIL = (
    ((0.000, 0.415, 0.090), (0.075, 0.105, 0.075), 0.34),
    ((0.076, 0.424, 0.008), (0.030, 0.050, 0.040), 0.50),
    ((0.000, 0.450, 0.010), (0.120, 0.140, 0.140), 0.62),
    ((0.800, 0.215, -0.035), (0.110, 0.060, 0.090), 0.44),
    ((0.110, -1.130, 0.100), (0.070, 0.050, 0.090), 0.62),
    ((0.090, -1.110, 0.000), (0.070, 0.090, 0.120), 0.75),
    ((0.180, 0.210, -0.020), (0.090, 0.090, 0.090), 0.85),
    ((0.440, 0.215, -0.040), (0.100, 0.080, 0.080), 0.72),
    ((0.600, 0.215, -0.040), (0.200, 0.080, 0.080), 0.72),
    ((0.105, -0.690, 0.010), (0.080, 0.100, 0.100), 0.85),
)
RELAX_ROUNDS, RELAX_STEP = 8, 0.6


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


def wanted_edge(points_m: np.ndarray) -> np.ndarray:
    """Edge length to aim at, relative to the trunk's; points (N, 3) -> (N,)."""
    length = np.ones(len(points_m))
    left_m = on_left(points_m)
    for centre, radii, relative in DETAIL:
        distance = np.linalg.norm((left_m - centre) / np.asarray(radii), axis=1)
        inside = np.clip((1.6 - distance) / 0.8, 0.0, 1.0)
        length = np.minimum(length, 1.0 + (relative - 1.0) * inside)
    return length


def to_surface(points_m: np.ndarray, steps: int = 3) -> np.ndarray:
    """Moves points along the gradient to the zero surface; those with x = 0 stay there."""
    points_m = points_m.copy()
    on_border = points_m[:, 0] == 0
    for _ in range(steps):
        gradient = field_gradient(points_m)
        squared = np.maximum(np.einsum("vc,vc->v", gradient, gradient), 0.2)
        move = body_field(points_m)[:, None] * gradient / squared[:, None]
        points_m -= np.clip(move, -0.01, 0.01)
        points_m[on_border, 0] = 0.0
    return points_m


class HalfMesh:
    """A triangle mesh with one border on x = 0, open to edge collapses."""

    def __init__(self, vertices_m: np.ndarray, faces: np.ndarray):
        self.position = [tuple(p) for p in vertices_m.tolist()]
        normal = field_gradient(vertices_m)
        self.normal = [
            tuple(n) for n in (normal / np.linalg.norm(normal, axis=1)[:, None]).tolist()
        ]
        self.border = (vertices_m[:, 0] == 0).tolist()
        self.wanted = wanted_edge(vertices_m).tolist()
        self.faces: list[tuple] = [tuple(f) for f in faces.tolist()]
        self.faces_of: list[set[int]] = [set() for _ in self.position]
        for index, face in enumerate(self.faces):
            for v in face:
                self.faces_of[v].add(index)

    def neighbours(self, v: int) -> set[int]:
        """The vertices that share an edge with `v`."""
        return {w for f in self.faces_of[v] for w in self.faces[f]} - {v}

    def cost(self, u: int, v: int) -> float:
        """Squared edge length relative to the wanted one."""
        (x, y, z), (p, q, r) = self.position[u], self.position[v]
        length = (x - p) ** 2 + (y - q) ** 2 + (z - r) ** 2
        return length / (self.wanted[u] * self.wanted[v])

    def _faces_outward(self, face: tuple, v: int, position: tuple, kept: int) -> bool:
        a, b, c = (position if w == v else self.position[w] for w in face)
        ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
        vx, vy, vz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        px, py, pz = self.normal[kept]
        size = (nx * nx + ny * ny + nz * nz) ** 0.5
        return nx * px + ny * py + nz * pz > MIN_COSINE * size

    def can_collapse(self, gone: int, kept: int, position: tuple) -> bool:
        """Whether merging `gone` into `kept` at `position` keeps a clean manifold."""
        shared = self.faces_of[gone] & self.faces_of[kept]
        around_gone, around_kept = self.neighbours(gone), self.neighbours(kept)
        if len(around_gone & around_kept) != len(shared):
            return False
        if self.border[gone] and self.border[kept] and len(shared) != 1:
            return False
        if len(around_gone | around_kept) - 2 > MAX_VALENCE:
            return False
        moved = [(gone, self.faces_of[gone] - shared), (kept, self.faces_of[kept] - shared)]
        return all(
            self._faces_outward(self.faces[f], v, position, kept) for v, fs in moved for f in fs
        )

    def collapse(self, gone: int, kept: int, position: tuple) -> None:
        """Merges `gone` into `kept`, which moves to `position`."""
        shared = self.faces_of[gone] & self.faces_of[kept]
        for f in shared:
            for v in self.faces[f]:
                self.faces_of[v].discard(f)
            self.faces[f] = ()
        for f in self.faces_of[gone]:
            self.faces[f] = tuple(kept if v == gone else v for v in self.faces[f])
        self.faces_of[kept] |= self.faces_of[gone]
        self.faces_of[gone] = set()
        self.position[kept] = position

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (V, 3) and faces (F, 3) without the vertices that are gone."""
        faces = np.array([f for f in self.faces if f])
        used, faces = np.unique(faces, return_inverse=True)
        return np.array(self.position)[used], faces.reshape(-1, 3)


def _merge_order(mesh: HalfMesh, u: int, v: int) -> tuple[int, int, tuple]:
    """The vertex that goes, the one that is kept, and its position; border vertices stay on it."""
    if mesh.border[u] and not mesh.border[v]:
        return v, u, mesh.position[u]
    if mesh.border[v] and not mesh.border[u]:
        return u, v, mesh.position[v]
    return v, u, tuple((a + b) / 2 for a, b in zip(mesh.position[u], mesh.position[v], strict=True))


def _edge_queue(mesh: HalfMesh) -> list[tuple[float, int, int]]:
    """All edges as a heap of (cost, u, v)."""
    sides = ((f[i], f[i - 1]) for f in mesh.faces for i in range(3))
    edges = sorted({(min(side), max(side)) for side in sides})
    heap = [(mesh.cost(u, v), u, v) for u, v in edges]
    heapq.heapify(heap)
    return heap


def simplify(
    vertices_m: np.ndarray, faces: np.ndarray, whole_count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Collapses edges until the half mesh and its mirror image have `whole_count` vertices.

    Vertices on the border count once, all others twice.

    Returns:
        vertices_m (V, 3), faces (F, 3).
    """
    mesh = HalfMesh(vertices_m, faces)
    count = sum(1 if border else 2 for border in mesh.border)
    heap = _edge_queue(mesh)
    while count > whole_count:
        cost, u, v = heapq.heappop(heap)
        if not mesh.faces_of[u] or not mesh.faces_of[v] or cost != mesh.cost(u, v):
            continue
        gone, kept, position = _merge_order(mesh, u, v)
        removed = 1 if mesh.border[gone] else 2
        if count - removed < whole_count or not mesh.can_collapse(gone, kept, position):
            continue
        mesh.collapse(gone, kept, position)
        count -= removed
        for w in mesh.neighbours(kept):
            heapq.heappush(heap, (mesh.cost(kept, w), min(kept, w), max(kept, w)))
    return mesh.arrays()


def edges_of(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Undirected edges (E, 2) and for each up to two opposite vertices (E, 2), -1 at the border."""
    directed = np.concatenate([faces[:, [i, (i + 1) % 3]] for i in range(3)])
    opposite = np.concatenate([faces[:, (i + 2) % 3] for i in range(3)])
    edges, inverse = np.unique(np.sort(directed, axis=1), axis=0, return_inverse=True)
    inverse = inverse.ravel()
    pair = np.full((len(edges), 2), -1)
    side = (directed[:, 0] > directed[:, 1]).astype(int)
    pair[inverse, side] = opposite
    return edges, pair


def adjacency(faces: np.ndarray, count: int) -> sparse.csr_matrix:
    """Symmetric vertex adjacency (V, V) with ones."""
    edges, _ = edges_of(faces)
    both = np.concatenate([edges, edges[:, ::-1]])
    return sparse.csr_matrix((np.ones(len(both)), both.T), shape=(count, count))


def smooth(values: np.ndarray, links: sparse.csr_matrix, rounds: int) -> np.ndarray:
    """Smooths values (V, ...) over the surface: each round goes halfway to the neighbours' mean."""
    mean = sparse.diags(1.0 / np.asarray(links.sum(axis=1)).ravel()) @ links
    for _ in range(rounds):
        values = 0.5 * values + 0.5 * (mean @ values)
    return values


def _cotangent(apex: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    u, v = a - apex, b - apex
    area = np.linalg.norm(np.cross(u, v), axis=1)
    return np.einsum("ec,ec->e", u, v) / np.maximum(area, 1e-12)


def _flip_candidates(vertices_m: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Edges that are not Delaunay, worst first: rows of edge a, b and opposite corners c, d."""
    edges, opposite = edges_of(faces)
    inner = (opposite >= 0).all(axis=1)
    quads = np.concatenate([edges, opposite], axis=1)[inner]
    a, b, c, d = (vertices_m[quads[:, i]] for i in range(4))
    badness = _cotangent(c, a, b) + _cotangent(d, a, b)
    normal_before = np.cross(b - a, c - a) + np.cross(d - a, b - a)
    upper, lower = np.cross(d - a, c - a), np.cross(c - b, d - b)
    size = np.linalg.norm(normal_before, axis=1)
    convex = np.ones(len(quads), bool)
    for normal in (upper, lower):
        cosine = np.einsum("ec,ec->e", normal, normal_before)
        convex &= cosine > 0.5 * size * np.linalg.norm(normal, axis=1)
    order = np.argsort(badness, kind="stable")
    return quads[order][(convex & (badness < -0.05))[order]]


def flip_edges(vertices_m: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """One round of flips towards a Delaunay triangulation; faces (F, 3) -> (F, 3)."""
    face_of = {}
    for index, (a, b, c) in enumerate(faces.tolist()):
        face_of.update({(a, b): index, (b, c): index, (c, a): index})
    touched: set[int] = set()
    faces = faces.copy()
    for a, b, c, d in _flip_candidates(vertices_m, faces).tolist():
        pair = {face_of[a, b], face_of[b, a]}
        if pair & touched or (c, d) in face_of or (d, c) in face_of:
            continue
        faces[face_of[a, b]], faces[face_of[b, a]] = (a, d, c), (b, c, d)
        face_of[c, d] = face_of[d, c] = -1
        touched |= pair
    return faces


def slide(vertices_m: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Moves each vertex along the surface towards the weighted mean of its neighbours.

    Weights fall with the wanted edge length, which keeps details dense. Border vertices move along
    the border only.
    """
    on_border = vertices_m[:, 0] == 0
    links = adjacency(faces, len(vertices_m)).tocoo()
    weight = 1.0 / wanted_edge(vertices_m)[links.col] ** 2
    weight[on_border[links.row] & ~on_border[links.col]] = 0.0
    total = np.bincount(links.row, weight, len(vertices_m))
    target = np.stack(
        [
            np.bincount(links.row, weight * vertices_m[links.col, axis], len(vertices_m))
            for axis in range(3)
        ],
        axis=1,
    )
    moved = vertices_m + RELAX_STEP * (target / total[:, None] - vertices_m)
    moved[on_border, 0] = 0.0
    return to_surface(moved, steps=2)


def relax(vertices_m: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Alternates flips and sliding; the numbers of vertices and faces do not change."""
    for _ in range(RELAX_ROUNDS):
        faces = flip_edges(vertices_m, faces)
        vertices_m = slide(vertices_m, faces)
    return to_surface(vertices_m), flip_edges(vertices_m, faces)


def mirror_whole(
    vertices_m: np.ndarray, faces: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Adds the mirrored right half; both halves share the vertices on x = 0.

    Returns:
        vertices_m (W, 3): the left half, then the mirror images of its inner vertices;
        faces (2 F, 3); and the index of each vertex's mirror image (W,).
    """
    inner = np.flatnonzero(vertices_m[:, 0] != 0)
    partner = np.arange(len(vertices_m))
    partner[inner] = len(vertices_m) + np.arange(len(inner))
    whole_m = np.concatenate([vertices_m, vertices_m[inner] * [-1.0, 1.0, 1.0]])
    return (
        whole_m,
        np.concatenate([faces, partner[faces][:, ::-1]]),
        np.concatenate([partner, inner]),
    )
