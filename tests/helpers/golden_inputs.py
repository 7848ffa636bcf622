"""The figures in tests/golden, and the made inputs that belong to them.

The body and the weights are draws from seeded generators. They have the structure of the licensed
files and none of their content.
"""

from __future__ import annotations

import functools
import zlib
from pathlib import Path

import numpy as np

from hmr.body.joints import SMPL_JOINTS, SMPL_PARENTS
from hmr.body.model_file import BodyModel, body_from_arrays

FOLDER = Path(__file__).parents[1] / "golden"

NUM_VERTICES, NUM_JOINTS = 6890, 24
_HEAD = SMPL_JOINTS.index("head")

# Rest joints of an invented figure 1.7 m tall: metres, y up, x to its left, SMPL's order.
_REST_JOINTS = np.array([
    [0.000, -0.220, 0.020], [0.070, -0.310, 0.015], [-0.070, -0.310, 0.015],
    [0.000, -0.110, -0.005], [0.105, -0.690, 0.010], [-0.105, -0.690, 0.010],
    [0.000, 0.030, 0.000], [0.090, -1.080, -0.030], [-0.090, -1.080, -0.030],
    [0.000, 0.085, 0.020], [0.120, -1.135, 0.090], [-0.120, -1.135, 0.090],
    [0.000, 0.290, -0.015], [0.080, 0.195, -0.010], [-0.080, 0.195, -0.010],
    [0.000, 0.360, 0.040], [0.180, 0.225, -0.015], [-0.180, 0.225, -0.015],
    [0.440, 0.215, -0.040], [-0.440, 0.215, -0.040], [0.690, 0.225, -0.045],
    [-0.690, 0.225, -0.045], [0.775, 0.215, -0.060], [-0.775, 0.215, -0.060],
])  # fmt: skip

# Every cocoplus keypoint: the joint it hangs on, and its offset from there in metres.
_KEYPOINTS = [
    (8, (0, 0, 0)), (5, (0, 0, 0)), (2, (0, 0, 0)), (1, (0, 0, 0)), (4, (0, 0, 0)),
    (7, (0, 0, 0)), (21, (0, 0, 0)), (19, (0, 0, 0)), (17, (0, 0, 0)), (16, (0, 0, 0)),
    (18, (0, 0, 0)), (20, (0, 0, 0)), (12, (0, 0, 0)), (15, (0, 0.16, -0.02)),
    (15, (0, 0.05, 0.10)), (15, (0.03, 0.08, 0.08)), (15, (-0.03, 0.08, 0.08)),
    (15, (0.07, 0.06, 0)), (15, (-0.07, 0.06, 0)),
]  # fmt: skip

# Gains of the made weights by what the variable's name contains; the first hit counts.
_GAINS = {
    "/conv3/weights": 0.5,
    "/shortcut/": 1.0,
    "3D_module/fc3/weights": 0.1,
    "/pose_out_j": 1.0,
    "D/shape_final/weights": 1.0,
    "D/D_alljoints_out/weights": 1.0,
    "": np.sqrt(2.0),
}


def golden(name: str) -> dict[str, np.ndarray]:
    """All arrays of tests/golden/NAME.npz."""
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as figures:
        return dict(figures)


@functools.cache
def made_body() -> BodyModel:
    """A body with SMPL's structure and random content. The order of the draws is its definition."""
    rng = np.random.default_rng(1234)
    along, offset = rng.random(NUM_VERTICES), rng.standard_normal((NUM_VERTICES, 3))
    affine = rng.standard_normal((10, 3, 3))
    shape_noise = rng.standard_normal((NUM_VERTICES, 3, 10))
    pose_noise = rng.standard_normal((NUM_VERTICES, 3, 207))
    weight_draws = rng.random((NUM_VERTICES, 4))
    extra_bones = rng.integers(0, NUM_JOINTS, (NUM_VERTICES, 2))
    kept = rng.integers(1, 5, NUM_VERTICES)
    joint_draws, keypoint_draws = rng.random((NUM_JOINTS, 32)), rng.random((19, 24))

    bones = _bone_points(along) + 0.03 * offset
    arrays = {
        "v_template": bones,
        "shapedirs": 0.02 * np.einsum("kcd,vd->vck", affine, bones) + 2e-3 * shape_noise,
        "posedirs": 1e-3 * pose_noise,
        "lbs_weights": _skinning(weight_draws, extra_bones, kept),
        "joint_regressor": _regressor(bones, _REST_JOINTS, joint_draws),
        "cocoplus_regressor": _regressor(bones, _keypoint_targets(), keypoint_draws - 0.1),
        "faces": _faces(along),
        "parents": np.array(SMPL_PARENTS),
    }
    return body_from_arrays(arrays, source="made body")


def made_weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The made value of a variable of the original's network, drawn by its name."""
    if name == "mean_param":
        return np.array([[0.9, 0, 0, np.pi] + [0] * 81], np.float32)
    draw = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape)
    kind = name.rsplit("/", 1)[-1]
    if kind == "weights":
        gain = next(value for part, value in _GAINS.items() if part in name)
        return (draw * (gain / np.sqrt(np.prod(shape[:-1])))).astype(np.float32)
    by_kind = {
        "gamma": 1 + 0.1 * draw,
        "beta": 0.1 * draw,
        "moving_mean": 0.1 * draw,
        "moving_variance": np.exp(0.2 * draw),
        "biases": 0.05 * draw,
    }
    return by_kind[kind].astype(np.float32)


def _bone_ids() -> np.ndarray:
    return np.arange(NUM_VERTICES) % NUM_JOINTS


def _parent_ids() -> np.ndarray:
    return np.maximum(SMPL_PARENTS, 0)[_bone_ids()]


def _bone_points(along: np.ndarray) -> np.ndarray:
    """Points on the bones (parent to joint); the head's bone goes up from its joint."""
    bone, is_head = _bone_ids(), (_bone_ids() == _HEAD)[:, None]
    start = np.where(is_head, _REST_JOINTS[_HEAD], _REST_JOINTS[_parent_ids()])
    tip = _REST_JOINTS[bone] + is_head * np.array([0.0, 0.17, 0.0])
    return start + along[:, None] * (tip - start)


def _faces(along: np.ndarray) -> np.ndarray:
    """Both sides of strips along the bones. No figure depends on them; small ones draw fast."""
    order = np.lexsort((along, _bone_ids()))
    strips = np.stack([order[:-2], order[1:-1], order[2:]], axis=1)
    return np.concatenate([strips, strips[:, ::-1]])


def _skinning(draws: np.ndarray, extra_bones: np.ndarray, kept: np.ndarray) -> np.ndarray:
    draws = draws + 0.05
    draws[:, 0] += 1.0
    draws *= np.arange(4) < kept[:, None]
    weights = np.zeros((NUM_VERTICES, NUM_JOINTS))
    columns = np.column_stack([_bone_ids(), _parent_ids(), extra_bones])
    np.add.at(weights, (np.arange(NUM_VERTICES)[:, None], columns), draws)
    return weights / weights.sum(axis=1, keepdims=True)


def _keypoint_targets() -> np.ndarray:
    return np.array([_REST_JOINTS[joint] + offset for joint, offset in _KEYPOINTS])


def _regressor(points: np.ndarray, targets: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Rows (targets, V) with `draws`, scaled to sum 1, on the vertices nearest to each target."""
    regressor = np.zeros((len(targets), len(points)))
    for row, target, values in zip(regressor, targets, draws, strict=True):
        distances = np.sum((points - target) ** 2, axis=1)
        row[np.argsort(distances, kind="stable")[: len(values)]] = values / values.sum()
    return regressor
