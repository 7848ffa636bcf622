"""Error measures of 3D human pose and shape, vectorised over samples.

Every function takes arrays of N samples and computes in float64. Lengths come out in the unit that
went in. Joints are (N, J, 3), keypoints (N, K, 2), vertices (N, V, 3).

Two points are the *root* that MPJPE moves to the origin, each side by its own joints. The choice
changes the number by millimetres, so it is always named: see `ROOTS`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from hmr.body import joints
from hmr.errors import UserError

ROOTS: dict[str, tuple[int, ...]] = {
    "hip_midpoint": (joints.RIGHT_HIP, joints.LEFT_HIP),
    "pelvis_h36m17": (len(joints.LSP14),),
    "pelvis_mpi_inf_3dhp17": (joints.MPI_INF_3DHP17.index("pelvis"),),
    "none": (),
}
"""Name of a root -> the joints whose mean it is.

`hip_midpoint` counts in LSP's 14 joints; `pelvis_h36m17` is the 15th behind those, the pelvis of
Human3.6M's regressor.
"""

AUC_THRESHOLDS_MM = np.arange(0.0, 151.0, 5.0)
"""The 31 thresholds of MPI-INF-3DHP, zero included: a perfect score is 30/31."""

PCK_THRESHOLD_MM = 150.0


def mpjpe(
    predicted: np.ndarray, truth: np.ndarray, root: str | tuple[int, ...] = "hip_midpoint"
) -> np.ndarray:
    """Mean per joint position error of each sample, (N,): roots together, no other alignment."""
    return joint_errors(centre(predicted, root), centre(truth, root)).mean(axis=1)


def pa_mpjpe(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Mean joint error of each sample after the best similarity (Procrustes) alignment, (N,)."""
    return joint_errors(procrustes_align(predicted, truth), truth).mean(axis=1)


def joint_errors(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Euclidean distance of every joint (or vertex), (N, J), as the two sides stand."""
    predicted, truth = _pair(predicted, truth)
    return np.linalg.norm(predicted - truth, axis=-1)


def centre(points: np.ndarray, root: str | tuple[int, ...] = "hip_midpoint") -> np.ndarray:
    """`points` (N, J, 3) with the root moved to the origin.

    Args:
        points: any unit.
        root: a name in `ROOTS`, or the indices of the joints whose mean is the root.

    Raises:
        UserError: for a name that is not in `ROOTS`.
    """
    points = np.asarray(points, np.float64)
    return points - root_points(points, root)[:, None]


def root_points(points: np.ndarray, root: str | tuple[int, ...]) -> np.ndarray:
    """The root (N, 3) of `points` (N, J, 3), see `centre`; the origin for "none"."""
    points, indices = np.asarray(points, np.float64), list(_root_indices(root))
    return points[:, indices].mean(axis=1) if indices else np.zeros((len(points), 3))


def procrustes_align(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """`predicted` moved onto `truth` by each sample's best scale, rotation and translation.

    Least squares over s R p + t with R a proper rotation: a mirrored skeleton stays mirrored.
    A prediction without extent (all joints in one point) goes to the mean of the truth.

    Args:
        predicted, truth: (N, J, 3), finite.

    Returns:
        (N, J, 3) in the frame of `truth`.

    Raises:
        UserError: on shapes that differ and on values that are not finite.
    """
    predicted, truth = _pair(predicted, truth)
    _require_finite(predicted=predicted, truth=truth)
    mean_p, mean_t = predicted.mean(1, keepdims=True), truth.mean(1, keepdims=True)
    p, t = predicted - mean_p, truth - mean_t
    rotation, trace = _best_rotation(p, t)
    spread = np.einsum("nji,nji->n", p, p)
    scale = np.divide(trace, spread, out=np.zeros_like(trace), where=spread > 0)
    return scale[:, None, None] * (p @ rotation.transpose(0, 2, 1)) + mean_t


def pck(errors: np.ndarray, threshold: float = PCK_THRESHOLD_MM, axis: int | None = None) -> Any:
    """Share of errors strictly under the threshold, in percent, over all or over one axis."""
    return 100.0 * np.mean(np.asarray(errors) < threshold, axis=axis)


def auc(
    errors: np.ndarray, thresholds: np.ndarray = AUC_THRESHOLDS_MM, axis: int | None = None
) -> Any:
    """Mean of `pck` over ascending thresholds, in percent: the area under its curve."""
    reached = np.searchsorted(thresholds, np.asarray(errors), side="right")
    return 100.0 * np.mean(1.0 - reached / len(thresholds), axis=axis)


def pve(
    predicted_vertices: np.ndarray,
    true_vertices: np.ndarray,
    predicted_pelvis: np.ndarray,
    true_pelvis: np.ndarray,
) -> np.ndarray:
    """Per vertex error of each sample, (N,), each side about its own pelvis (N, 3)."""
    predicted = np.asarray(predicted_vertices, np.float64) - _column(predicted_pelvis)
    truth = np.asarray(true_vertices, np.float64) - _column(true_pelvis)
    return joint_errors(predicted, truth).mean(axis=1)


def turn_to_rays(joints: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """Turns each sample about the camera so that the viewing axis becomes its ray.

    A crop seen by a weak-perspective camera is understood as straight ahead; the camera saw it
    along the ray through the crop's centre (Mehta et al. 2017, supplement).

    Args:
        joints: (N, J, 3), camera's axes with z away.
        rays: (N, 3) unit vectors.
    """
    ahead = np.array([0.0, 0.0, 1.0])
    axes = np.cross(ahead, rays)
    sines = np.linalg.norm(axes, axis=1, keepdims=True)
    angles = np.arctan2(sines, rays[:, 2:])
    unit = np.divide(axes, sines, out=np.zeros_like(axes), where=sines > 0)
    turns = Rotation.from_rotvec(unit * angles).as_matrix()
    return np.einsum("nab,njb->nja", turns, np.asarray(joints, np.float64))


def _best_rotation(p: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotation (N, 3, 3) that best turns centred `p` onto centred `t`, and trace(R K) (N,)."""
    u, singular, vt = np.linalg.svd(np.einsum("nji,njk->nik", p, t))
    handedness = np.where(np.linalg.det(u @ vt) < 0, -1.0, 1.0)
    vt = vt.copy()
    vt[:, 2] *= handedness[:, None]
    trace = singular[:, 0] + singular[:, 1] + handedness * singular[:, 2]
    return np.einsum("nai,nba->nib", vt, u), trace


def _root_indices(root: str | tuple[int, ...]) -> tuple[int, ...]:
    if not isinstance(root, str):
        return tuple(root)
    if root not in ROOTS:
        raise UserError(f"Unknown root. Expected one of {sorted(ROOTS)}. Received: root={root!r}")
    return ROOTS[root]


def _pair(predicted: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    predicted, truth = np.asarray(predicted, np.float64), np.asarray(truth, np.float64)
    if predicted.shape != truth.shape:
        raise UserError(
            "Prediction and ground truth must have one shape. "
            f"Received: predicted {predicted.shape}, truth {truth.shape}"
        )
    return predicted, truth


def _require_finite(**arrays: np.ndarray) -> None:
    for name, array in arrays.items():
        bad = np.flatnonzero(~np.isfinite(array).all(axis=(1, 2)))
        if bad.size:
            raise UserError(
                f"{name}: {bad.size} of {len(array)} samples are not finite, the first is "
                f"sample {bad[0]}. Errors can only be taken of finite joints."
            )


def _column(points: np.ndarray) -> np.ndarray:
    return np.asarray(points, np.float64)[:, None, :]
