"""Pose blend shapes of the stand-in body: what keeps limbs full where they bend.

When one joint turns by R, linear blend skinning maps a vertex p (seen from the joint, of which
the share s moves with the joint) to ((1 - s) I + s R) p, which loses length as the turn grows.
The wanted place is p turned by the share s of the same turn, which keeps its distance to the
joint. For each s, the correction that is linear in R - I and best meets this over the joint's
range of turns is a small least-squares problem; it is linear in p as well, so it is solved on a
grid of s and interpolated.
"""

import numpy as np

from hmr.body.joints import SMPL_JOINTS
from hmr.body.standin.rig import NUM_JOINTS, shares_from_weights, smooth_step

NUM_SHARES = 33
NUM_AXES = 40
RIDGE = 0.02
# largest angle (degrees) that each joint is fitted for
RANGE_DEG = {
    "hip": 115.0, "knee": 140.0, "ankle": 55.0, "foot": 45.0, "spine1": 50.0, "spine2": 50.0,
    "spine3": 45.0, "neck": 60.0, "head": 60.0, "collar": 40.0, "shoulder": 110.0,
    "elbow": 145.0, "wrist": 80.0, "hand": 60.0,
}  # fmt: skip
# joints that turn about one axis: the turns fitted are about it, give or take (the forearm twists)
HINGES = {"knee": ((1.0, 0.0, 0.0), 0.25), "elbow": ((0.0, 1.0, 0.0), 0.70)}
# The skin between the legs hangs on both hips at once; corrections for the two would add up there,
# so they grow from this share in the middle to all at this distance from it (m).
HIP_MIDDLE_SHARE, HIP_FADE_M = 0.3, 0.10


def axis_angle_matrices(axes: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Rodrigues' formula; unit axes (N, 3), angles (N,) in radians -> (N, 3, 3)."""
    x, y, z = axes.T
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)
    s, c = np.sin(angles)[:, None, None], np.cos(angles)[:, None, None]
    return np.eye(3) + s * cross + (1.0 - c) * (cross @ cross)


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
    """Solves A (p + D(p) f) = target(p) for one share; returns D as (3, 9, 3): out, feature, in."""
    turn = axis_angle_matrices(axes, angles)
    feature = (turn - np.eye(3)).reshape(-1, 9)
    skin = (1.0 - share) * np.eye(3) + share * turn
    half = np.arctan2(share * np.sin(angles), 1.0 - share + share * np.cos(angles))
    target = axis_angle_matrices(axes, half) - skin
    system = np.einsum("noc,nf->nocf", skin, feature).reshape(-1, 27)
    normal = system.T @ system / len(turn) + RIDGE * np.eye(27) * share * (1.0 - share)
    normal += 1e-9 * np.eye(27)
    return np.linalg.solve(normal, system.T @ target.reshape(-1, 3) / len(turn)).reshape(3, 9, 3)


def _fit_kind(kind: str) -> np.ndarray:
    axes, angles = sample_turns(kind)
    return np.stack([_fit_share(s, axes, angles) for s in np.linspace(0.0, 1.0, NUM_SHARES)])


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
    tables = {kind: _fit_kind(kind) for kind in RANGE_DEG}
    shapes = np.zeros((len(vertices_m), 3, NUM_JOINTS - 1, 9))
    for joint in range(1, NUM_JOINTS):
        kind = SMPL_JOINTS[joint].removeprefix("left_").removeprefix("right_")
        share = shares[:, joint]
        moved = np.flatnonzero((share > 1e-6) & (share < 1.0 - 1e-6))
        matrix = _interpolate(tables[kind], share[moved])
        offset = vertices_m[moved] - joints_m[joint]
        if kind == "hip":
            matrix *= _hip_fade(vertices_m[moved])[:, None, None, None]
        shapes[moved, :, joint - 1] = np.einsum("vofi,vi->vof", matrix, offset)
    return shapes.reshape(len(vertices_m), 3, -1)
