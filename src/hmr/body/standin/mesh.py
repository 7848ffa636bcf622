"""Simplifies the half surface to the wanted number of vertices.

Edges are collapsed shortest first, relative to a wanted edge length that varies over the body,
where that keeps the surface a manifold (link condition) and every triangle facing outward.
"""

import heapq

import numpy as np
from scipy import sparse

from hmr.body.standin.form import body_field, field_gradient

MAX_VALENCE = 9
MIN_COSINE = 0.15
# centre (m), radii (m), wanted edge length there relative to the trunk's
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


def wanted_edge(points_m: np.ndarray) -> np.ndarray:
    """Edge length to aim at, relative to the trunk's; points (N, 3) -> (N,)."""
    length = np.ones(len(points_m))
    mirrored_m = np.abs(points_m * [1, 0, 0]) + points_m * [0, 1, 1]
    for centre, radii, relative in DETAIL:
        distance = np.linalg.norm((mirrored_m - centre) / np.asarray(radii), axis=1)
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
    """Which vertex goes, which stays and where: the border stays on the border."""
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
    """Collapses edges until the mirrored whole has `whole_count` vertices.

    Border vertices count once, all others twice.

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
