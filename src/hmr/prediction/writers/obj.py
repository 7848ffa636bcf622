"""Bodies as files that other programs open: obj here, skinned glb in `gltf`, motion in `bvh`.

All of them have y up, x to the right and z towards the viewer, metres: the camera's axes (y down,
z away) turned by half a circle about x. A person who stands upright in the photograph stands
upright in the file and faces the viewer.
"""

from __future__ import annotations

import os

import numpy as np

from hmr.body.model_file import BodyModel
from hmr.files.whole import write_text

# Half a turn about x. It is its own inverse, and keeps faces counter-clockwise from outside.
Y_UP = np.diag([1.0, -1.0, -1.0])


def to_y_up(points_m: np.ndarray) -> np.ndarray:
    """Camera's axes (y down, z away) -> y up, z towards the viewer; (..., 3)."""
    return np.asarray(points_m, np.float64) @ Y_UP


def pose_correction(body: BodyModel, rotations: np.ndarray) -> np.ndarray:
    """Pose blend shapes (SMPL equation 9): (24, 3, 3) rotations -> (6890, 3) metres, rest pose."""
    feature = (np.asarray(rotations, np.float64)[1:] - np.eye(3)).reshape(-1)
    return body.posedirs @ feature


def write_obj(path: str | os.PathLike, vertices_m: np.ndarray, faces: np.ndarray) -> None:
    """Writes a Wavefront obj, y up, metres, six decimals (a micrometre).

    Args:
        path: of the file, written atomically.
        vertices_m: (V, 3) camera's axes.
        faces: (F, 3).
    """
    text = "# metres; y up, x right, z towards the viewer\n"
    text += _lines("v %.6f %.6f %.6f\n", to_y_up(vertices_m))
    text += _lines("f %d %d %d\n", np.asarray(faces) + 1)
    write_text(path, text)


def _lines(pattern: str, rows: np.ndarray) -> str:
    """Formats all rows in one call, which is ten times as fast as row by row."""
    return (pattern * len(rows)) % tuple(rows.reshape(-1).tolist())
