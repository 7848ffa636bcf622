"""Which of six body parts each vertex belongs to: from skinning weights, or from a user's file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hmr.body.joints import SMPL_JOINTS
from hmr.body.model_file import NUM_VERTICES, BodyModel
from hmr.errors import UserError
from hmr.evaluation.ply import read_vertex_colors

PARTS = ("background", "head", "torso", "right arm", "left arm", "right leg", "left leg")
"""Label -> name, the order of UP's part annotations (Lassner et al. 2017)."""

_PART_OF_JOINT = {
    "head": ("head",),
    "torso": (
        "pelvis", "spine1", "spine2", "spine3", "neck", "left_collar", "right_collar",
    ),
    "right arm": ("right_shoulder", "right_elbow", "right_wrist", "right_hand"),
    "left arm": ("left_shoulder", "left_elbow", "left_wrist", "left_hand"),
    "right leg": ("right_hip", "right_knee", "right_ankle", "right_foot"),
    "left leg": ("left_hip", "left_knee", "left_ankle", "left_foot"),
}  # fmt: skip

# The colours that UP's template-bodyparts.ply paints its 31 regions with, by part.
_UP_COLORS = {
    "head": ((225, 25, 48), (151, 3, 48), (12, 84, 47), (39, 31, 49)),
    "torso": (
        (167, 226, 58), (211, 249, 190), (155, 183, 93), (254, 249, 190), (181, 166, 208),
        (84, 90, 36), (37, 74, 97), (191, 191, 191),
    ),
    "right arm": ((255, 241, 0), (81, 25, 62), (250, 196, 7), (254, 99, 195), (254, 118, 0)),
    "left arm": ((38, 174, 73), (29, 32, 96), (4, 183, 244), (98, 255, 230), (82, 115, 252)),
    "right leg": ((111, 47, 168), (67, 32, 87), (165, 81, 53), (249, 122, 144), (219, 170, 122)),
    "left leg": ((46, 55, 145), (85, 31, 76), (249, 167, 173), (102, 251, 134), (248, 225, 150)),
}  # fmt: skip
_LARGEST_COLOR_DIFFERENCE = 4


@dataclass(frozen=True)
class VertexParts:
    """Labels (6890,) uint8, 1 to 6 as in `PARTS`, and where they come from, for the header."""

    labels: np.ndarray
    source: str


def vertex_parts(body: BodyModel, path: str | Path | None = None) -> VertexParts:
    """The part of every vertex.

    Args:
        body: whose skinning weights decide where there is no file: a vertex belongs to the part of
            its strongest joint. UP counts the shoulders' caps as torso, skinning as arms.
        path: .npy of 6890 labels from 1 to 6, or UP's template-bodyparts.ply.

    Raises:
        UserError: the file is missing or holds something else.
    """
    if path is None:
        return VertexParts(_of_skinning(body), "skinning weights, each vertex by its strongest")
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no vertex parts at {path}. Leave --parts out to use skinning weights.")
    readers = {".npy": _read_npy, ".ply": _read_ply}
    if path.suffix not in readers:
        raise UserError(f"vertex parts are read from .npy or .ply. Received: {path}")
    return VertexParts(readers[path.suffix](path), str(path))


def _of_skinning(body: BodyModel) -> np.ndarray:
    of_joint = np.zeros(len(SMPL_JOINTS), np.uint8)
    for part, joints in _PART_OF_JOINT.items():
        of_joint[[SMPL_JOINTS.index(joint) for joint in joints]] = PARTS.index(part)
    return of_joint[np.argmax(body.lbs_weights, axis=1)]


def _read_npy(path: Path) -> np.ndarray:
    try:
        labels = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"{path} cannot be read as an array ({error}).") from error
    usable = labels.shape == (NUM_VERTICES,) and labels.dtype.kind in "iu"
    if not usable or labels.min() < 1 or labels.max() >= len(PARTS):
        raise UserError(
            f"{path} must hold {NUM_VERTICES} whole numbers from 1 to {len(PARTS) - 1} "
            f"({', '.join(PARTS[1:])}). Received: {labels.dtype} {labels.shape}"
        )
    return labels.astype(np.uint8)


def _read_ply(path: Path) -> np.ndarray:
    colors = read_vertex_colors(path).astype(np.int64)
    if len(colors) != NUM_VERTICES:
        raise UserError(f"{path} must hold {NUM_VERTICES} vertices. Received: {len(colors)}")
    known = np.array([color for group in _UP_COLORS.values() for color in group])
    labels = np.array([PARTS.index(part) for part, group in _UP_COLORS.items() for _ in group])
    differences = np.abs(colors[:, None] - known).max(axis=2)
    nearest = differences.argmin(axis=1)
    strange = np.flatnonzero(differences.min(axis=1) > _LARGEST_COLOR_DIFFERENCE)
    if len(strange):
        raise UserError(
            f"{path}: vertex {strange[0]} has colour {colors[strange[0]].tolist()}, which is none "
            "of UP's body regions. Expected template-bodyparts.ply."
        )
    return labels[nearest].astype(np.uint8)
