"""Every joint order, flip table and map between joint sets; no other module lists joints.

Left and right are those of the person. The orders follow the public documentation of each dataset.
"""

from __future__ import annotations

import numpy as np

SMPL_JOINTS = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2",
    "left_ankle", "right_ankle", "spine3", "left_foot", "right_foot", "neck", "left_collar",
    "right_collar", "head", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow",
    "left_wrist", "right_wrist", "left_hand", "right_hand",
)  # fmt: skip
# The same without the side: both knees are "knee".
SMPL_JOINT_KINDS = tuple(name.removeprefix("left_").removeprefix("right_") for name in SMPL_JOINTS)
SMPL_PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)

LSP14 = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle",
    "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
    "neck", "head_top",
)  # fmt: skip
FACE5 = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
COCOPLUS = LSP14 + FACE5

COCO17 = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
    "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
# How far annotators scatter at each joint, relative to the root of the person's area (COCO's
# keypoint evaluation).
COCO17_SIGMAS = np.array((
    0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107,
    0.087, 0.087, 0.089, 0.089,
))  # fmt: skip
# OpenPose's "neck" is the middle between the shoulders, not LSP's neck.
OPENPOSE18 = (
    "nose", "shoulder_middle", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder",
    "left_elbow", "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip",
    "left_knee", "left_ankle", "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip
# BODY_25 without toes and heels, which come last, and the MPI model.
OPENPOSE19 = (
    "nose", "shoulder_middle", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder",
    "left_elbow", "left_wrist", "hip_middle", "right_hip", "right_knee", "right_ankle", "left_hip",
    "left_knee", "left_ankle", "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip
OPENPOSE15 = (
    "head_top", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder",
    "left_elbow", "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee",
    "left_ankle", "chest",
)  # fmt: skip
# MPII's "thorax" (id 7) lies between the shoulders; its "upper neck" (id 8) is LSP's neck.
MPII16 = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis",
    "thorax", "neck", "head_top", "right_wrist", "right_elbow", "right_shoulder",
    "left_shoulder", "left_elbow", "left_wrist",
)  # fmt: skip
H36M32 = (
    "pelvis", "right_hip", "right_knee", "right_ankle", "right_toe_base", "right_toe_site",
    "left_hip", "left_knee", "left_ankle", "left_toe_base", "left_toe_site", "spine_base",
    "spine", "neck", "head", "head_top", "left_shoulder_chain", "left_shoulder", "left_elbow",
    "left_wrist", "left_thumb", "left_thumb_site", "left_wrist_end", "left_wrist_site",
    "right_shoulder_chain", "right_shoulder", "right_elbow", "right_wrist", "right_thumb",
    "right_thumb_site", "right_wrist_end", "right_wrist_site",
)  # fmt: skip
# The rows of the public regressor from SMPL's mesh to Human3.6M's joints.
H36M17_REGRESSED = (
    "pelvis", "left_hip", "left_knee", "left_ankle", "right_hip", "right_knee", "right_ankle",
    "spine", "neck", "jaw", "head_top", "left_shoulder", "left_elbow", "left_wrist",
    "right_shoulder", "right_elbow", "right_wrist",
)  # fmt: skip
MPI_INF_3DHP28 = (
    "spine3", "spine4", "spine2", "spine", "pelvis", "neck", "head", "head_top",
    "left_clavicle", "left_shoulder", "left_elbow", "left_wrist", "left_hand", "right_clavicle",
    "right_shoulder", "right_elbow", "right_wrist", "right_hand", "left_hip", "left_knee",
    "left_ankle", "left_foot", "left_toe", "right_hip", "right_knee", "right_ankle",
    "right_foot", "right_toe",
)  # fmt: skip
MPI_INF_3DHP17 = (
    "head_top", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder",
    "left_elbow", "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip",
    "left_knee", "left_ankle", "pelvis", "spine", "head",
)  # fmt: skip

# The bones of the skeleton, as pairs of indices, for drawing.
COCOPLUS_BONES = (
    (0, 1), (1, 2), (2, 12), (5, 4), (4, 3), (3, 12), (2, 3), (6, 7), (7, 8), (8, 12),
    (11, 10), (10, 9), (9, 12), (12, 13), (14, 15), (14, 16), (15, 17), (16, 18),
)  # fmt: skip

RIGHT_HIP, LEFT_HIP = LSP14.index("right_hip"), LSP14.index("left_hip")


def flip_permutation(names: tuple[str, ...]) -> np.ndarray:
    """The permutation p, (len(names),) int64, with `mirrored[i] = original[p[i]]`."""
    other = {"left": "right", "right": "left"}
    parts = (name.partition("_") for name in names)  # such as "left", "_", "knee"
    return np.array([names.index(other.get(side, side) + dash + end) for side, dash, end in parts])


COCOPLUS_FLIP = flip_permutation(COCOPLUS)
COCO17_FLIP = flip_permutation(COCO17)
LSP14_FLIP = flip_permutation(LSP14)
SMPL_FLIP = flip_permutation(SMPL_JOINTS)
# A mirror at the plane x = 0 keeps the x component of an axis-angle and negates y and z.
AXIS_ANGLE_FLIP_SIGN = np.array([1.0, -1.0, -1.0], np.float32)


def joint_map(source: tuple[str, ...], target: tuple[str, ...]) -> np.ndarray:
    """The index in `source` of every joint of `target`, -1 where `source` lacks the joint."""
    return np.array([source.index(name) if name in source else -1 for name in target])


def take_joints(values: np.ndarray, source: tuple[str, ...], target: tuple[str, ...]) -> np.ndarray:
    """Reorders joints by name.

    Args:
        values: (..., len(source), C).
    Returns:
        (..., len(target), C); joints that `source` lacks are zero.
    """
    index = joint_map(source, target)
    taken = np.asarray(values)[..., np.maximum(index, 0), :]
    return np.where((index >= 0)[:, None], taken, 0)
