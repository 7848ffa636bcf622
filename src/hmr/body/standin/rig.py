"""The skeleton inside the stand-in body, skinning weights, and pose blend shapes.

Skinning: each joint except the root cuts the body with a soft plane; the joint carries the part
beyond the plane. Multiplying the cuts along the kinematic chain gives the share of a vertex that
moves with a joint's whole sub-tree; a skinning weight is that share minus the shares of the joint's
children.

Pose blend shapes keep limbs from collapsing where they bend. When one joint turns by R, linear
blend skinning maps a vertex p (relative to the joint, with the share s) to ((1 - s) I + s R) p,
which becomes shorter as the turn grows. The wanted position is p turned by the share s of the same
turn, which keeps its distance to the joint. For each s, the correction that is linear in R - I and
fits this best over the joint's range of turns is a small least-squares problem. The correction is
linear in p as well, so it is solved on a grid of s and interpolated.
"""

import numpy as np
from scipy import sparse
from scipy.spatial.transform import Rotation

from hmr.body.joints import SMPL_FLIP, SMPL_JOINT_KINDS, SMPL_JOINTS, SMPL_PARENTS
from hmr.body.model_file import NUM_JOINTS
from hmr.body.standin.form import Vector, on_left
from hmr.body.standin.mesh import smooth

MAX_INFLUENCES = 4
SMOOTHING_ROUNDS = 4
MIN_WEIGHT = 1e-4

# Rest-pose joints, left side and middle, in metres.
JOINTS_M = {
    "pelvis": (0.000, -0.220, 0.000),
    "left_hip": (0.078, -0.310, 0.000),
    "spine1": (0.000, -0.120, -0.010),
    "left_knee": (0.104, -0.690, 0.006),
    "spine2": (0.000, 0.010, -0.015),
    "left_ankle": (0.090, -1.075, -0.030),
    "spine3": (0.000, 0.085, -0.015),
    "left_foot": (0.115, -1.135, 0.080),
    "neck": (0.000, 0.275, -0.015),
    "left_collar": (0.070, 0.205, -0.015),
    "head": (0.000, 0.355, 0.005),
    "left_shoulder": (0.178, 0.222, -0.018),
    "left_elbow": (0.435, 0.215, -0.041),
    "left_wrist": (0.690, 0.225, -0.045),
    "left_hand": (0.775, 0.221, -0.050),
}
# joint -> a point of the cutting plane, its normal (towards the carried part), half width of the
# transition (m); the widths follow how far skin is drawn along around each joint.
CUTS = {
    "left_hip": ((0.082, -0.325, -0.005), (0.52, -0.85, 0.08), 0.085),
    "spine1": ((0.000, -0.130, 0.000), (0.00, 1.00, 0.00), 0.085),
    "left_knee": ((0.104, -0.690, 0.006), (0.00, -1.00, 0.00), 0.062),
    "spine2": ((0.000, -0.005, 0.000), (0.00, 1.00, 0.00), 0.075),
    "left_ankle": ((0.090, -1.078, -0.030), (0.00, -0.88, 0.47), 0.036),
    "spine3": ((0.000, 0.085, 0.000), (0.00, 1.00, 0.00), 0.070),
    "left_foot": ((0.115, -1.135, 0.078), (0.00, 0.00, 1.00), 0.032),
    "neck": ((0.000, 0.277, -0.010), (0.00, 0.97, 0.24), 0.045),
    "left_collar": ((0.078, 0.215, -0.015), (0.90, -0.43, 0.00), 0.062),
    "head": ((0.000, 0.352, 0.010), (0.00, 0.88, 0.47), 0.036),
    "left_shoulder": ((0.172, 0.215, -0.018), (0.88, 0.47, 0.00), 0.066),
    "left_elbow": ((0.435, 0.215, -0.041), (1.00, 0.00, 0.00), 0.050),
    "left_wrist": ((0.690, 0.225, -0.045), (1.00, 0.00, 0.00), 0.032),
    "left_hand": ((0.779, 0.221, -0.050), (1.00, 0.00, 0.00), 0.026),
}
# joint -> further soft planes that bound the carried part: they separate the legs from each other
# and from the arms, the neck from the shoulders, and the collar bones from the ribs below.
BOUNDS = {
    "left_hip": (
        ((0.000, -0.400, 0.000), (1.0, 0.0, 0.0), 0.018),
        ((0.000, -0.150, 0.000), (0.0, -1.0, 0.0), 0.050),
    ),
    "neck": (((0.115, 0.300, 0.000), (-1.0, 0.0, 0.0), 0.040),),
    "left_collar": (((0.100, 0.115, 0.000), (0.3, 1.0, 0.0), 0.065),),
}

NUM_SHARES = 33
NUM_AXES = 40
RIDGE = 0.02
# largest angle (degrees) that each joint is fitted for
RANGE_DEG = {
    "hip": 115.0, "knee": 140.0, "ankle": 55.0, "foot": 45.0, "spine1": 50.0, "spine2": 50.0,
    "spine3": 45.0, "neck": 60.0, "head": 60.0, "collar": 40.0, "shoulder": 110.0,
    "elbow": 145.0, "wrist": 80.0, "hand": 60.0,
}  # fmt: skip
# joints that turn about one axis -> the axis, and how far the fitted axes spread around it (the
# forearm twists)
HINGES = {"knee": ((1.0, 0.0, 0.0), 0.25), "elbow": ((0.0, 1.0, 0.0), 0.70)}
# The skin between the legs moves with both hips, where the corrections of both would add up. They
# grow from this share in the middle of the body to 1 at this distance from it (m).
HIP_MIDDLE_SHARE, HIP_FADE_M = 0.3, 0.10


def rest_joints_m() -> np.ndarray:
    """The joints of the figure in SMPL's order, (24, 3) in metres."""
    left = np.array([JOINTS_M.get(name, (0.0, 0.0, 0.0)) for name in SMPL_JOINTS])
    has_left = np.array([name in JOINTS_M for name in SMPL_JOINTS])
    mirrored = left[SMPL_FLIP] * [-1.0, 1.0, 1.0]
    return np.where(has_left[:, None], left, mirrored)


def smooth_step(x: np.ndarray) -> np.ndarray:
    """0 below -1, 1 above 1, smooth (C2) between."""
    t = np.clip((x + 1.0) / 2.0, 0.0, 1.0)
    return t**3 * (t * (6.0 * t - 15.0) + 10.0)


def _soft_plane(
    points_m: np.ndarray, point: Vector, normal: Vector, half_width_m: float
) -> np.ndarray:
    unit = np.asarray(normal) / np.linalg.norm(normal)
    return smooth_step((points_m - point) @ unit / half_width_m)


def _cut(points_m: np.ndarray, name: str) -> np.ndarray:
    """Share of each point beyond one joint's plane, (V,).

    Right joints use mirrored points; joints in the middle treat both halves alike.
    """
    if name.startswith("right_"):
        return _cut(points_m * [-1.0, 1.0, 1.0], name.replace("right_", "left_"))
    if not name.startswith("left_"):
        points_m = on_left(points_m)
    share = _soft_plane(points_m, *CUTS[name])
    for bound in BOUNDS.get(name, ()):
        share = share * _soft_plane(points_m, *bound)
    return share


def subtree_shares(points_m: np.ndarray) -> np.ndarray:
    """Share (V, 24) of each point that moves with each joint's whole sub-tree; 1 for the root."""
    shares = np.ones((len(points_m), NUM_JOINTS))
    for joint in range(1, NUM_JOINTS):
        shares[:, joint] = shares[:, SMPL_PARENTS[joint]] * _cut(points_m, SMPL_JOINTS[joint])
    return shares


def weights_from_shares(shares: np.ndarray) -> np.ndarray:
    """Skinning weights (V, 24): a joint's share minus those of its children, none negative."""
    weights = shares.copy()
    for joint in range(1, NUM_JOINTS):
        weights[:, SMPL_PARENTS[joint]] -= shares[:, joint]
    weights = np.maximum(weights, 0.0)
    return weights / weights.sum(axis=1, keepdims=True)


def shares_from_weights(weights: np.ndarray) -> np.ndarray:
    """The inverse of `weights_from_shares`: sums of weights over each joint's sub-tree."""
    shares = weights.copy()
    for joint in range(NUM_JOINTS - 1, 0, -1):
        shares[:, SMPL_PARENTS[joint]] += shares[:, joint]
    return shares


def keep_strongest(weights: np.ndarray) -> np.ndarray:
    """Keeps at most `MAX_INFLUENCES` weights of each row of (V, 24) and normalises them.

    The largest weight that must go is subtracted from all weights, so that the result stays smooth
    over the surface, and mirror-symmetric where two weights are equal.
    """
    excess = -np.sort(-weights, axis=1)[:, MAX_INFLUENCES : MAX_INFLUENCES + 1]
    kept = weights - excess
    kept[kept < MIN_WEIGHT] = 0.0
    return kept / kept.sum(axis=1, keepdims=True)


def skinning_weights(vertices_m: np.ndarray, links: sparse.csr_matrix) -> np.ndarray:
    """Skinning weights (V, 24), at most four per vertex.

    Args:
        vertices_m: rest vertices (V, 3).
        links: vertex adjacency (V, V), used to smooth the weights over the surface.
    """
    weights = weights_from_shares(subtree_shares(vertices_m))
    return keep_strongest(smooth(weights, links, SMOOTHING_ROUNDS))


def axis_angle_matrices(axes: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Unit axes (N, 3) and angles (N,) in radians to rotation matrices (N, 3, 3)."""
    return Rotation.from_rotvec(angles[:, None] * axes).as_matrix()


def _sphere(count: int) -> np.ndarray:
    """Evenly spread unit vectors (count, 3): a Fibonacci spiral."""
    i = np.arange(count) + 0.5
    polar, turn = np.arccos(1.0 - 2.0 * i / count), np.pi * (1.0 + 5.0**0.5) * i
    return np.stack(
        [np.cos(turn) * np.sin(polar), np.sin(turn) * np.sin(polar), np.cos(polar)], axis=1
    )


def sample_turns(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Axes (N, 3) and angles (N,) in radians over the range of one kind of joint."""
    axes = _sphere(NUM_AXES)
    if kind in HINGES:
        hinge, spread = np.asarray(HINGES[kind][0]), HINGES[kind][1]
        axes = hinge * np.where(axes @ hinge < 0, -1.0, 1.0)[:, None] + spread * axes
        axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    angles = np.deg2rad(RANGE_DEG[kind]) * np.array([0.25, 0.5, 0.75, 1.0])
    return np.repeat(axes, len(angles), axis=0), np.tile(angles, len(axes))


def _fit_share(share: float, axes: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Solves A (p + D(p) f) = target(p) for one share s, where A is the skinning and f is R - I.

    Returns:
        D, (3, 9, 3): output coordinate, entry of f, coordinate of p.
    """
    turn = axis_angle_matrices(axes, angles)
    feature = (turn - np.eye(3)).reshape(-1, 9)
    skin = (1.0 - share) * np.eye(3) + share * turn
    half = np.arctan2(share * np.sin(angles), 1.0 - share + share * np.cos(angles))
    target = axis_angle_matrices(axes, half) - skin
    system = np.einsum("noc,nf->nocf", skin, feature).reshape(-1, 27)
    normal = system.T @ system / len(turn) + RIDGE * np.eye(27) * share * (1.0 - share)
    normal += 1e-9 * np.eye(27)  # (27, 27), 27 = 9 entries of f times 3 coordinates of p
    return np.linalg.solve(normal, system.T @ target.reshape(-1, 3) / len(turn)).reshape(3, 9, 3)


def _interpolate(table: np.ndarray, shares: np.ndarray) -> np.ndarray:
    position = np.clip(shares, 0.0, 1.0) * (NUM_SHARES - 1)
    low = np.minimum(position.astype(int), NUM_SHARES - 2)
    t = (position - low)[:, None, None, None]
    return (1.0 - t) * table[low] + t * table[low + 1]


def _hip_fade(points_m: np.ndarray) -> np.ndarray:
    growth = smooth_step(2.0 * np.abs(points_m[:, 0]) / HIP_FADE_M - 1.0)
    return HIP_MIDDLE_SHARE + (1.0 - HIP_MIDDLE_SHARE) * growth


def pose_blend_shapes(
    vertices_m: np.ndarray, joints_m: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Displacements per entry of R_1..R_23 - I, row-major; (V, 3, 207) in metres."""
    shares = shares_from_weights(weights)
    steps = np.linspace(0.0, 1.0, NUM_SHARES)
    tables = {k: np.stack([_fit_share(s, *sample_turns(k)) for s in steps]) for k in RANGE_DEG}
    shapes = np.zeros((len(vertices_m), 3, NUM_JOINTS - 1, 9))
    for joint in range(1, NUM_JOINTS):
        kind, share = SMPL_JOINT_KINDS[joint], shares[:, joint]
        moved = np.flatnonzero((share > 1e-6) & (share < 1.0 - 1e-6))
        matrix = _interpolate(tables[kind], share[moved])
        offset = vertices_m[moved] - joints_m[joint]
        if kind == "hip":
            matrix *= _hip_fade(vertices_m[moved])[:, None, None, None]
        shapes[moved, :, joint - 1] = np.einsum("vofi,vi->vof", matrix, offset)
    return shapes.reshape(len(vertices_m), 3, -1)  # (V, 3, 207)
