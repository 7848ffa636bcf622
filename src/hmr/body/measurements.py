"""Tape measurements of a shaped body in its rest pose.

They hold for the estimated body. A single photograph does not determine its scale: a tall person
far away and a short one nearby look alike. If the height is known, all of them are scaled to it.
"""

from __future__ import annotations

import numpy as np

from hmr.body.joints import SMPL_JOINT_KINDS, SMPL_JOINTS
from hmr.body.model_file import BodyModel, rest_body
from hmr.errors import UserError

DEFINITIONS = {
    "height": "top of the head to the soles, upright",
    "chest": "horizontal girth of the trunk, without the arms, at the level of the joint spine3",
    "waist": "smallest horizontal girth of the trunk between the joints spine2 and pelvis",
    "hip": "largest horizontal girth between the joint pelvis and a sixth of the thigh's length "
    "below the hip joints",
    "shoulder_width": "between the shoulder joints",
    "trunk": "joint pelvis to joint neck",
    "upper_arm": "shoulder joint to elbow joint, mean of both sides",
    "forearm": "elbow joint to wrist joint, mean of both sides",
    "thigh": "hip joint to knee joint, mean of both sides",
    "shin": "knee joint to ankle joint, mean of both sides",
}
CAVEAT = (
    "Metres, from the estimated shape. The scale of a person in a single photograph is ambiguous; "
    "multiply by known height / estimated height where the height is known."
)
_LIMBS = {
    "upper_arm": ("shoulder", "elbow"),
    "forearm": ("elbow", "wrist"),
    "thigh": ("hip", "knee"),
    "shin": ("knee", "ankle"),
}
_ARM_PARTS = ("shoulder", "elbow", "wrist", "hand")
_SEARCHED_LEVELS = 40
_BELOW_HIPS = 1 / 6


def measure(body: BodyModel, beta: np.ndarray, height_m: float | None = None) -> dict[str, float]:
    """The measurements of `DEFINITIONS`, metres.

    A girth is the length of the convex hull of a horizontal cut, since a tape spans hollows.

    Args:
        body: the body model.
        beta: (10,) shape.
        height_m: the person's real height, if known; all measurements are scaled to it.

    Raises:
        UserError: the height is not positive.
    """
    if height_m is not None and not 0 < height_m < np.inf:
        raise UserError(f"the height must be positive metres, got {height_m}")
    vertices, places = rest_body(body, beta)
    joints = dict(zip(SMPL_JOINTS, places, strict=True))
    figures = {"height": float(np.ptp(vertices[:, 1])), **_girths(body, vertices, joints)}
    figures.update(_lengths(joints))
    scale = 1.0 if height_m is None else height_m / figures["height"]
    return {name: figures[name] * scale for name in DEFINITIONS}


def _girths(
    body: BodyModel, vertices: np.ndarray, joints: dict[str, np.ndarray]
) -> dict[str, float]:
    trunk = _faces_without_arms(body)
    level = {name: place[1] for name, place in joints.items()}
    hips = (level["left_hip"] + level["right_hip"]) / 2
    thigh = hips - (level["left_knee"] + level["right_knee"]) / 2

    def between(upper: float, lower: float) -> list[float]:
        levels = np.linspace(upper, lower, _SEARCHED_LEVELS)
        return [girth(vertices, trunk, y) for y in levels]

    return {
        "chest": girth(vertices, trunk, level["spine3"]),
        "waist": float(np.nanmin(between(level["spine2"], level["pelvis"]))),
        "hip": float(np.nanmax(between(level["pelvis"], hips - _BELOW_HIPS * thigh))),
    }


def _faces_without_arms(body: BodyModel) -> np.ndarray:
    is_arm = [kind in _ARM_PARTS for kind in SMPL_JOINT_KINDS]
    arm = body.lbs_weights[:, is_arm].sum(axis=1) > 0.5
    return body.faces[~arm[body.faces].any(axis=1)]


def girth(vertices: np.ndarray, faces: np.ndarray, y: float) -> float:
    """Length of a tape around a mesh at the height y: the perimeter of the cut's convex hull.

    Args:
        vertices: (V, 3) metres, y up.
        faces: (F, 3).
        y: height of the cut, metres.

    Returns:
        metres; nan if the cut misses the mesh or only touches it.
    """
    from scipy.spatial import ConvexHull, QhullError  # takes a fifth of a second to import

    points = _cut(np.asarray(vertices, np.float64), faces, y)
    if len(points) < 3:
        return float("nan")

    try:
        # In two dimensions, Qhull's "area" is the perimeter.
        return float(ConvexHull(points).area)
    except QhullError:
        return float("nan")


def _cut(vertices: np.ndarray, faces: np.ndarray, y: float) -> np.ndarray:
    """(N, 2) points x, z where edges of the faces cross the plane at height y."""
    below = (vertices[:, 1] < y)[faces]  # (F, 3)
    sides = ((0, 1), (1, 2), (2, 0))
    edges = np.concatenate([faces[below[:, a] != below[:, b]][:, [a, b]] for a, b in sides])
    start, end = vertices[edges[:, 0]], vertices[edges[:, 1]]
    part = (y - start[:, 1]) / (end[:, 1] - start[:, 1])
    return (start + part[:, None] * (end - start))[:, [0, 2]]


def _lengths(joints: dict[str, np.ndarray]) -> dict[str, float]:
    def between(first: str, second: str) -> float:
        return float(np.linalg.norm(joints[first] - joints[second]))

    lengths = {
        "shoulder_width": between("left_shoulder", "right_shoulder"),
        "trunk": between("pelvis", "neck"),
    }
    for name, (upper, lower) in _LIMBS.items():
        sides = [between(f"{side}_{upper}", f"{side}_{lower}") for side in ("left", "right")]
        lengths[name] = float(np.mean(sides))
    return lengths
