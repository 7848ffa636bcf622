"""The columns of a protocol's table: from a prediction and its ground truth to one number each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hmr.body.joints import LSP14
from hmr.evaluation import metrics
from hmr.evaluation.meshes import in_batches
from hmr.evaluation.pixels import PixelCounts, PooledF1
from hmr.evaluation.samples import Prediction, Truth
from hmr.geometry.crop import CROP_SIZE, from_normalized

MM_PER_M = 1000.0
JOINTS = len(LSP14)
JOINTS_ONLY, KEYPOINTS_ONLY = ("joints3d_lsp_m",), ("keypoints2d",)

Errors = tuple[np.ndarray, np.ndarray]
"""Distances (N, K), and which of them count (N, K)."""


class Samples(Protocol):
    """One number for each sample, and their average."""

    @property
    def values(self) -> np.ndarray:
        """(N,), NaN where a sample does not count."""

    @property
    def weights(self) -> np.ndarray:
        """(N,) how much each counts, 0 where it does not."""

    def mean(self, chosen: np.ndarray | slice = slice(None)) -> float:
        """The average over the chosen samples; NaN if none of them counts."""

    def median(self, chosen: np.ndarray | slice = slice(None)) -> float:
        """Median over the chosen samples that count; NaN if none does."""


@dataclass(frozen=True)
class Values:
    """`Samples` whose average is weighted: values (N,), and how much each counts (N,)."""

    values: np.ndarray
    weights: np.ndarray

    def mean(self, chosen: np.ndarray | slice = slice(None)) -> float:
        """See `Samples`."""
        weights, values = self.weights[chosen], self.values[chosen]
        counted = weights > 0
        if not counted.any():
            return float("nan")
        return float(np.average(values[counted], weights=weights[counted]))

    def median(self, chosen: np.ndarray | slice = slice(None)) -> float:
        """See `Samples`."""
        counted = self.values[chosen][self.weights[chosen] > 0]
        return float(np.median(counted)) if len(counted) else float("nan")


@dataclass(frozen=True)
class Measure:
    """A column of a protocol's table.

    Attributes:
        label: heading.
        compute: (prediction, truth, root) -> the samples' numbers.
        needs: attributes of `Prediction` that it reads.
        higher_is_better: the sense of "best".
    """

    label: str
    compute: Callable[[Prediction, Truth, str], Samples]
    needs: tuple[str, ...] = JOINTS_ONLY
    higher_is_better: bool = False


def over_points(
    errors: Callable[[Prediction, Truth, str], Errors],
    of_error: Callable[[np.ndarray], np.ndarray] = np.asarray,
) -> Callable[[Prediction, Truth, str], Values]:
    """A measure: the mean over each sample's points; a sample weighs as many points as count.

    Args:
        errors: (prediction, truth, root) -> distances (N, K) and which of them count (N, K).
        of_error: distances -> what is averaged, of the same shape.
    """

    def compute(prediction: Prediction, truth: Truth, root: str) -> Values:
        distances, counted = errors(prediction, truth, root)
        weights = counted.sum(axis=1).astype(np.float64)
        totals = np.where(counted, of_error(distances), 0.0).sum(axis=1)
        values = np.divide(totals, weights, out=np.full(len(totals), np.nan), where=weights > 0)
        return Values(values, weights)

    return compute


def _root_errors_mm(prediction: Prediction, truth: Truth, root: str) -> Errors:
    predicted, target = _joints_mm(prediction, truth)
    predicted, target = (metrics.centre(side, root)[:, :JOINTS] for side in (predicted, target))
    return metrics.joint_errors(predicted, target), _every_joint(truth)


def _aligned_errors_mm(prediction: Prediction, truth: Truth, root: str) -> Errors:
    predicted, target = (side[:, :JOINTS] for side in _joints_mm(prediction, truth))
    aligned = metrics.procrustes_align(predicted, target)
    return metrics.joint_errors(aligned, target), _every_joint(truth)


def _joints_mm(prediction: Prediction, truth: Truth) -> tuple[np.ndarray, np.ndarray]:
    return MM_PER_M * np.asarray(prediction.joints3d_lsp_m), MM_PER_M * truth.joints3d_lsp_m


def _every_joint(truth: Truth) -> np.ndarray:
    return np.broadcast_to(truth.has_joints3d[:, None], (len(truth), JOINTS))


def _vertex_errors_mm(prediction: Prediction, truth: Truth, root: str) -> Values:
    """Mean over the vertices, each side about its own root."""
    assert prediction.meshes is not None and truth.meshes is not None
    roots = [metrics.root_points(side, root) for side in _joints_mm(prediction, truth)]
    errors = np.full(len(truth), np.nan)
    for chosen, predicted_m in in_batches(prediction.meshes, "comparing vertices"):
        target_m = truth.meshes.vertices_m(chosen)
        sides = (MM_PER_M * predicted_m, MM_PER_M * target_m)
        errors[chosen] = metrics.pve(*sides, *(points[chosen] for points in roots))
    counted = truth.has_joints3d
    return Values(np.where(counted, errors, np.nan), counted.astype(np.float64))


def _keypoint_errors_px(prediction: Prediction, truth: Truth, root: str) -> Errors:
    predicted, target = (
        from_normalized(np.asarray(side.keypoints2d), CROP_SIZE) for side in (prediction, truth)
    )
    return metrics.joint_errors(predicted, target), truth.visibility


def _keypoint_errors_of_box(prediction: Prediction, truth: Truth, root: str) -> Errors:
    """Distances over the longer side of the box around each sample's visible keypoints."""
    errors, visible = _keypoint_errors_px(prediction, truth, root)
    target = from_normalized(truth.keypoints2d, CROP_SIZE)
    shown = visible[..., None]
    high = np.where(shown, target, -np.inf).max(axis=1)
    low = np.where(shown, target, np.inf).min(axis=1)
    side = (high - low).max(axis=1, keepdims=True)
    counted = visible & (side > 0)
    return np.divide(errors, side, out=np.zeros_like(errors), where=counted), counted


def _percent_under(threshold: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda errors: 100.0 * (errors < threshold)


def _auc_share(errors: np.ndarray) -> np.ndarray:
    return np.asarray(metrics.auc(errors[..., None], axis=-1))


def _pixels(prediction: Prediction) -> PixelCounts:
    assert prediction.pixels is not None
    return prediction.pixels


def _accuracy(right: np.ndarray, pixels: np.ndarray) -> Values:
    none = np.full(len(pixels), np.nan)
    share = np.divide(100.0 * right, pixels, out=none, where=pixels > 0)
    return Values(share, pixels.astype(np.float64))


def _foreground_accuracy(prediction: Prediction, truth: Truth, root: str) -> Samples:
    counts = _pixels(prediction)
    return _accuracy(np.trace(counts.foreground, axis1=1, axis2=2), counts.pixels)


def _parts_accuracy(prediction: Prediction, truth: Truth, root: str) -> Samples:
    counts = _pixels(prediction)
    return _accuracy(counts.parts_right, counts.pixels)


def _foreground_f1(prediction: Prediction, truth: Truth, root: str) -> Samples:
    return PooledF1(_pixels(prediction).foreground)


def _parts_f1(prediction: Prediction, truth: Truth, root: str) -> Samples:
    return PooledF1(_pixels(prediction).parts)


_PCK = _percent_under(metrics.PCK_THRESHOLD_MM)


def _rising(label: str, errors: Callable, of_error: Callable, needs: tuple[str, ...]) -> Measure:
    return Measure(label, over_points(errors, of_error), needs, higher_is_better=True)


def _pixel(label: str, compute: Callable[[Prediction, Truth, str], Samples]) -> Measure:
    return Measure(label, compute, ("pixels",), higher_is_better=True)


MEASURES: dict[str, Measure] = {
    "mpjpe_mm": Measure("MPJPE mm", over_points(_root_errors_mm)),
    "pa_mpjpe_mm": Measure("PA-MPJPE mm", over_points(_aligned_errors_mm)),
    "pve_mm": Measure("PVE mm", _vertex_errors_mm, ("meshes", "joints3d_lsp_m")),
    "pck150": _rising("PCK@150 %", _root_errors_mm, _PCK, JOINTS_ONLY),
    "auc150": _rising("AUC %", _root_errors_mm, _auc_share, JOINTS_ONLY),
    "pa_pck150": _rising("PA-PCK@150 %", _aligned_errors_mm, _PCK, JOINTS_ONLY),
    "pa_auc150": _rising("PA-AUC %", _aligned_errors_mm, _auc_share, JOINTS_ONLY),
    "keypoint_error_px": Measure(
        "2D error px of 224", over_points(_keypoint_errors_px), KEYPOINTS_ONLY
    ),
    "pck2d_005": _rising(
        "PCK@0.05 box %", _keypoint_errors_of_box, _percent_under(0.05), KEYPOINTS_ONLY
    ),
    "pck2d_010": _rising(
        "PCK@0.10 box %", _keypoint_errors_of_box, _percent_under(0.10), KEYPOINTS_ONLY
    ),
    "foreground_accuracy": _pixel("fg accuracy %", _foreground_accuracy),
    "foreground_f1": _pixel("fg F1 %", _foreground_f1),
    "parts_accuracy": _pixel("parts accuracy %", _parts_accuracy),
    "parts_f1": _pixel("parts F1 %", _parts_f1),
}
"""Name of a measure, with its unit -> how it is computed."""
