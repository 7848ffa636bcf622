"""The stand-in body: SMPL's exact structure around an invented figure, free of any licence.

Everything is computed from tables of measurements, without scans, fits or SMPL data. The same code
gives the same arrays each time, in a few seconds: the surface (`form`, `mesh`), skeleton and
skinning (`rig`), ten betas (`shapes`), and finally the regressors, below.

A row of a regressor computes a joint or keypoint from the vertices. It is a non-negative
least-squares fit on the vertices around its target: it must give the target in the rest pose and
follow it under the shape components, and keypoints at joints must not move while the joint turns.
Rows of the left side are fitted, those of the right side are their mirror images.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls
from scipy.spatial import cKDTree

from hmr.body.joints import (
    COCOPLUS,
    COCOPLUS_FLIP,
    SMPL_FLIP,
    SMPL_JOINT_KINDS,
    SMPL_JOINTS,
    SMPL_PARENTS,
)
from hmr.body.model_file import NUM_JOINTS, NUM_VERTICES, BodyModel, body_from_arrays
from hmr.body.standin.form import body_field
from hmr.body.standin.mesh import (
    adjacency,
    half_surface,
    mirror_whole,
    relax,
    simplify,
    to_surface,
)
from hmr.body.standin.rig import (
    axis_angle_matrices,
    pose_blend_shapes,
    rest_joints_m,
    sample_turns,
    shares_from_weights,
    skinning_weights,
)
from hmr.body.standin.shapes import shape_blend_shapes

SOURCE = "stand-in body (generated, licence-free)"
REST_WEIGHT, SHAPE_WEIGHT, TURN_WEIGHT, SPREAD_WEIGHT = 300.0, 3.0, 1.0, 0.004
AROUND_JOINT, ON_SURFACE = 160, 5

# Keypoints that are not joints: a point (m), and how many of the nearest vertices its row may use.
SURFACE_KEYPOINTS = {
    "neck": ((0.000, 0.262, -0.008), AROUND_JOINT),
    "head_top": ((0.000, 0.549, 0.010), ON_SURFACE),
    "nose": ((0.000, 0.408, 0.141), ON_SURFACE),
    "left_eye": ((0.031, 0.438, 0.105), ON_SURFACE),
    "left_ear": ((0.084, 0.424, 0.008), ON_SURFACE),
}


@dataclass(frozen=True)
class Figure:
    """The stand-in body without its regressors, which are fitted to it.

    Attributes:
        vertices_m: (V, 3) rest vertices.
        joints_m: (24, 3) rest joints.
        weights: (V, 24) skinning weights.
        shapes: (V, 3, 10) vertex displacements in metres per unit beta.
        joint_shapes: (24, 3, 10) joint displacements in metres per unit beta.
        pose_shapes: (V, 3, 207) vertex displacements per entry of R - I.
        mirror: (V,) index of each vertex's mirror image.
    """

    vertices_m: np.ndarray
    joints_m: np.ndarray
    weights: np.ndarray
    shapes: np.ndarray
    joint_shapes: np.ndarray
    pose_shapes: np.ndarray
    mirror: np.ndarray

    def nearest(self, point_m: np.ndarray, count: int) -> np.ndarray:
        """Indices of the vertices nearest to a point."""
        return np.sort(cKDTree(self.vertices_m).query(point_m, k=count)[1])


def build_surface() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rest vertices (6890, 3) m, faces (13776, 3), index of each vertex's mirror image (6890,)."""
    vertices_m, faces = half_surface(body_field)
    vertices_m, faces = simplify(to_surface(vertices_m, steps=2), faces, NUM_VERTICES)
    return mirror_whole(*relax(vertices_m, faces))


def build_standin_body() -> BodyModel:
    """Makes the stand-in body; deterministic, a few seconds.

    Returns:
        A `BodyModel`: 1.7 m tall in T-pose, with SMPL's axes and joint tree. `shapes.SHAPE_NAMES`
        names its ten betas; a unit of each is about one standard deviation among adults.
    """
    vertices_m, faces, mirror = build_surface()
    joints_m, links = rest_joints_m(), adjacency(faces, len(vertices_m))
    weights = skinning_weights(vertices_m, links)
    shapes, joint_shapes = shape_blend_shapes(vertices_m, joints_m, weights, links)
    pose_shapes = pose_blend_shapes(vertices_m, joints_m, weights)
    figure = Figure(vertices_m, joints_m, weights, shapes, joint_shapes, pose_shapes, mirror)
    arrays = {
        "v_template": vertices_m,
        "shapedirs": shapes,
        "posedirs": pose_shapes,
        "joint_regressor": joint_regressor(figure),
        "lbs_weights": weights,
        "cocoplus_regressor": cocoplus_regressor(figure),
        "faces": faces,
        "parents": np.array(SMPL_PARENTS),
    }
    return body_from_arrays(arrays, SOURCE)


def _turned(figure: Figure, joint: int, ids: np.ndarray) -> np.ndarray:
    """Vertices `ids` relative to `joint` while only that joint turns: (turns, ids, 3) m."""
    axes, angles = (samples[1::6] for samples in sample_turns(SMPL_JOINT_KINDS[joint]))
    turn = axis_angle_matrices(axes, angles)
    shape = figure.pose_shapes[ids].reshape(len(ids), 3, NUM_JOINTS - 1, 9)[:, :, joint - 1]
    feature = (turn - np.eye(3)).reshape(-1, 9)
    offset = (
        figure.vertices_m[ids] - figure.joints_m[joint] + np.einsum("vof,nf->nvo", shape, feature)
    )
    share = shares_from_weights(figure.weights[ids])[:, joint]
    turned = np.einsum("nab,nvb->nva", turn, offset)
    return (1.0 - share[:, None]) * offset + share[:, None] * turned


def _fit_row(
    figure: Figure,
    ids: np.ndarray,
    point_m: np.ndarray,
    follow: Sequence[tuple[np.ndarray, np.ndarray]] = (),
) -> np.ndarray:
    """Non-negative weights (V,) on the vertices `ids`, with sum 1, that give a point at rest.

    Args:
        figure: the body.
        ids: (N,) vertices whose weights may be positive.
        point_m: (3,) the point.
        follow: further equations: matrices (M, N) and their wanted products with the weights (M,).
    """
    count = len(ids)
    total = REST_WEIGHT * np.ones((1, count)), [REST_WEIGHT]
    rest = REST_WEIGHT * (figure.vertices_m[ids] - point_m).T, np.zeros(3)
    # A weak pull towards equal weights spreads them.
    spread = SPREAD_WEIGHT * np.eye(count), np.full(count, SPREAD_WEIGHT / count)
    matrices, wanted = zip(total, rest, *follow, spread, strict=True)
    solution, _ = nnls(np.concatenate(matrices), np.concatenate(wanted))
    row = np.zeros(len(figure.vertices_m))
    row[ids] = solution / solution.sum()
    return row


def _joint_row(figure: Figure, joint: int, follow_turns: bool) -> np.ndarray:
    ids = figure.nearest(figure.joints_m[joint], AROUND_JOINT)
    shapes = figure.shapes[ids].reshape(len(ids), -1).T  # (N, 3, 10) -> (30, N)
    follow = [(SHAPE_WEIGHT * shapes, SHAPE_WEIGHT * figure.joint_shapes[joint].ravel())]
    if follow_turns:
        turned = np.moveaxis(_turned(figure, joint, ids), 1, 2).reshape(-1, len(ids))
        follow.append((TURN_WEIGHT * turned, np.zeros(len(turned))))
    return _fit_row(figure, ids, figure.joints_m[joint], follow)


def _mirrored(rows: dict[int, np.ndarray], flip: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """All rows, from those of the left side and the middle; middle rows are made symmetric."""
    full = [rows[i] if i in rows else rows[flip[i]][mirror] for i in range(len(flip))]
    return np.array(
        [0.5 * (row + row[mirror]) if flip[i] == i else row for i, row in enumerate(full)]
    )


def joint_regressor(figure: Figure) -> np.ndarray:
    """Rows (24, V) that give SMPL's joints from shaped, unposed vertices."""
    rows = {
        joint: _joint_row(figure, joint, follow_turns=False)
        for joint, name in enumerate(SMPL_JOINTS)
        if not name.startswith("right_")
    }
    return _mirrored(rows, SMPL_FLIP, figure.mirror)


def cocoplus_regressor(figure: Figure) -> np.ndarray:
    """Rows (19, V) that give the cocoplus keypoints from posed vertices."""
    rows = {}
    for index, name in enumerate(COCOPLUS):
        if name in SURFACE_KEYPOINTS:
            point_m, count = np.asarray(SURFACE_KEYPOINTS[name][0]), SURFACE_KEYPOINTS[name][1]
            rows[index] = _fit_row(figure, figure.nearest(point_m, count), point_m)
        elif name.startswith("left_"):
            rows[index] = _joint_row(figure, SMPL_JOINTS.index(name), follow_turns=True)
    return _mirrored(rows, COCOPLUS_FLIP, figure.mirror)
