"""The ten shape components of the stand-in body.

A component stretches the body part of each joint along x, y and z about that joint (in T-pose these
are the directions of the bones), moves the joint's children accordingly, and adds soft bumps. One
unit of beta is about one standard deviation among adults of both sexes.
"""

import numpy as np
from scipy import sparse

from hmr.body.joints import SMPL_JOINT_KINDS, SMPL_PARENTS
from hmr.body.model_file import NUM_JOINTS
from hmr.body.standin.mesh import smooth

SHAPE_NAMES = (
    "height", "girth", "leg length", "arm length", "shoulder width", "hip width", "belly", "chest",
    "limb thickness", "head and neck",
)  # fmt: skip
SMOOTHING_ROUNDS = 12

TRUNK = ("pelvis", "spine1", "spine2", "spine3")
# component -> joints (without side) -> relative stretch along x, y, z
STRETCHES = {
    "height": (
        (TRUNK, (0.030, 0.048, 0.025)),
        (("hip", "knee"), (0.028, 0.062, 0.028)),
        (("ankle", "foot"), (0.040, 0.040, 0.050)),
        (("collar",), (0.040, 0.030, 0.025)),
        (("shoulder", "elbow"), (0.058, 0.028, 0.028)),
        (("wrist", "hand"), (0.050, 0.035, 0.040)),
        (("neck",), (0.025, 0.050, 0.025)),
        (("head",), (0.018, 0.020, 0.018)),
    ),
    "girth": (
        (("pelvis",), (0.075, 0.000, 0.070)),
        (("spine1", "spine2"), (0.085, 0.000, 0.085)),
        (("spine3",), (0.060, 0.000, 0.070)),
        (("collar",), (0.020, 0.050, 0.070)),
        (("hip",), (0.075, 0.000, 0.075)),
        (("knee",), (0.055, 0.000, 0.055)),
        (("ankle", "foot"), (0.030, 0.000, 0.010)),
        (("shoulder",), (0.000, 0.080, 0.080)),
        (("elbow",), (0.000, 0.055, 0.055)),
        (("wrist", "hand"), (0.000, 0.040, 0.025)),
        (("neck",), (0.060, 0.000, 0.060)),
        (("head",), (0.018, 0.000, 0.012)),
    ),
    "leg length": ((("hip", "knee"), (0.005, 0.045, 0.005)),),
    "arm length": (
        (("shoulder", "elbow"), (0.042, 0.004, 0.004)),
        (("wrist", "hand"), (0.025, 0.010, 0.010)),
    ),
    "shoulder width": (
        (("collar",), (0.100, 0.020, 0.020)),
        (("spine3",), (0.045, 0.000, 0.015)),
        (("spine2",), (0.020, 0.000, 0.000)),
    ),
    "hip width": (
        (("pelvis",), (0.060, 0.000, 0.030)),
        (("spine1",), (0.025, 0.000, 0.010)),
        (("hip",), (0.040, 0.000, 0.025)),
    ),
    "belly": ((("spine1", "spine2"), (0.020, 0.000, 0.010)),),
    "chest": ((("spine3",), (0.012, 0.000, 0.030)), (("spine2",), (0.008, 0.000, 0.012))),
    "limb thickness": (
        (("hip", "knee"), (0.060, 0.000, 0.060)),
        (("shoulder", "elbow"), (0.000, 0.070, 0.070)),
        (("collar",), (0.010, 0.040, 0.040)),
        (("wrist", "hand"), (0.000, 0.030, 0.030)),
        (("neck",), (0.040, 0.000, 0.040)),
    ),
    "head and neck": (
        (("head",), (0.032, 0.032, 0.032)),
        (("neck",), (0.010, 0.090, 0.010)),
    ),
}
# component -> centre, radii and displacement in metres of a soft bump
BUMPS = {
    "girth": (((0.000, -0.100, 0.090), (0.120, 0.110, 0.090), (0.000, -0.002, 0.010)),),
    "hip width": (((0.085, -0.280, -0.110), (0.080, 0.090, 0.070), (0.000, 0.000, -0.008)),),
    "belly": (((0.000, -0.110, 0.090), (0.125, 0.110, 0.100), (0.000, -0.003, 0.020)),),
    "chest": (((0.075, 0.105, 0.100), (0.065, 0.055, 0.060), (0.001, -0.003, 0.013)),),
}


def _stretch_table(component: str) -> np.ndarray:
    """Relative stretch of each joint's part along x, y, z; (24, 3)."""
    by_kind = {kind: value for kinds, value in STRETCHES[component] for kind in kinds}
    return np.array([by_kind.get(kind, (0.0, 0.0, 0.0)) for kind in SMPL_JOINT_KINDS])


def joint_displacements(joints_m: np.ndarray, stretch: np.ndarray) -> np.ndarray:
    """Displacements (24, 3) of the joints by one unit: each follows its parent's stretched part."""
    moved = np.zeros_like(joints_m)
    for joint in range(1, NUM_JOINTS):
        parent = SMPL_PARENTS[joint]
        moved[joint] = moved[parent] + stretch[parent] * (joints_m[joint] - joints_m[parent])
    return moved


def _bumps(points_m: np.ndarray, component: str) -> np.ndarray:
    """Soft bumps on the left side and their mirror images on the right; (V, 3)."""
    side = np.sign(points_m[:, :1]) * [[1, 0, 0]] + [[0, 1, 1]]
    total = np.zeros_like(points_m)
    for centre, radii, displacement in BUMPS.get(component, ()):
        offset = (points_m * side - centre) / np.asarray(radii)
        total += np.exp(-np.sum(offset**2, axis=1))[:, None] * displacement
    return total * side


def shape_blend_shapes(
    vertices_m: np.ndarray, joints_m: np.ndarray, weights: np.ndarray, links: sparse.csr_matrix
) -> tuple[np.ndarray, np.ndarray]:
    """The shape components and the joint movements that go with them.

    Args:
        vertices_m: rest vertices (V, 3).
        joints_m: rest joints (24, 3).
        weights: skinning weights (V, 24).
        links: vertex adjacency (V, V), used to smooth the components over the surface.

    Returns:
        Vertex displacements (V, 3, 10) and joint displacements (24, 3, 10), metres per unit beta.
    """
    vertex_shapes, joint_shapes = [], []
    for component in SHAPE_NAMES:
        stretch = _stretch_table(component)
        joint_shapes.append(joint_displacements(joints_m, stretch))
        fixed = joint_shapes[-1] - stretch * joints_m
        moved = weights @ fixed + (weights @ stretch) * vertices_m + _bumps(vertices_m, component)
        vertex_shapes.append(smooth(moved, links, SMOOTHING_ROUNDS))
    return np.stack(vertex_shapes, axis=-1), np.stack(joint_shapes, axis=-1)
