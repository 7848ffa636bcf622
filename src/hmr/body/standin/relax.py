"""Evens out the triangles of the half surface: Delaunay flips, sliding along the surface."""

import numpy as np

from hmr.body.standin.mesh import adjacency, edges_of, to_surface, wanted_edge

ROUNDS = 8
STEP = 0.6


def _cotangent(apex: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    u, v = a - apex, b - apex
    area = np.linalg.norm(np.cross(u, v), axis=1)
    return np.einsum("ec,ec->e", u, v) / np.maximum(area, 1e-12)


def _flip_candidates(vertices_m: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Rows (a, b, c, d): edge ab with opposite corners c and d, worst first, that fail Delaunay."""
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
    """Moves each vertex towards the weighted middle of its neighbours, within the surface.

    Neighbours weigh by the inverse of the wanted edge length, which keeps details dense. Border
    vertices move along the border only.
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
    moved = vertices_m + STEP * (target / total[:, None] - vertices_m)
    moved[on_border, 0] = 0.0
    return to_surface(moved, steps=2)


def relax(vertices_m: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Alternates flips and sliding; the number of vertices and faces stays."""
    for _ in range(ROUNDS):
        faces = flip_edges(vertices_m, faces)
        vertices_m = slide(vertices_m, faces)
    return to_surface(vertices_m), flip_edges(vertices_m, faces)


def mirror_partners(vertices_m: np.ndarray) -> np.ndarray:
    """Index of each whole-body vertex's mirror image, for half vertices (V, 3); (W,)."""
    inner = np.flatnonzero(vertices_m[:, 0] != 0)
    partner = np.arange(len(vertices_m))
    partner[inner] = len(vertices_m) + np.arange(len(inner))
    return np.concatenate([partner, inner])


def mirror_whole(vertices_m: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Adds the mirrored right half; both halves share the vertices on x = 0.

    Returns: vertices_m (W, 3): the left half, then the mirror images of its inner vertices;
    faces (2 F, 3).
    """
    partner = mirror_partners(vertices_m)
    inner = partner[len(vertices_m) :]
    whole_m = np.concatenate([vertices_m, vertices_m[inner] * [-1.0, 1.0, 1.0]])
    return whole_m, np.concatenate([faces, partner[faces][:, ::-1]])
