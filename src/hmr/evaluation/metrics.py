"""The error measures of 3D human pose and shape: what every report prints is computed here.

Every function takes arrays of N samples, computes in float64 and gives one number for each sample,
(N,). Joints are (N, J, 3), keypoints (N, K, 2), vertices (N, V, 3). Lengths come out in the unit
that went in; thresholds named `_MM` need millimetres.

MPJPE moves the *root* of either side to the origin. Which joints that is changes the number by
millimetres, so it is always named: see `ROOTS`.
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

`hip_midpoint` is the authors' (`align_by_pelvis` in src/benchmark/eval_util.py), among LSP's 14
joints; `pelvis_h36m17` is a 15th joint behind those, the pelvis of Human3.6M's regressor.
"""

AUC_THRESHOLDS_MM = np.arange(0.0, 151.0, 5.0)
"""The 31 thresholds of MPI-INF-3DHP, zero included: a perfect score is 30/31."""

PCK_THRESHOLD_MM = 150.0


def mpjpe(
    predicted: np.ndarray,
    truth: np.ndarray,
    root: str | tuple[int, ...] = "hip_midpoint",
    num_joints: int | None = None,
) -> np.ndarray:
    """Mean per joint position error of each sample, (N,), after moving both roots to the origin.

    Paper section 4.1; `compute_errors` in the authors' src/benchmark/eval_util.py.

    Args:
        predicted, truth: (N, J, 3).
        root: see `centre`.
        num_joints: how many joints count, from the first; all by default.
    """
    return root_errors(predicted, truth, root, num_joints).mean(axis=1)


def pa_mpjpe(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Mean joint error of each sample after the best similarity alignment, (N,).

    The paper's "reconstruction error" (section 4.1), see `procrustes_align`.
    """
    return aligned_errors(predicted, truth).mean(axis=1)


def root_errors(
    predicted: np.ndarray,
    truth: np.ndarray,
    root: str | tuple[int, ...] = "hip_midpoint",
    num_joints: int | None = None,
) -> np.ndarray:
    """Distance of every joint with both roots at the origin, (N, J); arguments as in `mpjpe`."""
    return joint_errors(*(centre(side, root)[:, :num_joints] for side in (predicted, truth)))


def aligned_errors(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Distance of every joint after `procrustes_align`, (N, J)."""
    return joint_errors(procrustes_align(predicted, truth), truth)


def joint_errors(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Euclidean distance of every joint (or vertex), (N, J), without any alignment."""
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
    Umeyama 1991, as `compute_similarity_transform` in the authors' src/benchmark/eval_util.py, for
    all samples at once (SciPy aligns one at a time). A prediction whose joints all lie in one point
    is moved to the mean of the truth.

    Args:
        predicted, truth: (N, J, 3), finite.

    Returns:
        (N, J, 3) in the frame of `truth`.

    Raises:
        UserError: on shapes that differ and on values that are not finite.
    """
    predicted, truth = _pair(predicted, truth)
    _require_finite(predicted=predicted, truth=truth)
    mean_p, mean_t = predicted.mean(1, keepdims=True), truth.mean(1, keepdims=True)  # (N, 1, 3)
    p, t = predicted - mean_p, truth - mean_t
    rotation, trace = _best_rotation(p, t)
    spread = np.einsum("nji,nji->n", p, p)  # (N,)
    scale = np.divide(trace, spread, out=np.zeros_like(trace), where=spread > 0)  # (N,)
    turned = p @ rotation.transpose(0, 2, 1)  # (N, J, 3): rows are points, so R goes transposed
    return scale[:, None, None] * turned + mean_t


def mean_error(errors: np.ndarray, axis: int | None = None, where: np.ndarray | bool = True) -> Any:
    """Mean of the errors that count, over all or over one axis; NaN where none counts.

    Args:
        errors: any shape, such as (N, K).
        axis: the axis to average over: 1 gives a number for each sample, None one for all.
        where: which errors count, bool of the same shape.
    """
    errors = np.asarray(errors, np.float64)
    where = np.broadcast_to(where, errors.shape)
    totals, counts = np.where(where, errors, 0.0).sum(axis=axis), where.sum(axis=axis)
    return np.divide(totals, counts, out=np.full(np.shape(totals), np.nan), where=counts > 0)[()]


def pck(
    errors: np.ndarray,
    threshold: float = PCK_THRESHOLD_MM,
    axis: int | None = None,
    where: np.ndarray | bool = True,
) -> Any:
    """Share of errors strictly under the threshold, in percent; see `mean_error`.

    Mehta et al. 2017 (3D, 150 mm); Yang & Ramanan 2013 (2D, a share of the person's box).
    """
    return mean_error(100.0 * (np.asarray(errors) < threshold), axis, where)


def auc(
    errors: np.ndarray,
    thresholds: np.ndarray = AUC_THRESHOLDS_MM,
    axis: int | None = None,
    where: np.ndarray | bool = True,
) -> Any:
    """Area under the curve: mean of `pck` over ascending thresholds, in percent."""
    reached = np.searchsorted(thresholds, np.asarray(errors), side="right")  # (N, J)
    return mean_error(100.0 * (1.0 - reached / len(thresholds)), axis, where)


def box_sides(keypoints: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Longer side (N, 1) of the box around each sample's visible keypoints (N, K, 2).

    It is 0 where all visible keypoints coincide, and minus infinity where none is visible.
    """
    shown = visible[..., None]  # (N, K, 1)
    high = np.where(shown, keypoints, -np.inf).max(axis=1)
    low = np.where(shown, keypoints, np.inf).min(axis=1)
    return (high - low).max(axis=1, keepdims=True)


def accuracy(right: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Share (N,) of pixels labelled right, in percent; NaN where there are none."""
    none = np.full(len(pixels), np.nan)
    return np.divide(100.0 * right, pixels, out=none, where=pixels > 0)


def f1(confusions: np.ndarray) -> np.ndarray:
    """Mean F1 over classes, background included, in percent, of confusion matrices (..., C, C).

    F1 of a class is 2 TP / (2 TP + FP + FN). A class that is neither annotated nor predicted is
    left out of the mean; NaN where all classes are left out.
    """
    right = np.diagonal(confusions, axis1=-2, axis2=-1)  # (..., C)
    either = confusions.sum(axis=-1) + confusions.sum(axis=-2)
    known = either > 0
    scores = np.divide(200.0 * right, either, out=np.zeros(either.shape), where=known)
    classes = known.sum(axis=-1)
    none = np.full(classes.shape, np.nan)
    return np.divide(scores.sum(axis=-1), classes, out=none, where=classes > 0)


def pve(
    predicted_vertices: np.ndarray,
    true_vertices: np.ndarray,
    predicted_pelvis: np.ndarray,
    true_pelvis: np.ndarray,
) -> np.ndarray:
    """Per vertex error of each sample, (N,), each side about its own pelvis (N, 3)."""
    predicted = np.asarray(predicted_vertices, np.float64) - predicted_pelvis[:, None]  # (N, V, 3)
    truth = np.asarray(true_vertices, np.float64) - true_pelvis[:, None]
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
    axes = np.cross(ahead, rays)  # (N, 3), of length sin(angle)
    sines = np.linalg.norm(axes, axis=1, keepdims=True)
    angles = np.arctan2(sines, rays[:, 2:])  # (N, 1), radians
    unit = np.divide(axes, sines, out=np.zeros_like(axes), where=sines > 0)
    turns = Rotation.from_rotvec(unit * angles).as_matrix()  # (N, 3, 3)
    return np.einsum("nab,njb->nja", turns, np.asarray(joints, np.float64))


def _best_rotation(p: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotation R (N, 3, 3) that best turns centred `p` onto centred `t`, and trace(R K) (N,).

    K = p^T t = U S V^T gives R = V diag(1, 1, d) U^T, where d = det(U V^T) keeps R from mirroring.
    """
    u, singular, vt = np.linalg.svd(np.einsum("nji,njk->nik", p, t))  # (N, 3, 3), (N, 3), (N, 3, 3)
    handedness = np.where(np.linalg.det(u @ vt) < 0, -1.0, 1.0)  # (N,)
    vt = vt.copy()
    vt[:, 2] *= handedness[:, None]
    trace = singular[:, 0] + singular[:, 1] + handedness * singular[:, 2]
    return np.einsum("nai,nba->nib", vt, u), trace  # V U^T: (N, 3, 3)


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
