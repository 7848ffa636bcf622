"""Rasterises triangle meshes without display or OpenGL: one result on every machine.

Pixel convention (OpenCV's): the centre of the pixel in row i, column j lies at x = j, y = i.

The first bodies are drawn by arithmetic of whole arrays (`hmr.rendering.mesh_arrays`), so that a
single picture does not wait for numba. Once that may have cost half the time that the compiled
loops (`hmr.rendering.mesh_loops`) take to load, these draw all that comes, with the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import numpy as np

from hmr.rendering import mesh_arrays

BACKGROUND = -1
# Arrays take some 80 ns and up to 150 bytes a pixel; to load the loops takes 0.35 s.
_BY_ARRAYS_PX = 1 << 21
_asked_px = 0


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
    """Finds the nearest face at every pixel centre.

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

    Raises:
        IndexError: a face has a corner that is no vertex.
        ValueError: a shape is wrong.
    """
    vertices, faces = _checked(vertices_px, faces)
    mesh = _drawn_by(height * width)
    depth = np.full((height, width), np.inf, np.float32)
    face_id = np.full((height, width), BACKGROUND, np.int32)
    barycentric = np.zeros((height, width, 3), np.float32)
    mesh.draw_faces(vertices, faces, cull, depth, face_id)
    mesh.weigh_corners(vertices, faces, face_id, barycentric)
    return Raster(face_id, barycentric, depth)


def load_loops() -> None:
    """Has all that follows drawn by the compiled loops."""
    _drawn_by(_BY_ARRAYS_PX)


def _drawn_by(pixels: int) -> ModuleType:
    """What draws so many pixels more."""
    global _asked_px
    _asked_px += pixels
    if _asked_px < _BY_ARRAYS_PX:
        return mesh_arrays
    from hmr.rendering import mesh_loops

    return mesh_loops


def _checked(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    vertices, faces = np.ascontiguousarray(vertices, np.float64), np.ascontiguousarray(faces)
    if vertices.shape[1:] != (3,) or faces.shape[1:] != (3,):
        raise ValueError(
            f"vertices must be (V, 3) and faces (F, 3). Received: {vertices.shape}, {faces.shape}."
        )
    if faces.size and not 0 <= faces.min() <= faces.max() < len(vertices):
        raise IndexError(
            f"faces must index the {len(vertices)} vertices. "
            f"Received: {faces.min()} to {faces.max()}."
        )
    return vertices, faces


def interpolate(raster: Raster, faces: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Carries per-vertex values (V, C) to pixels: (H, W, C) float32, 0 on background."""
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
    vertices, faces = _checked(vertices, faces)
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    # Twice a face's area long, once for each of its corners: (F, 3) -> (3 F, 3).
    normals = np.repeat(np.cross(b - a, c - a), 3, axis=0)
    sums = [np.bincount(faces.reshape(-1), axis, len(vertices)) for axis in normals.T]
    total = np.stack(sums, axis=1)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return (total / np.where(length == 0, 1.0, length)).astype(np.float32)
