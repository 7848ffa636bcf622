"""The best constant answers: what a method that never looks at the image would score.

A trained network is compared with these, so they are made as strong as a constant can be: the mean
body under MPJPE, the better of two means under PA-MPJPE, the mean keypoints in the crop.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hmr.errors import UserError
from hmr.evaluation import metrics

# Of the mean's size, and how often the samples are aligned to it at most.
_TOLERANCE, _MAX_ITERATIONS = 1e-6, 100


@dataclass(frozen=True)
class ConstantAnswer:
    """Mean bodies (J, 3), in the unit and axes of the joints they were made from.

    Attributes:
        arithmetic: mean of the joints centred on the root: the answer under MPJPE.
        procrustes: mean shape under similarity alignment. Under PA-MPJPE the one of the two that
            scores better is the constant answer.
    """

    arithmetic: np.ndarray
    procrustes: np.ndarray


def constant_baseline(
    train_joints: np.ndarray, root: str | tuple[int, ...] = "hip_midpoint"
) -> ConstantAnswer:
    """Mean bodies of the training split.

    Args:
        train_joints: (N, J, 3), any unit.
        root: what MPJPE centres on, see `metrics.ROOTS`.

    Raises:
        UserError: when there is no training sample.
    """
    if not len(train_joints):
        raise UserError("The mean body needs training samples with 3D joints. Received: 0 samples")
    return ConstantAnswer(
        arithmetic=metrics.centre(train_joints, root).mean(axis=0),
        procrustes=generalised_procrustes_mean(train_joints),
    )


def generalised_procrustes_mean(joints: np.ndarray) -> np.ndarray:
    """Mean shape (J, 3) under similarity alignment (Gower 1975).

    All samples are aligned to the mean and averaged until the mean moves less than `_TOLERANCE`
    of its size. Centred, with the root mean square size of the samples.
    """
    joints = np.asarray(joints, np.float64)
    centred = joints - joints.mean(axis=1, keepdims=True)  # (N, J, 3)
    size = np.sqrt(np.mean(np.sum(centred**2, axis=(1, 2))))
    mean = _resize(centred[0], size)
    for _ in range(_MAX_ITERATIONS):
        aligned = metrics.procrustes_align(centred, np.broadcast_to(mean, centred.shape))
        updated = _resize(aligned.mean(axis=0), size)
        moved = np.linalg.norm(updated - mean)
        mean = updated
        if moved <= _TOLERANCE * size:
            break
    return mean


def mean_keypoints(train_keypoints: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Mean position (K, 2) of each keypoint in the crop over the samples that show it.

    A keypoint that no sample shows is put at the mean of all visible ones.

    Args:
        train_keypoints: (N, K, 2) in a frame shared by the samples, such as the crop's.
        visible: (N, K), counted where greater than 0.

    Raises:
        UserError: no keypoint is visible in any sample.
    """
    weights = (np.asarray(visible) > 0)[..., None].astype(np.float64)  # (N, K, 1)
    if not weights.any():
        raise UserError("The mean keypoints need at least one visible keypoint. Received: none")
    keypoints = np.asarray(train_keypoints, np.float64)
    counts = weights.sum(axis=0)  # (K, 1)
    overall = (keypoints * weights).sum(axis=(0, 1)) / weights.sum()
    means = (keypoints * weights).sum(axis=0) / np.maximum(counts, 1)
    return np.where(counts > 0, means, overall)


def _resize(points: np.ndarray, size: float) -> np.ndarray:
    norm = np.linalg.norm(points)
    return points * (size / norm) if norm > 0 else points
