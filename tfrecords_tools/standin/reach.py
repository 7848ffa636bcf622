"""Tells poses whose arms pass through the body, by where elbows and wrists lie."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from hmr.body.joints import SMPL_JOINTS, SMPL_PARENTS
from hmr.body.standin.rig import rest_joints_m

ARM_JOINTS = tuple(
    SMPL_JOINTS.index(f"{side}_{name}")
    for side in ("left", "right")
    for name in ("elbow", "wrist", "hand")
)
SOLIDS = (
    ("pelvis", (0.0, -0.02, -0.005), (0.135, 0.12, 0.085)),
    ("spine1", (0.0, 0.02, 0.0), (0.12, 0.12, 0.08)),
    ("spine3", (0.0, 0.03, -0.005), (0.14, 0.16, 0.09)),
    ("head", (0.0, 0.075, 0.01), (0.07, 0.11, 0.085)),
    ("left_hip", (0.0, -0.2, 0.0), (0.055, 0.19, 0.055)),
    ("right_hip", (0.0, -0.2, 0.0), (0.055, 0.19, 0.055)),
)
"""Ellipsoids inside the body: the joint that carries each, its centre and radii, metres."""


def arms_are_free(pose: np.ndarray) -> np.ndarray:
    """Which poses (N, 72) keep elbows, wrists and hands out of trunk, head and thighs; (N,) bool.

    Measured on the stand-in body's mean shape.
    """
    turns, places_m = _pose_joints(pose.reshape(-1, len(SMPL_JOINTS), 3))
    free = np.ones(len(pose), bool)
    for name, centre, radii in SOLIDS:
        carrier = SMPL_JOINTS.index(name)
        for joint in ARM_JOINTS:
            offset = turns[carrier].inv().apply(places_m[joint] - places_m[carrier])
            free &= (((offset - centre) / np.array(radii)) ** 2).sum(axis=1) > 1.0
    return free


def _pose_joints(pose: np.ndarray) -> tuple[list[Rotation], list[np.ndarray]]:
    """For each joint its rotations and its places (N, 3), metres, in poses (N, 24, 3)."""
    rest = rest_joints_m()
    turns = [Rotation.from_rotvec(pose[:, 0])]
    places = [np.zeros((len(pose), 3))]
    for joint in range(1, len(SMPL_JOINTS)):
        parent = SMPL_PARENTS[joint]
        places.append(places[parent] + turns[parent].apply(rest[joint] - rest[parent]))
        turns.append(turns[parent] * Rotation.from_rotvec(pose[:, joint]))
    return turns, places
